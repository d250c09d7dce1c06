//! `gtm-host config check`: checks whether a host can start with these settings.

use std::process::ExitCode;

use gtm_host::config::Settings;
use gtm_host::remedy::WithRemedy;
use gtm_runtime::secret::without_passwords;
use gtm_runtime::{PluginHandle, Services};
use gtm_text::sanitize::{indented, line};
use serde_json::json;

use super::arguments::{ConfigCheckArguments, Format};
use super::chains::ChainLoader;
use super::load::{Loader, reserve};
use super::output::{print_json, print_text};
use super::plugin_errors::PluginErrors;
use super::shared_settings::unused_value;
use super::{preflight, usage};

pub(super) fn run(check: &ConfigCheckArguments, settings: &Settings) -> anyhow::Result<ExitCode> {
    let mut problems = preflight::problems(settings);
    let plugins = plugins(settings, &mut problems);
    // Such a plugin runs and handles nothing.
    problems.extend(PluginErrors::take().into_iter().map(anyhow::Error::from));
    let status = usage::status_of_all(&problems);
    let problems: Vec<_> = problems.iter().map(|problem| WithRemedy(problem.as_ref()).to_string()).collect();
    let problems: Vec<_> = problems.iter().map(|problem| without_passwords(problem)).collect();
    match check.output {
        Format::Json => {
            print_json(&json!({ "valid": problems.is_empty(), "problems": problems, "plugins": plugins }))?
        }
        Format::Text if problems.is_empty() => {
            let plugins = plugins.iter().map(|plugin| format!("\n  {}", line(plugin))).collect::<String>();
            print_text(&format!("a host can start with these settings{plugins}"))?
        }
        Format::Text => {
            let problems: Vec<_> = problems.iter().map(|problem| indented(problem, 2)).collect();
            print_text(&problems.join("\n"))?
        }
    };
    Ok(status)
}

/// Returns the plugins that can run side by side, with their versions. The problems of the others are added to `problems`.
fn plugins(settings: &Settings, problems: &mut Vec<anyhow::Error>) -> Vec<String> {
    // If they are unknown, the problems contain that already.
    let (Ok(present), Ok(loader)) =
        (settings.present_plugins(), Loader::new(settings).map_err(|error| problems.push(error)))
    else {
        return Vec::new();
    };
    // Each keeps its reservations until all are checked.
    let own = present.iter().map(|(name, (_, own))| (name.as_str(), own));
    let mut chains = ChainLoader::new(loader.engine(), settings, own);
    let (mut slots, mut all, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for (name, (path, own)) in present {
        let loaded =
            loader.load_now(&path, &own.setup(&name, settings.limits())).map_err(anyhow::Error::from);
        let reserved = loaded.and_then(|plugin| {
            all.push(plugin.clone());
            let slot = PluginHandle::new(plugin, Services::default());
            chains.add_chain(&slot)?;
            reserve(&slot, &own, settings)?;
            Ok(slot)
        });
        match reserved {
            Ok(slot) => slots.push(slot),
            Err(error) => failed.push((name, error)),
        }
    }
    let unloaded = failed.iter().filter(|(name, _)| all.iter().all(|plugin| plugin.name() != name));
    let unused = unused_value(settings, &all, unloaded.map(|(name, error)| (name.as_str(), error)));
    problems.extend(failed.into_iter().map(|(_, error)| error));
    problems.extend(unused.map(|unused| unused.error));
    slots.iter().map(|slot| format!("{} {}", slot.name(), slot.current().version())).collect()
}
