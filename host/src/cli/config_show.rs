//! `gtm-host config`: the settings that a host would have, and the definitions of all settings.

mod declared;
mod plugins;

use std::process::ExitCode;

use gtm_host::config::{HIDDEN, SETTINGS, Setting, Settings, in_one_line, reference, schema};
use gtm_runtime::secret::{server, without_passwords};
use gtm_text::sanitize::line;
use serde_json::json;
use toml::Value;

use super::arguments::{ConfigArguments, ConfigCommand, ConfigShowArguments, Format};
use super::config_check;
use super::output::{print, print_json, print_text};
use declared::public_values;
use plugins::{PluginsShown, is_of_every_plugin, of_plugins};

/// The origin of a value that is not set.
const DEFAULT: &str = "default";

/// Runs the commands about settings.
pub(super) fn run(arguments: &ConfigArguments, settings: &Settings) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        ConfigCommand::Check(check) => return config_check::run(check, settings),
        ConfigCommand::Show(arguments) => show(arguments, settings)?,
        ConfigCommand::Reference => drop(print(reference().trim_end().as_bytes())?),
        ConfigCommand::Schema => drop(print(serde_json::to_string_pretty(&schema())?.as_bytes())?),
    }
    Ok(ExitCode::SUCCESS)
}

/// A setting with its value and origin.
#[derive(Debug, PartialEq)]
struct Shown {
    key: String,
    value: Option<Value>,
    origin: String,
}

fn show(arguments: &ConfigShowArguments, settings: &Settings) -> anyhow::Result<()> {
    let mut shown = of_host(settings);
    let origin = |id: &str| arguments.origin(id).to_string();
    let grants: Vec<_> = arguments.written_grants().collect();
    let plugins = PluginsShown { grants: &grants, public: &public_values(settings), origin: &origin };
    shown.extend(of_plugins(settings, &plugins));
    for Shown { key, value, origin } in shown {
        let is_read = match arguments.output {
            Format::Json => print_json(&json!({ "key": key, "value": value, "origin": origin }))?,
            Format::Text => {
                let setting = match value {
                    // A key of a plugin to come is not valid in a settings file.
                    Some(value) if is_of_every_plugin(&key) => format!("# {key} = {}", in_one_line(&value)),
                    Some(value) => format!("{key} = {}", in_one_line(&value)),
                    None => format!("# {key} is not set"),
                };
                let setting = line(&setting);
                let origin = match arguments.origin {
                    true => format!("  # {}", line(&origin)),
                    false => String::new(),
                };
                print_text(&format!("{setting}{origin}"))?
            }
        };
        if !is_read {
            break;
        }
    }
    Ok(())
}

fn of_host(settings: &Settings) -> Vec<Shown> {
    let own = SETTINGS.iter().filter(|setting| !setting.is_of_plugin());
    let shown = own.map(|setting| {
        let (value, origin) = match settings.origins.get(setting.key) {
            Some((value, origin)) => (Some(shown_value(setting, value)), origin.to_string()),
            None => (default(setting, settings), DEFAULT.to_owned()),
        };
        Shown { key: setting.key.to_owned(), value, origin }
    });
    shown.collect()
}

/// Returns the default of a setting, unless another key sets the same.
fn default(setting: &Setting, settings: &Settings) -> Option<Value> {
    let is_replaced = setting.instead_of.iter().any(|key| settings.origins.get(key).is_some());
    setting.default.filter(|_| !is_replaced).and_then(|default| setting.parse(default).ok())
}

fn shown_value(setting: &Setting, value: &Value) -> Value {
    match value {
        // Of a URL, the user, the password, the path and the options may be secrets.
        Value::String(url) if matches!(setting.key, "source.uri" | "mail.url") => text(&server(url)),
        Value::String(_) if setting.is_secret() => text(HIDDEN),
        value => without_secrets(value),
    }
}

/// The keys of the secrets in a grant: the headers that the host adds to requests, and the credentials with which it signs them.
const SECRETS_OF_GRANTS: [&str; 4] = ["headers", "access_key", "secret_key", "session_token"];

