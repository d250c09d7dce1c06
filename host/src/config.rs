//! The settings of the host: one type, filled from `gtm.toml`, the environment and the command line.
//!
//! The file is read here. What the environment and the command line say is laid over it by the
//! program, which knows them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Deserializer, de};

use crate::admin::AdminAddress;
use crate::delivery::{BreakerPolicy, DeliverySettings, Ordering, RetryPolicy};
use crate::lease::parse_ttl;
use crate::plugin::Limits;
use crate::source::{HistoryLost, SourceKind, Start};
use crate::store::StoreKind;
use crate::workers::ListDocument;

/// The name of the pipeline, where nothing is said.
pub const NAME: &str = "gtm-host";

/// Everything that can be set. Unknown keys are refused.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Which server is followed.
    pub source: Source,
    /// Through which server plugins send mail.
    pub mail: Mail,
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
    pub log: Log,
    /// Where compiled plugins are kept. By default `gtm-host` in the user's cache directory.
    pub cache_dir: Option<PathBuf>,
    /// The name of the pipeline, under which hosts share checkpoints. By default [`NAME`].
    pub name: Option<String>,
    /// Where checkpoints, dead letters and the progress of snapshots are kept.
    pub store: StoreKind,
    /// How long, after SIGINT or SIGTERM, ops that were read are still handled.
    #[serde(with = "humantime_serde::option")]
    pub shutdown_grace: Option<Duration>,
    /// The plugins, by name.
    pub plugins: BTreeMap<String, PluginSettings>,
}

/// Which server is followed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Source {
    /// `mongodb://…` or `mongodb+srv://…`. By default the server on this machine.
    pub uri: Option<String>,
    /// A file that holds the URI, so that its password stands nowhere else.
    pub uri_file: Option<PathBuf>,
    /// The collection to tail, as `database.collection`. By default `local.oplog.rs`.
    pub oplog: Option<String>,
    /// Whether the oplog or a change stream is read.
    pub kind: SourceKind,
    /// Where reading begins.
    pub start: Start,
    /// What is done when changes cannot be read any more.
    pub on_history_lost: HistoryLost,
    /// Whether plugins get the documents that are there first.
    pub snapshot: bool,
}

/// Through which server plugins send mail.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mail {
    /// `smtp://…` or `smtps://…`. Without it, plugins cannot send mail.
    pub url: Option<String>,
    /// A file that holds the URL, so that its password stands nowhere else.
    pub url_file: Option<PathBuf>,
    /// The sender of messages that name none.
    pub from: Option<String>,
}

/// What each instance of a plugin may take.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// Of linear memory.
    pub memory: ByteSize,
    /// For one call of `filter`.
    #[serde(with = "humantime_serde")]
    pub filter_timeout: Duration,
    /// For one call of `handle`, with all that it waits for.
    #[serde(with = "humantime_serde")]
    pub handle_timeout: Duration,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            // A document can be 16 MB, and decoding one in an interpreted language takes ten times that.
            memory: ByteSize::mib(256),
            filter_timeout: Duration::from_secs(1),
            // More than one slow mail server or HTTP service needs to answer or to time out.
            handle_timeout: Duration::from_secs(30),
        }
    }
}

impl From<LimitSettings> for Limits {
    fn from(settings: LimitSettings) -> Self {
        Self {
            memory: usize::try_from(settings.memory.as_u64()).unwrap_or(usize::MAX),
            filter_timeout: settings.filter_timeout,
            handle_timeout: settings.handle_timeout,
        }
    }
}

