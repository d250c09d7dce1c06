//! The settings of the host: one type, filled from `gtm.toml`, the environment and the command line.
//!
//! [`SETTINGS`] defines each. The program reads the environment and the command line by that definition, and [`Settings::layered`] lays
//! their values over those of the file.

mod definition;
mod hint;
mod layers;
mod plugins;
mod reference;
mod store;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use definition::{Kind, SETTINGS, Setting};
use gtm_delivery::{BreakerPolicy, DeliveryPolicy, DeliverySettings, RetryPolicy};
use gtm_runtime::{Grant, Limits};
use gtm_source::{HistoryLost, Restart, SourceKind, StartAt};
use gtm_store::lease::parse_ttl;
use gtm_store::own_files::read_secret;
use gtm_store::{ExposedFile, ListDocument, StoreKind};
pub use gtm_text::units::{parse_size, parse_time, parse_time_above_zero};
use hint::with_hint;
pub use layers::{GivenValue, Origin, Origins};
pub use plugins::{ConfigValue, LimitSettings, PluginSettings};
pub use reference::{reference, schema};
use serde::{Deserialize, Deserializer, de};
pub use store::StoreSettings;

use crate::admin::AdminAddress;

/// The name of the pipeline, where nothing is said.
pub const NAME: &str = "gtm-host";

/// Everything that can be set. Unknown keys are refused.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Which server is followed.
    pub source: SourceSettings,
    /// Through which server plugins send mail.
    pub mail: MailSettings,
    /// What each plugin may take.
    pub limits: LimitSettings,
    /// How ops are brought to plugins.
    pub delivery: DeliverySettings,
    /// What becomes of an op that a plugin could not handle.
    pub retry: RetryPolicy,
    /// What becomes of a plugin that fails on op after op.
    pub breaker: BreakerPolicy,
    /// Which part of the work is this host's.
    pub workers: WorkerSettings,
    /// Which of two hosts of one name works.
    pub lease: LeaseSettings,
    /// How the running host is seen and steered.
    pub admin: AdminSettings,
    /// How the host logs.
    pub log: LogSettings,
    /// Where compiled plugins are kept. By default `gtm-host` in the user's cache directory.
    pub cache_dir: Option<PathBuf>,
    /// The name of the pipeline, under which hosts share checkpoints. By default [`NAME`].
    pub name: Option<String>,
    /// Where checkpoints, dead letters and the progress of snapshots are kept.
    pub store: StoreSettings,
    /// How long, after SIGINT or SIGTERM, ops that were read are still handled.
    #[serde(with = "humantime_serde::option")]
    pub shutdown_grace: Option<Duration>,
    /// A directory whose `.wasm` files are plugins, each under the name of its file; as they come and go.
    pub plugin_dir: Option<PathBuf>,
    /// Whether a plugin whose file changes is swapped for what is in it then. By default it is.
    pub watch: Option<bool>,
    /// The plugins, by name.
    pub plugins: BTreeMap<String, PluginSettings>,
    /// Nothing that plugins want done is done: it is only said.
    #[serde(skip)]
    pub dry_run: bool,
    /// What was said when the host was started at a terminal. It stands in no file.
    #[serde(skip)]
    pub for_this_run: ForThisRun,
    /// What was said for every plugin, on the command line: for those of the directory that have no settings.
    #[serde(skip)]
    pub every_plugin: PluginSettings,
    /// Where the values that are not defaults come from.
    #[serde(skip)]
    pub origins: Origins,
}

/// What was said when the host was started at a terminal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ForThisRun {
    /// To which plugin what is granted.
    pub grants: Vec<(String, Grant)>,
    /// The URL of the mail server.
    pub smtp: Option<String>,
}

/// Which server is followed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourceSettings {
    /// `mongodb://…` or `mongodb+srv://…`. By default the server on this machine.
    pub uri: Option<String>,
    /// A file that holds the URI, so that its password stands nowhere else.
    pub uri_file: Option<PathBuf>,
    /// The collection to tail, as `database.collection`. By default `local.oplog.rs`.
    pub oplog: Option<String>,
    /// Whether the oplog or a change stream is read.
    pub kind: SourceKind,
    /// Where reading begins where there is no checkpoint. By default now.
    pub start: Option<StartAt>,
    /// Where reading begins in place of a checkpoint, once.
    pub restart_from: Option<Restart>,
    /// What is done when changes cannot be read any more.
    pub on_history_lost: HistoryLost,
    /// Whether plugins get the documents that are there first.
    pub snapshot: bool,
}

