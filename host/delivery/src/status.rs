//! What a host and its plugins do, as it is seen from outside.

use gtm_mongo::SourceStatus;
use gtm_runtime::{PluginMetrics, UsageStatus};
use serde::{Deserialize, Serialize};

use super::Summary;

/// What a host does.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostStatus {
    /// The name of the pipeline.
    pub name: String,
    /// Which of the workers it is, if the work is shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// Whether it works, or stands by while another host of the same name does.
    pub standing: HostActivity,
    /// What is known of the source.
    #[serde(default)]
    pub source: Option<SourceStatus>,
    /// Its plugins, where it works.
    pub plugins: Vec<PluginStatus>,
}

/// What a host is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostActivity {
    /// It connects, or looks whether it is its turn.
    Starting,
    /// It works.
    Active,
    /// It waits until the host that works ends.
    Standby,
    /// It was told to stop, and handles what it has read.
    Stopping,
}

impl HostActivity {
    /// All that there are.
    pub const ALL: [Self; 4] = [Self::Starting, Self::Active, Self::Standby, Self::Stopping];

    /// Its name, as it is serialized.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Active => "active",
            Self::Standby => "standby",
            Self::Stopping => "stopping",
        }
    }
}

/// What a plugin does.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginStatus {
    /// Its name.
    pub plugin: String,
    /// What its author calls it, if that is known, and a digest of the component: another file, another version.
    pub version: String,
    /// Whether it is at work.
    pub state: PluginState,
    /// By which reader it gets its ops.
    pub reader: ReaderState,
    /// Everything up to here is done: a start to go on from. None: nothing is known yet.
    pub position: Option<String>,
    /// When the last change before that was made, in seconds since 1970. None: nothing is known yet.
    pub position_seconds: Option<u32>,
    /// The position as it was last stored.
    pub checkpoint: Option<String>,
    /// How long the stored checkpoint has been behind the position, in seconds. None: none are stored.
    #[serde(default)]
    pub checkpoint_age_seconds: Option<f64>,
    /// How far it is behind the source, in seconds: the age of the first change that is not done, whether it was read or not.
    /// 0 if everything is done up to the newest change that is known; then, while the source does not answer, for how long it
    /// has not. None: not known yet.
    pub lag_seconds: Option<f64>,
    /// Ops that were read and are not done.
    pub queued_ops: u64,
    /// The bytes that they hold.
    pub queued_bytes: u64,
    /// Ops done in a second, of late.
    pub ops_per_second: f64,
    /// What became of all ops since the host began.
    pub counts: Summary,
    /// Ops that were put among the dead letters since the host began.
    pub dead_letters: u64,
    /// What was last wrong, until that is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When something was last wrong, in seconds since 1970. None: nothing was since the host began.
    #[serde(default)]
    pub last_error_seconds: Option<u64>,
    /// Why the last new version was not kept, where that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<String>,
    /// What its calls took, and what it reached by them.
    #[serde(default)]
    pub usage: UsageStatus,
    /// What the plugin counts itself.
    #[serde(default, skip_serializing_if = "PluginMetrics::is_empty")]
    pub metrics: PluginMetrics,
}

/// Whether a plugin is at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PluginState {
    /// It is.
    Running,
    /// It was told to pause.
    Paused,
    /// It failed on op after op: it is probed now and then, until it works.
    Failing,
    /// It ended with an error, or could not begin: it begins again when its file or the settings change.
    Stopped,
}

impl PluginState {
    /// All that there are.
    pub const ALL: [Self; 4] = [Self::Running, Self::Paused, Self::Failing, Self::Stopped];

    /// Its name, as it is serialized.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Failing => "failing",
            Self::Stopped => "stopped",
        }
    }
}

/// By which reader a plugin gets its ops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReaderState {
    /// By the one that all plugins share which keep up.
    Shared,
    /// By its own, until it has caught up.
    Own,
    /// By none: it is paused, or begins.
    None,
}

impl ReaderState {
    /// Its name, as it is serialized.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Own => "own",
            Self::None => "none",
        }
    }
}