/// Which part of the work is this host's. All of it, where no name is set.
#[derive(Clone, Debug, Default, Deserialize)]
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
#[derive(Clone, Copy, Debug, Deserialize)]
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
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminSettings {
    /// Where it listens for that. By default nowhere.
    pub listen: Option<AdminAddress>,
    /// What who asks must know. It is needed where others than this machine reach the host.
    pub token: Option<String>,
    /// A file that holds the token.
    pub token_file: Option<PathBuf>,
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
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
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

/// One plugin.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginSettings {
    /// The component.
    pub path: PathBuf,
    /// Whether it gets the documents that are there first. By default as `source.snapshot` says.
    #[serde(default)]
    pub snapshot: Option<bool>,
    /// Which of its ops are handled one after another. By default as `delivery.ordering` says.
    #[serde(default)]
    pub ordering: Option<Ordering>,
    /// How many of its ops are handled at the same time. By default as `delivery.lanes` says.
    #[serde(default)]
    pub lanes: Option<usize>,
    /// What the plugin reads by `wasi:config/store`.
    #[serde(default)]
    pub config: BTreeMap<String, ConfigValue>,
}

/// A value of a plugin's config. Plugins see it as text.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ConfigValue {
    Text(String),
    Integer(i64),
    Float(f64),
    Flag(bool),
}

impl std::fmt::Display for ConfigValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Integer(integer) => integer.fmt(f),
            Self::Float(float) => float.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
        }
    }
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
    /// The settings are not understood.
    #[error("{}, line {line}: {reason}", path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What was expected there. Not the line itself: it may hold a password.
        reason: String,
    },
}

impl Settings {
    /// The name of the pipeline.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(NAME)
    }

    /// Reads a settings file. Paths of plugins and of files in it are relative to its directory.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = read(path)?;
        let mut settings: Self = toml::from_str(&text).map_err(|error| ConfigError::Invalid {
            path: path.to_owned(),
            line: line(&text, error.span().unwrap_or_default().start),
            reason: error.message().lines().collect::<Vec<_>>().join(" "),
        })?;
        let directory = path.parent().unwrap_or(Path::new(""));
        let paths = settings.plugins.values_mut().map(|plugin| &mut plugin.path);
        let files = [
            &mut settings.source.uri_file,
            &mut settings.mail.url_file,
            &mut settings.workers.file,
            &mut settings.admin.token_file,
            &mut settings.cache_dir,
        ];
        for path in paths.chain(files.into_iter().flatten()) {
            *path = directory.join(&*path);
        }
        if let StoreKind::File(path) = &mut settings.store {
            *path = directory.join(&*path);
        }
        Ok(settings)
    }
}

/// A secret that is given as it is or, better, by the file that holds it.
///
/// # Errors
/// The file cannot be read.
pub fn secret(value: Option<&str>, file: Option<&Path>) -> Result<Option<String>, ConfigError> {
    match (value, file) {
        (Some(value), _) => Ok(Some(value.to_owned())),
        (None, Some(file)) => Ok(Some(read(file)?.trim_end().to_owned())),
        (None, None) => Ok(None),
    }
}

fn line(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|reason| ConfigError::Unreadable { path: path.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_sets_everything_there_is() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/gtm.toml");
        let settings = Settings::read(&path).unwrap();
        assert_eq!(settings.limits.handle_timeout, Duration::from_secs(30));
        assert_eq!(settings.limits.memory, ByteSize::mib(256));
        let welcome = &settings.plugins["send_welcome_email"];
        assert!(welcome.path.ends_with("send_welcome_email.wasm"));
        assert!(welcome.config.contains_key("subject"));
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gtm.toml");
        std::fs::write(&path, "[source]\nurl = \"mongodb://user:secret@localhost\"\n").unwrap();
        let message = Settings::read(&path).unwrap_err().to_string();
        assert!(message.contains("line 2"), "{message}");
        assert!(message.contains("unknown field `url`, expected one of `uri`"), "{message}");
        assert!(!message.contains("secret"), "{message}");
    }

    #[test]
    fn a_secret_may_stand_in_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("uri");
        std::fs::write(&file, "mongodb://u:p@h\n").unwrap();
        assert_eq!(secret(None, Some(&file)).unwrap().as_deref(), Some("mongodb://u:p@h"));
        assert_eq!(secret(Some("given"), Some(&file)).unwrap().as_deref(), Some("given"));
        assert!(secret(None, Some(&directory.path().join("none"))).is_err());
    }
}
