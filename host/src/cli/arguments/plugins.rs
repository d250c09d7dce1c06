//! Which plugins run, and what each may take.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail};
use bytesize::ByteSize;
use clap::Args;
use gtm_host::config::{ConfigValue, PluginSettings, Settings};

use super::{Typed, overlay};

/// Which plugins run, and what each may take.
#[derive(Debug, Args)]
#[command(next_help_heading = "Plugins")]
pub(in crate::cli) struct PluginArguments {
    /// A plugin to run, and the name it has in logs (by default the file's). May be given more than
    /// once: plugins run side by side
    #[arg(short, long = "plugin", value_name = "[NAME=]FILE")]
    plugins: Vec<NamedPlugin>,

    /// A value of a plugin's config; without a NAME, of every plugin's. May be given more than once
    #[arg(short = 's', long = "set", value_name = "[NAME:]KEY=VALUE")]
    values: Vec<PluginValue>,

    /// The mail server that plugins send through; without it they cannot. smtp://, smtps://, or
    /// smtp://…?tls=required for STARTTLS
    #[arg(long, env = "GTM_SMTP", hide_env_values = true, value_name = "URL")]
    smtp: Option<String>,

    /// A file that holds the URL of the mail server, with its password
    #[arg(long, env = "GTM_SMTP_FILE", value_name = "FILE")]
    smtp_file: Option<PathBuf>,

    /// The sender of messages that name none [default: gtm-host@localhost]
    #[arg(long, env = "GTM_MAIL_FROM", value_name = "ADDRESS")]
    mail_from: Option<String>,

    /// Memory that each instance of a plugin may take [default: 256 MiB]
    #[arg(long, env = "GTM_MEMORY", value_name = "SIZE")]
    memory: Option<ByteSize>,

    /// Time for one call of a plugin's filter [default: 1s]
    #[arg(long, env = "GTM_FILTER_TIMEOUT", value_name = "TIME", value_parser = humantime::parse_duration)]
    filter_timeout: Option<Duration>,

    /// Time for one call of a plugin's handle, with all that it waits for [default: 30s]
    #[arg(long, env = "GTM_HANDLE_TIMEOUT", value_name = "TIME", value_parser = humantime::parse_duration)]
    handle_timeout: Option<Duration>,

    /// Where compiled plugins are kept [default: gtm-host in the user's cache directory]
    #[arg(long, env = "GTM_CACHE_DIR", value_name = "DIR")]
    cache_dir: Option<PathBuf>,
}

impl PluginArguments {
    /// A file that was typed goes before a value of the environment.
    pub(super) fn prefer_typed(&mut self, typed: Typed<'_>) {
        if typed("smtp_file") && !typed("smtp") {
            self.smtp = None;
        }
    }

    pub(super) fn lay_over(&self, settings: &mut Settings) -> anyhow::Result<()> {
        set_plugins(&mut settings.plugins, &self.plugins, &self.values)?;
        let Settings { mail, limits, .. } = settings;
        // A file that is named here goes before a value in the settings file.
        if self.smtp_file.is_some() {
            mail.url = None;
        }
        overlay(&mut mail.url, &self.smtp);
        overlay(&mut mail.url_file, &self.smtp_file);
        overlay(&mut mail.from, &self.mail_from);
        limits.memory = self.memory.unwrap_or(limits.memory);
        limits.filter_timeout = self.filter_timeout.unwrap_or(limits.filter_timeout);
        limits.handle_timeout = self.handle_timeout.unwrap_or(limits.handle_timeout);
        overlay(&mut settings.cache_dir, &self.cache_dir);
        Ok(())
    }
}

#[derive(Clone, Debug)]
struct NamedPlugin {
    name: String,
    path: PathBuf,
}

impl FromStr for NamedPlugin {
    type Err = String;

    fn from_str(argument: &str) -> Result<Self, String> {
        let (name, path) = match argument.split_once('=') {
            Some((name, path)) => (name.to_owned(), Path::new(path)),
            None => (stem(argument), Path::new(argument)),
        };
        if name.is_empty() || path.as_os_str().is_empty() {
            return Err("expected FILE or NAME=FILE".to_owned());
        }
        Ok(Self { name, path: path.to_owned() })
    }
}

fn stem(path: &str) -> String {
    Path::new(path).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

#[derive(Clone, Debug)]
struct PluginValue {
    plugin: Option<String>,
    key: String,
    value: String,
}

impl FromStr for PluginValue {
    type Err = String;

    fn from_str(argument: &str) -> Result<Self, String> {
        let (key, value) = argument.split_once('=').ok_or("expected KEY=VALUE or NAME:KEY=VALUE")?;
        let (plugin, key) = match key.split_once(':') {
            Some((plugin, key)) => (Some(plugin.to_owned()), key),
            None => (None, key),
        };
        if key.is_empty() {
            return Err("the key is empty".to_owned());
        }
        Ok(Self { plugin, key: key.to_owned(), value: value.to_owned() })
    }
}

fn set_plugins(
    plugins: &mut BTreeMap<String, PluginSettings>,
    named: &[NamedPlugin],
    values: &[PluginValue],
) -> anyhow::Result<()> {
    let mut said = Vec::new();
    for NamedPlugin { name, path } in named {
        if said.contains(&name) {
            bail!("two plugins are called {name}: give one another name, as in --plugin NAME=FILE");
        }
        let path = path.clone();
        let plugin = match plugins.remove(name) {
            Some(settings) => PluginSettings { path, ..settings },
            None => {
                PluginSettings { path, snapshot: None, ordering: None, lanes: None, config: BTreeMap::new() }
            }
        };
        plugins.insert(name.clone(), plugin);
        said.push(name);
    }
    if plugins.is_empty() {
        bail!("there is no plugin to run: name one by --plugin FILE, or in a settings file by --config FILE");
    }
    for PluginValue { plugin, key, value } in values {
        let value = ConfigValue::Text(value.clone());
        match plugin {
            None => {
                for plugin in plugins.values_mut() {
                    plugin.config.insert(key.clone(), value.clone());
                }
            }
            Some(name) => {
                let known = plugins.keys().cloned().collect::<Vec<_>>().join(", ");
                let plugin = plugins.get_mut(name).with_context(|| {
                    format!("--set {name}:{key}: there is no plugin {name}; there are: {known}")
                })?;
                plugin.config.insert(key.clone(), value);
            }
        }
    }
    Ok(())
}
