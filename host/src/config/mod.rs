//! The settings of the host: one type, filled from the settings file, the environment and the command line.
//!
//! [`SETTINGS`] defines each setting. The program reads the environment and the command line by these definitions, and
//! [`Settings::layered`] puts their values over those of the file.

mod definition;
mod filters;
mod hint;
mod layers;
mod mistakes;
mod plugins;
mod reference;
mod secret;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use definition::{Kind, SETTINGS, Setting};
pub use filters::{ChainFile, FilterSettings, chains};
use gtm_delivery::{BreakerPolicy, DeliveryPolicy, DeliverySettings, RetryPolicy};
use gtm_runtime::{Grant, Limits};
use gtm_source::{HistoryLost, Restart, SourceKind, StartAt};
use gtm_store::lease::parse_ttl;
use gtm_store::{ExposedFile, ListDocument, StoreKind};
pub use gtm_text::units::{parse_size, parse_time, parse_time_above_zero};
pub use hint::nearest;
pub use layers::{GivenValue, HIDDEN, OldName, Origin, Origins, in_one_line, old_variables, quoted_key};
pub use mistakes::Mistake;
pub use plugins::{ConfigTexts, ConfigValue, LimitSettings, PluginSettings};
pub use reference::{reference, schema};
pub use secret::{SecretText, secret};
use serde::{Deserialize, Deserializer, de};
pub use store::StoreSettings;

use crate::admin::AdminAddress;

/// The default name of the pipeline.
pub const NAME: &str = "gtm-host";

/// All settings. A file with an unknown key is not valid.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Which server is followed.
    pub source: SourceSettings,
    /// The server through which plugins send mail.
    pub mail: MailSettings,
    /// What each plugin may use.
    pub limits: LimitSettings,
    /// How ops are delivered to plugins.
    pub delivery: DeliverySettings,
    /// How ops are retried that a plugin failed to handle.
    pub retry: RetryPolicy,
    /// When a plugin is paused that fails op after op.
    pub breaker: BreakerPolicy,
    /// This host's share of the work.
    pub workers: WorkerSettings,
    /// Which of several hosts with the same name is active.
    pub lease: LeaseSettings,
    /// How the running host is watched and steered.
    pub admin: AdminSettings,
    /// How the host logs.
    pub log: LogSettings,
    /// The directory for compiled plugins. By default `gtm-host` in the user's cache directory.
    pub cache_dir: Option<PathBuf>,
    /// The name of the pipeline. Hosts with the same name share checkpoints. By default [`NAME`].
    pub name: Option<String>,
    /// Where checkpoints, dead letters and snapshot progress are stored.
    pub store: StoreSettings,
    /// How long after SIGINT or SIGTERM the host handles ops that it has read.
    #[serde(with = "humantime_serde::option")]
    pub shutdown_grace: Option<Duration>,
    /// A directory whose `.wasm` files are plugins, each under the name of its file. Files may be added and removed.
    pub plugin_dir: Option<PathBuf>,
    /// Whether the host swaps a plugin when its file changes. By default it does.
    pub watch: Option<bool>,
    /// The plugins, by name.
    pub plugins: BTreeMap<String, PluginSettings>,
    /// The settings of filters that run before those of plugins, by name.
    pub filters: BTreeMap<String, FilterSettings>,
    /// Whether side effects of plugins are logged instead of performed.
    #[serde(skip)]
    pub dry_run: bool,
    /// The answers given at the terminal when the host started. No file contains them.
    #[serde(skip)]
    pub for_this_run: ForThisRun,
    /// The settings for every plugin on the command line. Plugins of the directory without own settings have these.
    #[serde(skip)]
    pub every_plugin: PluginSettings,
    /// Where the values that are not defaults come from.
    #[serde(skip)]
    pub origins: Origins,
    /// The options that were set by names of earlier versions.
    #[serde(skip)]
    pub old_options: Vec<OldName>,
}

/// The answers given at the terminal when the host started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ForThisRun {
    /// The grants, each with the name of its plugin.
    pub grants: Vec<(String, Grant)>,
    /// The URL of the mail server.
    pub smtp: Option<SecretText>,
}

