//! What can be said on the command line and in the environment, laid over the settings file.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail};
use bytesize::ByteSize;
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum};
use gtm_host::config::{ConfigValue, LogFormat, PluginSettings, Settings};
use gtm_host::source::Start;

const EXAMPLES: &str = "\
Examples:
  Send a welcome e-mail to each new user of the database on this machine:
    gtm-host --plugin send_welcome_email.wasm --smtp smtp://localhost:1025

  See every change that comes by, beside it:
    gtm-host --plugin send_welcome_email.wasm --plugin print_ops.wasm --smtp smtp://localhost:1025

  Follow a replica set with a password, which stays out of the command line:
    MONGODB_URI='mongodb://user:password@db1,db2/?replicaSet=rs0&authSource=admin' \\
      gtm-host --plugin print_ops.wasm

  Keep everything in a file (examples/gtm.toml is one with comments):
    gtm-host --config gtm.toml

A plugin is a WebAssembly component that exports filter and handle. It has no files, no network and no
environment. One that fails is tried again; each op that is not handled in the end is logged with its id.
SIGINT (Ctrl-C) and SIGTERM stop the host when what it has read is handled; a second one stops it at once.
Exit status: 0 stopped by a signal, 1 failed, 2 the command line was not understood.";

/// Runs sandboxed WebAssembly plugins on every change in MongoDB.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// A plugin to run, and the name it has in logs (by default the file's). May be given more than
    /// once: plugins run side by side
    #[arg(short, long = "plugin", value_name = "[NAME=]FILE")]
    plugins: Vec<NamedPlugin>,

    /// A value of a plugin's config; without a NAME, of every plugin's. May be given more than once
    #[arg(short = 's', long = "set", value_name = "[NAME:]KEY=VALUE")]
    values: Vec<PluginValue>,

    /// Read settings from a file. The command line and the environment go before it
    #[arg(short, long, env = "GTM_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// The MongoDB to follow: a replica set [default: mongodb://localhost:27017]
    #[arg(short, long, env = "MONGODB_URI", hide_env_values = true)]
    uri: Option<String>,

    /// A file that holds the URI, with its password
    #[arg(long, env = "MONGODB_URI_FILE", value_name = "FILE")]
    uri_file: Option<PathBuf>,

    /// The collection to tail [default: local.oplog.rs]
    #[arg(long, env = "GTM_OPLOG", value_name = "DB.COLL")]
    oplog: Option<String>,

    /// Where to begin: now, oldest, a time like 2026-01-31T12:00:00Z, or after the entry
    /// SECONDS.INCREMENT, such as the place at which a host says that it stopped [default: now]
    #[arg(long, env = "GTM_START", value_name = "START")]
    start: Option<Start>,

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

    /// How often an op is tried in all [default: 8]
    #[arg(long, env = "GTM_MAX_ATTEMPTS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_attempts: Option<u32>,

    /// The pause before the second attempt; it doubles from there [default: 500ms]
    #[arg(long, env = "GTM_RETRY_DELAY", value_name = "TIME", value_parser = humantime::parse_duration)]
    retry_delay: Option<Duration>,

    /// After a signal, how long ops that were read are still handled [default: 30s]
    #[arg(long, env = "GTM_SHUTDOWN_GRACE", value_name = "TIME", value_parser = humantime::parse_duration)]
    shutdown_grace: Option<Duration>,

    /// Where compiled plugins are kept [default: gtm-host in the user's cache directory]
    #[arg(long, env = "GTM_CACHE_DIR", value_name = "DIR")]
    cache_dir: Option<PathBuf>,

    /// What is logged: error, warn, info, debug, trace, or directives such as info,plugin=debug
    /// [default: warn,gtm_host=info,plugin=info]
    #[arg(long, env = "GTM_LOG", value_name = "FILTER")]
    log: Option<String>,

    /// The form of the log, on standard error: lines for people, or a JSON object each [default: text]
    #[arg(long, env = "GTM_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<Format>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
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

/// Lays what was said over a setting.
fn overlay<T>(setting: &mut Option<T>, said: Option<T>) {
    if said.is_some() {
        *setting = said;
    }
}

impl Arguments {
    /// Reads the command line and the environment.
    ///
    /// # Errors
    /// They are not understood, or ask for help.
    pub(super) fn read(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let matches = Self::command().try_get_matches_from(words)?;
        let mut arguments = Self::from_arg_matches(&matches)?;
        let typed = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
        // A file that was typed goes before a value of the environment.
        if typed("uri_file") && !typed("uri") {
            arguments.uri = None;
        }
        if typed("smtp_file") && !typed("smtp") {
            arguments.smtp = None;
        }
        Ok(arguments)
    }

