//! `gtm-host config check`: whether a host could start with these settings.

use std::process::ExitCode;

use gtm_host::config::{MailSettings, Settings, secret};
use gtm_runtime::{Engine, Mailer, Plugin};
use gtm_store::Group;
use gtm_text::sanitize::{indented, line};
use serde_json::json;

use super::arguments::{ConfigArguments, ConfigCommand, Format};
use super::compile_component::compilation;
use super::directories;
use super::output::{print_json, print_text};

pub(super) fn run(arguments: &ConfigArguments, settings: &Settings) -> anyhow::Result<ExitCode> {
    let ConfigCommand::Check(check) = &arguments.command;
    let mut checked = CheckedConfig::default();
    checked.note(secret(settings.source.uri.as_deref(), settings.source.uri_file.as_deref()));
    checked.note(settings.admin.token());
    checked.note(mail(&settings.mail));
    if let (Some(file), Some(name)) = (&settings.workers.file, &settings.workers.name) {
        checked.note(Group::from_file(file, name));
    }
    checked.plugins(settings)?;
    let CheckedConfig { problems, plugins } = checked;
    match check.output {
        Format::Json => {
            print_json(&json!({ "valid": problems.is_empty(), "problems": problems, "plugins": plugins }))?
        }
        Format::Text if problems.is_empty() => {
            let plugins = plugins.iter().map(|plugin| format!("\n  {}", line(plugin))).collect::<String>();
            print_text(&format!("a host can start with it{plugins}"))?
        }
        Format::Text => {
            let problems: Vec<_> = problems.iter().map(|problem| indented(problem, 2)).collect();
            print_text(&problems.join("\n"))?
        }
    };
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn mail(settings: &MailSettings) -> anyhow::Result<()> {
    let MailSettings { url, url_file, from } = settings;
    if let Some(url) = secret(url.as_deref(), url_file.as_deref())? {
        Mailer::new(&url, from.as_deref())?;
    }
    Ok(())
}

/// What was found: all of it, not the first only.
#[derive(Default)]
struct CheckedConfig {
    problems: Vec<String>,
    /// The plugins that can be loaded, with their versions.
    plugins: Vec<String>,
}

impl CheckedConfig {
    fn note<T>(&mut self, found: Result<T, impl Into<anyhow::Error>>) -> Option<T> {
        found.map_err(|error| self.problems.push(format!("{:#}", error.into()))).ok()
    }

    fn plugins(&mut self, settings: &Settings) -> anyhow::Result<()> {
        let engine = Engine::compiling(&directories::cache(settings)?, compilation())?;
        for (name, (path, plugin)) in self.note(settings.present_plugins()).unwrap_or_default() {
            let loaded = Plugin::load(&engine, &path, &plugin.setup(&name, settings.limits()));
            if let Some(loaded) = self.note(loaded) {
                self.plugins.push(format!("{name} {}", loaded.version()));
            }
        }
        Ok(())
    }
}