/// Through which server plugins send mail.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MailSettings {
    /// `smtp://…` or `smtps://…`. Without it, plugins cannot send mail.
    pub url: Option<String>,
    /// A file that holds the URL, so that its password stands nowhere else.
    pub url_file: Option<PathBuf>,
    /// The sender of messages that name none.
    pub from: Option<String>,
}

/// Which part of the work is this host's. All of it, where no name is set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerSettings {
    /// The name of this host among the workers.
    pub name: Option<String>,
    /// The file that lists all workers.
    pub file: Option<PathBuf>,
    /// The document on the cluster that lists all workers, as `DB.COLL/ID`.
    pub from: Option<ListDocument>,
}

/// Which of two hosts of one name works.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeaseSettings {
    /// How long a host that stands by waits, without a sign of life from the one that works, before it takes over.
    #[serde(deserialize_with = "ttl")]
    pub ttl: Duration,
}

impl Default for LeaseSettings {
    fn default() -> Self {
        // A busy server has time to answer, and people do not wait long. (Where an election takes longer than three
        // quarters of it, the lease is lost, and had anew when there is a primary.)
        Self { ttl: Duration::from_secs(10) }
    }
}

fn ttl<'de, D: Deserializer<'de>>(text: D) -> Result<Duration, D::Error> {
    parse_ttl(&String::deserialize(text)?).map_err(de::Error::custom)
}

/// How the running host is seen and steered.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminSettings {
    /// Where it listens for that beside the socket by which commands find it; or the path of another socket, or nowhere.
    pub listen: Option<AdminAddress>,
    /// What who asks by TCP must know. By default the host makes one.
    pub token: Option<String>,
    /// A file that holds the token.
    pub token_file: Option<PathBuf>,
    /// How long the source may not answer before `/ready` says so. By default [`READY_GRACE`](crate::admin::READY_GRACE).
    #[serde(with = "humantime_serde::option")]
    pub ready_grace: Option<Duration>,
    /// Directories, with those in them, from which a swap may take files; beside the plugin's own, and the directory of plugins.
    pub swap_from: Vec<PathBuf>,
}

impl AdminSettings {
    /// The token, if there is one.
    ///
    /// # Errors
    /// Its file cannot be read.
    pub fn token(&self) -> Result<Option<String>, ConfigError> {
        secret(self.token.as_deref(), self.token_file.as_deref())
    }
}

/// How the host logs.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// Lines for people, or a JSON object each.
    pub format: Option<LogFormat>,
    /// What is logged: `info`, `debug`, or directives like `info,plugin=debug`.
    pub filter: Option<String>,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: an object a line.
    Json,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("{} cannot be read: {reason}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// Others may change a file with a secret.
    #[error(transparent)]
    Exposed(#[from] ExposedFile),
    /// The settings are not understood.
    #[error("{}, line {line}{}: {reason}", path.display(), key.as_ref().map(|key| format!(", {key}")).unwrap_or_default())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// The key whose value it is.
        key: Option<String>,
        /// What was expected there. Not the line itself: it may hold a password.
        reason: String,
    },
    /// Values that are valid alone are not valid together.
    #[error("the settings are not valid together: {reason}")]
    Combined {
        /// Why they are not.
        reason: String,
    },
    /// A plugin has no file.
    #[error("the plugin {name} has no path: set path under [plugins.{name}], or plugin_dir")]
    NoPath {
        /// The plugin.
        name: String,
    },
}