    /// The settings: the file's, if there is one, with what was said here over them.
    pub(super) fn settings(self) -> anyhow::Result<Settings> {
        let mut settings = match &self.config {
            Some(path) => Settings::read(path)?,
            None => Settings::default(),
        };
        set_plugins(&mut settings.plugins, self.plugins, self.values)?;

        let Settings { source, mail, limits, retry, log, .. } = &mut settings;
        // A file that is named here goes before a value in the settings file.
        if self.uri_file.is_some() {
            source.uri = None;
        }
        if self.smtp_file.is_some() {
            mail.url = None;
        }
        overlay(&mut source.uri, self.uri);
        overlay(&mut source.uri_file, self.uri_file);
        overlay(&mut source.oplog, self.oplog);
        source.start = self.start.unwrap_or(source.start);
        overlay(&mut mail.url, self.smtp);
        overlay(&mut mail.url_file, self.smtp_file);
        overlay(&mut mail.from, self.mail_from);
        limits.memory = self.memory.unwrap_or(limits.memory);
        limits.filter_timeout = self.filter_timeout.unwrap_or(limits.filter_timeout);
        limits.handle_timeout = self.handle_timeout.unwrap_or(limits.handle_timeout);
        retry.max_attempts = self.max_attempts.unwrap_or(retry.max_attempts);
        retry.initial_delay = self.retry_delay.unwrap_or(retry.initial_delay);
        overlay(&mut log.filter, self.log);
        overlay(&mut log.format, self.log_format.map(LogFormat::from));
        overlay(&mut settings.cache_dir, self.cache_dir);
        overlay(&mut settings.shutdown_grace, self.shutdown_grace);
        Ok(settings)
    }
}

fn set_plugins(
    plugins: &mut BTreeMap<String, PluginSettings>,
    named: Vec<NamedPlugin>,
    values: Vec<PluginValue>,
) -> anyhow::Result<()> {
    let mut said = Vec::new();
    for NamedPlugin { name, path } in named {
        if said.contains(&name) {
            bail!("two plugins are called {name}: give one another name, as in --plugin NAME=FILE");
        }
        let config = plugins.remove(&name).map(|plugin| plugin.config).unwrap_or_default();
        plugins.insert(name.clone(), PluginSettings { path, config });
        said.push(name);
    }
    if plugins.is_empty() {
        bail!("there is no plugin to run: name one by --plugin FILE, or in a settings file by --config FILE");
    }
    for PluginValue { plugin, key, value } in values {
        let value = ConfigValue::Text(value);
        match plugin {
            None => {
                for plugin in plugins.values_mut() {
                    plugin.config.insert(key.clone(), value.clone());
                }
            }
            Some(name) => {
                let known = plugins.keys().cloned().collect::<Vec<_>>().join(", ");
                let plugin = plugins.get_mut(&name).with_context(|| {
                    format!("--set {name}:{key}: there is no plugin {name}; there are: {known}")
                })?;
                plugin.config.insert(key, value);
            }
        }
    }
    Ok(())
}

impl From<Format> for LogFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Text => Self::Text,
            Format::Json => Self::Json,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(arguments: &[&str]) -> Result<Settings, String> {
        let all = std::iter::once("gtm-host").chain(arguments.iter().copied());
        let arguments = Arguments::read(all.map(OsString::from)).map_err(|error| error.to_string())?;
        arguments.settings().map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn plugins_have_names_and_values() {
        let settings =
            settings(&["-p", "a/mail.wasm", "-p", "x=b.wasm", "-s", "k=1", "-s", "x:k=a=b"]).unwrap();
        assert_eq!(settings.plugins["mail"].path, Path::new("a/mail.wasm"));
        assert_eq!(settings.plugins["mail"].config["k"], ConfigValue::Text("1".into()));
        assert_eq!(settings.plugins["x"].config["k"], ConfigValue::Text("a=b".into()));
    }

    #[test]
    fn the_command_line_goes_before_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("gtm.toml");
        let text = "[source]\nuri = \"mongodb://file\"\noplog = \"a.b\"\n[plugins.x]\npath = \"x.wasm\"\nconfig.n = 3\n";
        std::fs::write(&file, text).unwrap();
        let settings = settings(&["--config", file.to_str().unwrap(), "--uri", "mongodb://said"]).unwrap();
        assert_eq!(settings.source.uri.as_deref(), Some("mongodb://said"));
        assert_eq!(settings.source.oplog.as_deref(), Some("a.b"));
        assert_eq!(settings.plugins["x"].path, directory.path().join("x.wasm"));
        assert_eq!(settings.plugins["x"].config["n"].to_string(), "3");
    }

    #[test]
    fn mistakes_are_named() {
        assert!(settings(&[]).unwrap_err().contains("no plugin to run"));
        assert!(
            settings(&["-p", "a/x.wasm", "-p", "b/x.wasm"]).unwrap_err().contains("two plugins are called x")
        );
        assert!(settings(&["-p", "x.wasm", "-s", "y:k=1"]).unwrap_err().contains("there are: x"));
        assert!(settings(&["-p", "x.wasm", "-s", "k"]).unwrap_err().contains("expected KEY=VALUE"));
        assert!(settings(&["-p", "x.wasm", "--memory", "much"]).unwrap_err().contains("--memory"));
        assert!(settings(&["-p", "x.wasm", "--max-attempts", "0"]).unwrap_err().contains("--max-attempts"));
    }
}
