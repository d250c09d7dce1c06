//! The status of a host and its plugins, as the admin API shows it.

use gtm_mongo::SourceStatus;
use gtm_runtime::{FilterStatus, PluginMetrics, UsageStatus};
use serde::{Deserialize, Serialize};

use super::Summary;

/// The status of a host.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostStatus {
    /// The name of the pipeline.
    pub name: String,
    /// The name of the worker, if workers share the documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// What the host does.
    pub standing: HostActivity,
    /// The health of the source.
    #[serde(default)]
    pub source: Option<SourceStatus>,
    /// Its plugins, if it is active, and those that could not be loaded.
    pub plugins: Vec<PluginStatus>,
}

/// What a host does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostActivity {
    /// It connects, or waits to learn whether another host is active.
    Starting,
    /// It is the active host.
    Active,
    /// It waits until the active host ends.
    Standby,
    /// It is stopping, and handles the ops that it has read.
    Stopping,
}

impl HostActivity {
    /// All activities.
    pub const ALL: [Self; 4] = [Self::Starting, Self::Active, Self::Standby, Self::Stopping];

    /// Returns its name, as it is serialized.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Active => "active",
            Self::Standby => "standby",
            Self::Stopping => "stopping",
        }
    }
}

/// The status of a plugin.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginStatus {
    /// Its name.
    pub plugin: String,
    /// The version that its author gave it, if there is one, and a digest of the component: each file is a version. Empty: it could not be
    /// loaded.
    pub version: String,
    /// Whether it runs.
    pub state: PluginState,
    /// The reader that brings its ops.
    pub reader: ReaderState,
    /// The position up to which everything is done, written as a start to resume from. None: not known yet.
    pub position: Option<String>,
    /// The time of the last change before the position, in seconds since 1970. None: not known yet.
    pub position_seconds: Option<u32>,
    /// The position of the stored checkpoint.
    pub checkpoint: Option<String>,
    /// How long the stored checkpoint has been behind the position, in seconds. None: no checkpoints are stored.
    #[serde(default)]
    pub checkpoint_age_seconds: Option<f64>,
    /// The lag behind the source, in seconds: the age of the first change that is not done, whether or not it was read. It is 0 if
    /// everything is done up to the newest known change, and at least the time for which the source has not answered. None: not known
    /// yet.
    pub lag_seconds: Option<f64>,
    /// The number of ops that were read and are not done.
    pub queued_ops: u64,
    /// The memory that they keep in use, in bytes.
    pub queued_bytes: u64,
    /// The number of ops done per second, averaged over about ten seconds.
    pub ops_per_second: f64,
    /// The counts of all ops since the host started.
    pub counts: Summary,
    /// The number of dead letters that were stored since the host started.
    pub dead_letters: u64,
    /// The last error, until it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// The time of the last error, in seconds since 1970. None: there was none since the host started.
    #[serde(default)]
    pub last_error_seconds: Option<u64>,
    /// Why the last new version was rolled back, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<String>,
    /// The filters before its own, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<FilterStatus>,
    /// The resources that its calls used.
    #[serde(default)]
    pub usage: UsageStatus,
    /// The metrics that the plugin reports itself.
    #[serde(default, skip_serializing_if = "PluginMetrics::is_empty")]
    pub metrics: PluginMetrics,
    /// Its timers that this host has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timers: Vec<TimerStatus>,
}

/// The status of a timer. Times are in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TimerStatus {
    /// Its name.
    pub timer: String,
    /// Its schedule, as the plugin wrote it.
    pub schedule: String,
    /// The time of the next tick, or of the one that is being delivered. None: there is none.
    pub next_seconds: Option<u32>,
    /// The time of the last tick that is done. None: none is done since the host started.
    pub last_seconds: Option<u32>,
    /// The outcome of that tick.
    pub last_outcome: Option<TickOutcome>,
    /// The number of ticks that the plugin handled since the host started.
    pub handled: u64,
    /// The number of ticks that the plugin rejected.
    pub rejected: u64,
    /// The number of ticks of which no attempt succeeded.
    pub failed: u64,
}

/// The outcome of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TickOutcome {
    /// The plugin did its work.
    Handled,
    /// The plugin rejected it: it is a dead letter.
    Rejected,
    /// No attempt succeeded: it is a dead letter.
    Failed,
    /// Not known, in a dry run.
    Unknown,
}

impl TickOutcome {
    /// Returns its name, as it is serialized.
    pub fn name(self) -> &'static str {
        match self {
            Self::Handled => "handled",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// Whether a plugin runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PluginState {
    /// It runs.
    Running,
    /// It was paused.
    Paused,
    /// It fails on one op after another: its breaker is open, and the host tries it from time to time until it works.
    Failing,
    /// An obstacle blocks it that does not depend on the op, such as a missing grant: it works again when that is removed.
    Blocked,
    /// It ended with an error, or could not be loaded or started: it starts again when its file or the settings change.
    Stopped,
}

impl PluginState {
    /// All states.
    pub const ALL: [Self; 5] = [Self::Running, Self::Paused, Self::Failing, Self::Blocked, Self::Stopped];

    /// Returns its name, as it is serialized.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Failing => "failing",
            Self::Blocked => "blocked",
            Self::Stopped => "stopped",
        }
    }
}

/// The reader that brings a plugin its ops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReaderState {
    /// The shared reader.
    Shared,
    /// A reader of its own, until the plugin has caught up.
    Own,
    /// None: the plugin is paused, or starts.
    None,
}

impl ReaderState {
    /// Returns its name, as it is serialized.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Own => "own",
            Self::None => "none",
        }
    }
}
