//! What runs, seen and steered from outside while it runs.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use super::Summary;
use crate::source::Start;

/// A host that runs: what it does, and how it is told to do something else. Clones are of the same host.
#[derive(Clone)]
pub struct Control {
    host: Arc<Mutex<Host>>,
}

struct Host {
    pipeline: String,
    worker: Option<String>,
    /// None: another host is active.
    plugins: Option<Vec<Arc<dyn Steered>>>,
}

/// A plugin at work, as it is steered.
pub(super) trait Steered: Send + Sync {
    fn name(&self) -> &str;
    fn status(&self) -> PluginStatus;
    fn commands(&self) -> &mpsc::Sender<Command>;
}

/// What a plugin's delivery is told.
pub(super) enum Command {
    Pause(oneshot::Sender<Result<(), ControlError>>),
    Resume(oneshot::Sender<Result<(), ControlError>>),
    Seek(Start, oneshot::Sender<Result<(), ControlError>>),
}

/// What a host does.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HostStatus {
    /// The name of the pipeline.
    pub name: String,
    /// Which of the workers it is, if the work is shared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// Whether it works, or stands by while another host of the same name does.
    pub standing: Standing,
    /// Its plugins, where it works.
    pub plugins: Vec<PluginStatus>,
}

/// Whether a host works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It works.
    Active,
    /// It waits until the host that works ends.
    Standby,
}

/// What a plugin does.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginStatus {
    /// Its name.
    pub plugin: String,
    /// A digest of the component: another file, another version.
    pub version: String,
    /// Whether it is at work.
    pub state: PluginState,
    /// By which reader it gets its ops.
    pub reader: ReaderState,
    /// Everything up to here is done: a start to go on from. None: nothing is known yet.
    pub position: Option<String>,
    /// The same, as it was last stored.
    pub checkpoint: Option<String>,
    /// How old the oldest op is that was read and is not done, in seconds; 0 where there is none and nothing is left to
    /// read. None: not known yet.
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
    /// What was last wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// Whether a plugin is at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PluginState {
    /// It is.
    Running,
    /// It was told to pause.
    Paused,
    /// It failed on op after op: it is probed now and then, until it works.
    Failing,
}

/// By which reader a plugin gets its ops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReaderState {
    /// By the one that all plugins share which keep up.
    Shared,
    /// By its own, until it has caught up.
    Own,
    /// By none: it is paused.
    None,
}

/// Why a host does not do what it is told.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// There is no such plugin.
    #[error("there is no plugin {name}; there are: {known}")]
    NoPlugin {
        /// The name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// Another host is active.
    #[error("this host stands by while another of the name {pipeline} is active: ask that one")]
    Standby {
        /// The name of the pipeline.
        pipeline: String,
    },
    /// It cannot be read from there.
    #[error("{0}")]
    Seek(String),
    /// The plugin has ended.
    #[error("the host is stopping")]
    Stopping,
}

impl Control {
    /// Of a host that stands by, until it is [active](Self::activate).
    pub fn new(pipeline: &str, worker: Option<&str>) -> Self {
        let host = Host { pipeline: pipeline.to_owned(), worker: worker.map(str::to_owned), plugins: None };
        Self { host: Arc::new(Mutex::new(host)) }
    }

    /// The host works, with these plugins; or, without any, stands by.
    pub(super) fn activate(&self, plugins: Option<Vec<Arc<dyn Steered>>>) {
        self.host.lock().unwrap_or_else(PoisonError::into_inner).plugins = plugins;
    }

    /// The host stands by from now on.
    pub fn stand_by(&self) {
        self.activate(None);
    }

    /// What it does now.
    pub fn status(&self) -> HostStatus {
        let host = self.host.lock().unwrap_or_else(PoisonError::into_inner);
        let standing = if host.plugins.is_some() { Standing::Active } else { Standing::Standby };
        HostStatus {
            name: host.pipeline.clone(),
            worker: host.worker.clone(),
            standing,
            plugins: host.plugins.iter().flatten().map(|plugin| plugin.status()).collect(),
        }
    }

    /// Hands no more ops to this plugin; none: to any. The ops in work are finished.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub async fn pause(&self, plugin: Option<&str>) -> Result<(), ControlError> {
        self.tell(plugin, Command::Pause).await
    }

    /// Goes on with a plugin that was paused; none: with all.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub async fn resume(&self, plugin: Option<&str>) -> Result<(), ControlError> {
        self.tell(plugin, Command::Resume).await
    }

    /// Goes on with this plugin, or all, from `to` on, back or forth. The ops in work are finished, those that are
    /// queued dropped.
    ///
    /// # Errors
    /// See [`ControlError`]. Where it cannot be read from there, nothing has changed.
    pub async fn seek(&self, plugin: Option<&str>, to: &Start) -> Result<(), ControlError> {
        self.tell(plugin, |answer| Command::Seek(to.clone(), answer)).await
    }

    async fn tell(
        &self,
        plugin: Option<&str>,
        command: impl Fn(oneshot::Sender<Result<(), ControlError>>) -> Command,
    ) -> Result<(), ControlError> {
        for plugin in self.named(plugin)? {
            let (sender, answer) = oneshot::channel();
            let sent = plugin.commands().send(command(sender)).await;
            sent.map_err(|_| ControlError::Stopping)?;
            answer.await.map_err(|_| ControlError::Stopping)??;
        }
        Ok(())
    }

    fn named(&self, name: Option<&str>) -> Result<Vec<Arc<dyn Steered>>, ControlError> {
        let host = self.host.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(plugins) = &host.plugins else {
            return Err(ControlError::Standby { pipeline: host.pipeline.clone() });
        };
        let Some(name) = name else { return Ok(plugins.clone()) };
        let found: Vec<_> = plugins.iter().filter(|plugin| plugin.name() == name).cloned().collect();
        if found.is_empty() {
            let known = plugins.iter().map(|plugin| plugin.name()).collect::<Vec<_>>().join(", ");
            return Err(ControlError::NoPlugin { name: name.to_owned(), known });
        }
        Ok(found)
    }
}
