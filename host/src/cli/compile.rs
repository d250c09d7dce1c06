//! `gtm-host compile`: compiles plugins before a host starts with them.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use gtm_host::config::{Settings, file_name};
use gtm_host::remedy::WithRemedy;
use gtm_runtime::{Engine, LoadError, PluginSetup};
use gtm_text::sanitize::{indented, line};
use serde_json::json;

use super::arguments::{CompileArguments, Format};
use super::compile_component::compilation;
use super::directories;
use super::load::load_either;
use super::output::{print_json, print_text};

pub(super) fn run(arguments: &CompileArguments, settings: &Settings) -> anyhow::Result<ExitCode> {
    let cache = directories::cache(settings)?;
    let engine = Engine::compiling(&cache, compilation())?;
    let mut all_are = true;
    for path in &arguments.paths {
        let compiled = compile(&engine, path, settings);
        all_are &= compiled.is_ok();
        let shown = path.to_string_lossy();
        match (arguments.output, compiled) {
            (Format::Text, Ok(time)) => {
                let time = humantime::format_duration(Duration::from_millis(time));
                print_text(&format!("{}: ready after {time}, in {}", line(&shown), cache.display()))?
            }
            (Format::Text, Err(error)) => print_text(&format!(
                "{}: not a plugin\n  {}",
                line(&shown),
                indented(&WithRemedy(&error).to_string(), 4)
            ))?,
            (Format::Json, Ok(time)) => {
                print_json(&json!({ "path": shown, "plugin": true, "milliseconds": time, "cache": cache }))?
            }
            (Format::Json, Err(error)) => print_json(
                &json!({ "path": shown, "plugin": false, "error": WithRemedy(&error).to_string() }),
            )?,
        };
    }
    Ok(if all_are { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Compiles a plugin and returns the time in milliseconds. If the cache has it, that takes only a few.
fn compile(engine: &Engine, path: &Path, settings: &Settings) -> Result<u64, LoadError> {
    let started = Instant::now();
    let name = file_name(path);
    let setup = PluginSetup::new(&name, settings.limits());
    match load_either(engine, path, &setup, &settings.filter_setup(&name)) {
        // It is compiled before it is tried, here without its settings.
        Err(error) if error.unstarted().is_none() => return Err(error),
        _ => {}
    }
    Ok(started.elapsed().as_millis().try_into().unwrap_or(u64::MAX))
}