/// Which server is followed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourceSettings {
    /// The URI, `mongodb://…` or `mongodb+srv://…`. By default the server on this machine.
    pub uri: Option<SecretText>,
    /// A file that contains the URI, so that its password appears nowhere else.
    pub uri_file: Option<PathBuf>,
    /// The collection to tail, as `database.collection`. By default `local.oplog.rs`.
    pub oplog: Option<String>,
    /// Whether the oplog or a change stream is read.
    pub kind: SourceKind,
    /// Where a plugin without a checkpoint begins. By default now.
    pub start: Option<StartAt>,
    /// Where every plugin begins instead of at its checkpoint, once.
    pub restart_from: Option<Restart>,
    /// What to do if the server no longer has the changes to read next.
    pub on_history_lost: HistoryLost,
    /// Whether plugins first receive the existing documents.
    pub snapshot: bool,
}

/// The server through which plugins send mail.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MailSettings {
    /// The URL, `smtp://…` or `smtps://…`. Without it, plugins cannot send mail.
    pub url: Option<SecretText>,
    /// A file that contains the URL, so that its password appears nowhere else.
    pub url_file: Option<PathBuf>,
    /// The sender of messages that specify none.
    pub from: Option<String>,
}

/// This host's share of the work: all of it if no name is set.
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

/// Which of several hosts with the same name is active.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeaseSettings {
    /// How long a standby host waits without a sign of life from the active host before it takes over.
    #[serde(deserialize_with = "ttl")]
    pub ttl: Duration,
}

impl Default for LeaseSettings {
    fn default() -> Self {
        // A busy server has time to answer, and people do not wait long. If an election takes longer than three quarters of it, the
        // host loses the lease, and acquires it again when there is a primary.
        Self { ttl: Duration::from_secs(10) }
    }
}

fn ttl<'de, D: Deserializer<'de>>(text: D) -> Result<Duration, D::Error> {
    parse_ttl(&String::deserialize(text)?).map_err(de::Error::custom)
}

/// How the running host is watched and steered.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminSettings {
    /// The address at which it listens in addition to the usual socket, the path of another socket, or none.
    pub listen: Option<AdminAddress>,
    /// The token that TCP requests need. By default the host creates one.
    pub token: Option<SecretText>,
    /// A file that contains the token.
    pub token_file: Option<PathBuf>,
    /// How long the source may fail to answer before `/ready` reports it. By default [`READY_GRACE`](crate::admin::READY_GRACE).
    #[serde(with = "humantime_serde::option")]
    pub ready_grace: Option<Duration>,
    /// Directories from which a swap may take files, including their subdirectories, in addition to the plugin's own directory and the
    /// directory of plugins.
    pub swap_from: Vec<PathBuf>,
}

impl AdminSettings {
    /// Returns the token, if there is one.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn token(&self) -> Result<Option<String>, ConfigError> {
        secret(self.token.as_ref(), self.token_file.as_deref())
    }
}

/// How the host logs.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// Lines for people, or one JSON object per line.
    pub format: Option<LogFormat>,
    /// What is logged: `info`, `debug`, or directives such as `info,plugin=debug`.
    pub filter: Option<String>,
}

/// The format of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object per line, for programs.
    Json,
}