/// The name of the plugin in this file, where no other is set.
pub fn file_name(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The name of a plugin whose file this is. None: it is none, such as one that is written under another name first.
pub fn dir_plugin(path: &Path) -> Option<String> {
    let name = path.file_stem()?.to_str()?;
    let is_plugin = path.extension()? == "wasm" && !name.is_empty() && !name.starts_with('.');
    (is_plugin && path.is_file()).then(|| name.to_owned())
}

impl Settings {
    /// The name of the pipeline.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(NAME)
    }

    /// The limits of all plugins.
    pub fn limits(&self) -> Limits {
        self.limits.over(Limits::default())
    }

    /// How ops are delivered to all plugins.
    pub fn policy(&self) -> DeliveryPolicy {
        DeliveryPolicy { delivery: self.delivery, retry: self.retry, breaker: self.breaker }
    }

    /// Takes over, from settings that were read later, what can be taken up while a host runs: the plugins, and how ops are
    /// delivered to them.
    pub fn take_over_plugins(&mut self, later: Self) {
        let Self { plugins, plugin_dir, every_plugin, limits, delivery, retry, breaker, .. } = later;
        *self = Self {
            plugins,
            plugin_dir,
            every_plugin,
            limits,
            delivery,
            retry,
            breaker,
            ..std::mem::take(self)
        };
        for (name, grant) in std::mem::take(&mut self.for_this_run.grants) {
            self.grant_for_this_run(&name, grant);
        }
    }

    /// Grants something to a plugin, whatever the settings are later.
    pub fn grant_for_this_run(&mut self, name: &str, grant: Grant) {
        // One of the directory may have no settings of its own.
        let every_plugin = &self.every_plugin;
        let plugin = self.plugins.entry(name.to_owned()).or_insert_with(|| every_plugin.clone());
        plugin.grants.add(grant.clone());
        self.for_this_run.grants.push((name.to_owned(), grant));
    }

    /// Whether there is a server to send mail through.
    pub fn has_mail_server(&self) -> bool {
        self.mail.url.is_some() || self.mail.url_file.is_some() || self.for_this_run.smtp.is_some()
    }

    /// The plugins that there are now: those that have a path, and those in the directory of plugins.
    ///
    /// # Errors
    /// The directory cannot be read, or a plugin is nowhere.
    pub fn present_plugins(&self) -> Result<BTreeMap<String, (PathBuf, PluginSettings)>, ConfigError> {
        let mut present = BTreeMap::new();
        if let Some(directory) = &self.plugin_dir {
            let unreadable = |reason| ConfigError::Unreadable { path: directory.clone(), reason };
            for entry in std::fs::read_dir(directory).map_err(unreadable)? {
                let path = entry.map_err(unreadable)?.path();
                if let Some(name) = dir_plugin(&path) {
                    let settings = self.plugins.get(&name).unwrap_or(&self.every_plugin).clone();
                    present.insert(name, (path, settings));
                }
            }
        }
        for (name, settings) in &self.plugins {
            match &settings.path {
                Some(path) => drop(present.insert(name.clone(), (path.clone(), settings.clone()))),
                // Its file may come.
                None if self.plugin_dir.is_some() => {}
                None => return Err(ConfigError::NoPath { name: name.clone() }),
            }
        }
        Ok(present)
    }

    /// Returns the names under which the plugin in this file is set up: those whose path leads to the same file or, if there are none,
    /// the name of the file.
    pub fn names_of(&self, path: &Path) -> Vec<String> {
        let same = |other: &Path| match (other.canonicalize(), path.canonicalize()) {
            (Ok(other), Ok(path)) => other == path,
            _ => other == path,
        };
        let set_up = self.plugins.iter().filter(|(_, plugin)| plugin.path.as_deref().is_some_and(same));
        let names: Vec<_> = set_up.map(|(name, _)| name.clone()).collect();
        match names.is_empty() {
            true => vec![file_name(path)],
            false => names,
        }
    }

    /// Reads a settings file. Paths of plugins and of files in it are relative to its directory.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::layered(Some(path), &[])
    }
}

/// A secret that is given as it is or, better, by the file that holds it.
///
/// # Errors
/// The file cannot be read, or others may change it.
pub fn secret(value: Option<&str>, file: Option<&Path>) -> Result<Option<String>, ConfigError> {
    match (value, file) {
        (Some(value), _) => Ok(Some(value.to_owned())),
        (None, Some(file)) => {
            let refused = |reason: std::io::Error| match reason.downcast::<ExposedFile>() {
                Ok(exposed) => ConfigError::Exposed(exposed),
                Err(reason) => ConfigError::Unreadable { path: file.to_owned(), reason },
            };
            Ok(Some(read_secret(file).map_err(refused)?.trim_end().to_owned()))
        }
        (None, None) => Ok(None),
    }
}

/// The error of a settings file that is not understood.
fn invalid(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let span = error.span().unwrap_or_default();
    ConfigError::Invalid {
        path: path.to_owned(),
        line: line(text, span.start),
        key: key(text, span.start),
        reason: with_hint(error.message(), text.get(span).unwrap_or_default()),
    }
}

fn line(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// The key before a value that begins here.
fn key(text: &str, value: usize) -> Option<String> {
    let before = text.get(..value)?.lines().last()?.trim_end().strip_suffix('=')?.trim_end();
    let is_key = |sign: char| sign.is_ascii_alphanumeric() || "_-.\"".contains(sign);
    let key = before.rsplit(|sign| !is_key(sign)).next()?;
    (!key.is_empty()).then(|| key.to_owned())
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|reason| ConfigError::Unreadable { path: path.to_owned(), reason })
}

#[cfg(test)]
mod tests;