/// Returns the value without passwords of URLs, and without the secrets in grants.
fn without_secrets(value: &Value) -> Value {
    match value {
        Value::String(words) => text(words),
        Value::Array(items) => Value::Array(items.iter().map(without_secrets).collect()),
        Value::Table(table) => Value::Table(
            table
                .iter()
                .map(|(key, value)| {
                    let is_secret = SECRETS_OF_GRANTS.contains(&key.as_str());
                    let value = if is_secret { hidden(value) } else { without_secrets(value) };
                    (key.clone(), value)
                })
                .collect(),
        ),
        other => other.clone(),
    }
}

/// Returns what is shown instead of a value. A reference to a variable or to a file is not a secret.
fn hidden(value: &Value) -> Value {
    match value {
        Value::Table(table)
            if table.len() == 1 && (table.contains_key("env") || table.contains_key("file")) =>
        {
            value.clone()
        }
        Value::Table(table) => {
            Value::Table(table.iter().map(|(key, value)| (key.clone(), hidden(value))).collect())
        }
        _ => text(HIDDEN),
    }
}

fn text(words: &str) -> Value {
    Value::String(without_passwords(words).into_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use gtm_host::config::{GivenValue, Origin};

    use super::*;

    const FILE: &str = "name = \"shop\"\n[source]\nuri = \"mongodb://ada:s3cret@h\"\n[admin]\ntoken = \"s3cret\"\n\
        [limits]\nmemory = \"1 MiB\"\n[plugins.x]\npath = \"x.wasm\"\nconfig.key = \"s3cret\"\n\
        grants.http = [{ url = \"https://h\", headers = { authorization = \"s3cret\" } }, { url = \"https://a\", \
        aws_sigv4 = { region = \"r\", service = \"es\", access_key = \"s3cret\", secret_key = \"s3cret\", \
        session_token = \"s3cret\" } }]\n";

    fn settings(given: &[(&str, &str, Origin)]) -> (tempfile::TempDir, Settings) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("gtm.toml");
        std::fs::write(&file, FILE).unwrap();
        let given: Vec<_> = given
            .iter()
            .map(|(key, text, origin)| {
                let setting = Setting::find(key).unwrap();
                GivenValue { setting, value: setting.parse(text).unwrap(), origin: origin.clone() }
            })
            .collect();
        let settings = Settings::layered(Some(&file), &given).unwrap();
        (directory, settings)
    }

    fn plugins_shown(settings: &Settings) -> Vec<Shown> {
        let plugins = PluginsShown { grants: &[], public: &BTreeSet::new(), origin: &|id| id.to_owned() };
        of_plugins(settings, &plugins)
    }

    fn origin(settings: &Settings, key: &str) -> String {
        let all = of_host(settings).into_iter().chain(plugins_shown(settings));
        let found = all.into_iter().find(|shown| shown.key == key);
        found.unwrap().origin
    }

    #[test]
    fn the_origin_of_each_value_is_known() {
        let (variable, option) = (Origin::Variable("GTM_X".into()), Origin::Option("x".into()));
        let given = [
            ("delivery.lanes", "2", variable.clone()),
            ("retry.max_attempts", "3", option.clone()),
            ("retry.max_attempts", "4", variable),
            ("limits.memory", "2 MiB", option),
        ];
        let (_directory, settings) = settings(&given);
        assert!(origin(&settings, "name").ends_with("gtm.toml, line 1"), "{}", origin(&settings, "name"));
        assert!(origin(&settings, "source.uri").ends_with("gtm.toml, line 3"));
        assert!(origin(&settings, "plugins.x.path").ends_with("gtm.toml, line 9"));
        assert_eq!(origin(&settings, "delivery.lanes"), "the variable GTM_X");
        assert_eq!(origin(&settings, "limits.memory"), "--x");
        assert_eq!(origin(&settings, "retry.max_delay"), DEFAULT);
        assert_eq!((settings.retry.max_attempts, settings.delivery.lanes), (3, 2));
        assert_eq!(settings.limits().memory, 2 << 20);
    }

    #[test]
    fn a_secret_is_not_shown() {
        let (_directory, settings) = settings(&[]);
        let shown = format!("{:?}{:?}", of_host(&settings), plugins_shown(&settings));
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(shown.contains("plugins.x.config.key"), "{shown}");
    }

    #[test]
    fn a_file_for_a_secret_replaces_a_secret_of_a_lower_layer_only() {
        let option = Origin::Option("uri-file".into());
        let (_directory, typed) = settings(&[("source.uri_file", "uri", option.clone())]);
        assert_eq!((typed.source.uri, typed.source.uri_file), (None, Some("uri".into())));
    }
}