/// The error of settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("{} cannot be read: {reason}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// The error of the system.
        reason: std::io::Error,
    },
    /// Other users may change a file that contains a secret.
    #[error(transparent)]
    Exposed(#[from] ExposedFile),
    /// The settings file is not valid.
    #[error("{}", in_file(path, mistakes))]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// All mistakes in it.
        mistakes: Vec<Mistake>,
    },
    /// Two settings that mean the same are both set in one place.
    #[error("{one} and {other} are both set. help: keep one of them")]
    Both {
        /// One of them, as it is written there.
        one: String,
        /// The other.
        other: String,
    },
    /// Secrets have the text that stands for a secret in output.
    #[error(
        "{HIDDEN} is not a secret: it stands for one that is not shown ({keys}). help: write the secret, or name its file or variable"
    )]
    Hidden {
        /// The settings, with their places.
        keys: String,
    },
    /// Values that are valid alone are not valid together.
    #[error("the settings are not valid together{}: {reason}", key.as_ref().map(|key| format!(", {key}")).unwrap_or_default())]
    Combined {
        /// The key at which this was found.
        key: Option<String>,
        /// Why they are not.
        reason: String,
    },
    /// Two files are filters of the same name.
    #[error(
        "the filters {} and {} are both called {name}. help: rename one of the files", one.display(), other.display()
    )]
    SameFilter {
        /// The name.
        name: String,
        /// The first file.
        one: PathBuf,
        /// The other file.
        other: PathBuf,
    },
    /// A filter has the name of a plugin.
    #[error(
        "a plugin and a filter are both called {name}. help: name the plugin differently, as in --plugin NAME=FILE"
    )]
    FilterAndPlugin {
        /// The name.
        name: String,
    },
    /// No plugin has a filter that has settings.
    #[error(
        "no plugin has the filter {name}. help: add its file to filters under [plugins.NAME], or remove [filters.{name}]"
    )]
    UnusedFilter {
        /// The name.
        name: String,
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
    /// Returns the name of the pipeline.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(NAME)
    }

    /// Returns the limits of all plugins.
    pub fn limits(&self) -> Limits {
        self.limits.over(Limits::default())
    }

    /// Returns how ops are delivered to all plugins.
    pub fn policy(&self) -> DeliveryPolicy {
        DeliveryPolicy { delivery: self.delivery, retry: self.retry, breaker: self.breaker }
    }

    /// Applies settings that were read later, as far as a running host can: the plugins, and how ops are delivered to them.
    pub fn take_over_plugins(&mut self, later: Self) {
        let Self { plugins, filters, plugin_dir, every_plugin, limits, delivery, retry, breaker, .. } = later;
        *self = Self {
            plugins,
            filters,
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

    /// Grants something to a plugin, even if the settings are read again.
    pub fn grant_for_this_run(&mut self, name: &str, grant: Grant) {
        // A plugin of the directory may have no settings of its own.
        let every_plugin = &self.every_plugin;
        let plugin = self.plugins.entry(name.to_owned()).or_insert_with(|| every_plugin.clone());
        plugin.grants.add(grant.clone());
        self.for_this_run.grants.push((name.to_owned(), grant));
    }

    /// Returns whether there is a mail server.
    pub fn has_mail_server(&self) -> bool {
        self.mail.url.is_some() || self.mail.url_file.is_some() || self.for_this_run.smtp.is_some()
    }

    /// Returns the plugins that exist now: those that have a path, and those in the directory of plugins.
    ///
    /// # Errors
    /// The directory cannot be read, or a plugin has no file.
    pub fn present_plugins(&self) -> Result<BTreeMap<String, (PathBuf, PluginSettings)>, ConfigError> {
        let mut present = BTreeMap::new();
        if let Some(directory) = &self.plugin_dir {
            let unreadable = |reason| ConfigError::Unreadable { path: directory.clone(), reason };
            for entry in std::fs::read_dir(directory).map_err(unreadable)? {
                let path = entry.map_err(unreadable)?.path();
                if self.filter_paths().any(|filter| is_same_file(filter, &path)) {
                    continue;
                }
                if let Some(name) = dir_plugin(&path) {
                    let settings = self.plugins.get(&name).unwrap_or(&self.every_plugin).clone();
                    present.insert(name, (path, settings));
                }
            }
        }
        for (name, settings) in &self.plugins {
            match &settings.path {
                Some(path) => drop(present.insert(name.clone(), (path.clone(), settings.clone()))),
                // Its file may be added later.
                None if self.plugin_dir.is_some() => {}
                None => return Err(ConfigError::NoPath { name: name.clone() }),
            }
        }
        Ok(present)
    }

    /// Returns the files of all plugins and filters, as far as they can be listed.
    pub fn component_files(&self) -> BTreeSet<PathBuf> {
        let in_directory = self.plugin_dir.iter().filter_map(|directory| std::fs::read_dir(directory).ok());
        let in_directory = in_directory.flatten().filter_map(|entry| Some(entry.ok()?.path()));
        let in_directory = in_directory.filter(|path| dir_plugin(path).is_some());
        let with_path = self.plugins.values().filter_map(|plugin| plugin.path.clone());
        in_directory.chain(with_path).chain(self.filter_paths().cloned()).collect()
    }

    /// Returns the names that the settings have for the plugin in this file: those whose path leads to the same file, or else the name
    /// of the file.
    pub fn names_of(&self, path: &Path) -> Vec<String> {
        let same = |other: &Path| is_same_file(other, path);
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

/// Lists the mistakes in a file, one per line.
fn in_file(path: &Path, mistakes: &[Mistake]) -> String {
    let lines = mistakes.iter().map(|mistake| format!("{}, {mistake}", path.display()));
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns whether two paths lead to the same file.
fn is_same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

/// Returns the line that has this offset, from 1.
fn line(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// Returns the key at this path, or none for the whole file.
fn key(path: &serde_path_to_error::Path) -> Option<String> {
    (path.iter().len() > 0).then(|| path.to_string())
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|reason| ConfigError::Unreadable { path: path.to_owned(), reason })
}

#[cfg(test)]
mod tests;
