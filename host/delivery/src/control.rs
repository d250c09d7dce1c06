//! What runs, seen and steered from outside while it runs.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gtm_mongo::SourceHealth;
use gtm_runtime::{LoadError, PluginHandle, SwapFrom};
use gtm_source::StartAt;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::progress::PluginProgress;
use super::settings::DeliverySettings;
use super::status::{HostActivity, HostStatus, PluginState, PluginStatus, ReaderState};
use super::swapped::Swapped;

/// A host that runs: what it does, and how it is told to do something else. Clones are of the same host.
#[derive(Clone)]
pub struct HostControl {
    host: Arc<Mutex<ControlledHost>>,
    /// One swap at a time: each holds a file in memory, and waits for the compiler.
    swapping: Arc<Semaphore>,
}

/// What became of a command, of one plugin.
#[derive(Debug)]
pub struct CommandOutcome {
    /// The plugin.
    pub plugin: String,
    /// Whether it does as it was told, or why not.
    pub done: Result<(), ControlError>,
}

struct ControlledHost {
    pipeline: String,
    worker: Option<String>,
    standing: HostActivity,
    source: SourceHealth,
    /// Those at work, while it is active.
    plugins: Vec<Arc<dyn ControlledPlugin>>,
    shutdown: CancellationToken,
    swap_from: SwapFrom,
}

impl fmt::Debug for HostControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

impl ControlledHost {
    fn standing(&self) -> HostActivity {
        if self.shutdown.is_cancelled() { HostActivity::Stopping } else { self.standing }
    }

    fn set(&mut self, standing: HostActivity, plugins: Vec<Arc<dyn ControlledPlugin>>) {
        (self.standing, self.plugins) = (standing, plugins);
    }
}

/// A plugin at work, as it is steered.
pub(super) trait ControlledPlugin: Send + Sync {
    fn name(&self) -> &str;
    fn status(&self) -> PluginStatus;
    fn commands(&self) -> &mpsc::Sender<DeliveryCommand>;
    fn slot(&self) -> &PluginHandle;
}

/// A plugin that does not run, as it is seen.
pub(super) struct StoppedPlugin {
    plugin: PluginHandle,
    status: PluginStatus,
    /// Nobody listens.
    commands: mpsc::Sender<DeliveryCommand>,
}

impl StoppedPlugin {
    /// One that has not begun.
    pub(super) fn new(plugin: PluginHandle, reason: &str) -> Self {
        let progress = PluginProgress::new(DeliverySettings::default().into(), None, false);
        let status =
            progress.status(plugin.name(), plugin.current().version(), false, &SourceHealth::default());
        Self::with(plugin, status, reason)
    }

    /// One that ran until now.
    pub(super) fn after(running: &dyn ControlledPlugin, reason: &str) -> Self {
        Self::with(running.slot().clone(), running.status(), reason)
    }

    fn with(plugin: PluginHandle, status: PluginStatus, reason: &str) -> Self {
        let status = PluginStatus {
            state: PluginState::Stopped,
            reader: ReaderState::None,
            ops_per_second: 0.0,
            last_error: Some(reason.to_owned()),
            ..status
        };
        Self { plugin, status, commands: mpsc::channel(1).0 }
    }
}

impl ControlledPlugin for StoppedPlugin {
    fn name(&self) -> &str {
        self.plugin.name()
    }

    fn status(&self) -> PluginStatus {
        self.status.clone()
    }

    fn commands(&self) -> &mpsc::Sender<DeliveryCommand> {
        &self.commands
    }

    fn slot(&self) -> &PluginHandle {
        &self.plugin
    }
}

/// What a plugin's delivery is told.
pub(super) enum DeliveryCommand {
    Pause(oneshot::Sender<Result<(), ControlError>>),
    Resume(oneshot::Sender<Result<(), ControlError>>),
    Seek(StartAt, oneshot::Sender<Result<(), ControlError>>),
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
    /// There are more, and it must be said which.
    #[error("which plugin? There are: {known}")]
    WhichPlugin {
        /// Those that there are.
        known: String,
    },
    /// It has not begun yet.
    #[error("this host is starting: ask again in a moment")]
    Starting,
    /// Another host is active.
    #[error("this host stands by while another of the name {pipeline} is active: ask that one")]
    Standby {
        /// The name of the pipeline.
        pipeline: String,
    },
    /// It cannot be read from there.
    #[error("{0}")]
    Seek(String),
    /// The file is no version of it.
    #[error("version {current} goes on: {reason}")]
    Swap {
        /// The version that is current.
        current: String,
        /// Why it stays so.
        reason: Box<LoadError>,
    },
    /// One swap is carried out at a time.
    #[error("another swap is under way. help: try again when it has ended, as the log of the host says")]
    SwapUnderWay,
    /// Of several plugins, some do as they were told.
    #[error("the plugin {plugin} does not: {reason}. These do: {done}")]
    Partly {
        /// The first that does not.
        plugin: String,
        /// Why.
        reason: Box<ControlError>,
        /// Those that do.
        done: String,
    },
    /// The plugin does not run.
    #[error(
        "the plugin {name} has stopped: {reason}. It begins again when its file or the settings change (SIGHUP)"
    )]
    Stopped {
        /// The name.
        name: String,
        /// Why.
        reason: String,
    },
    /// It ends, or the plugin has ended.
    #[error("this host is stopping")]
    Stopping,
}

impl ControlError {
    /// Returns the same for a client that names a file and is not to learn which files there are.
    #[must_use]
    pub fn withheld(self) -> Self {
        match self {
            Self::Swap { current, reason } => Self::Swap { current, reason: Box::new(reason.withheld()) },
            other => other,
        }
    }
}

impl HostControl {
    /// Of a host that is starting, until `shutdown` is cancelled.
    pub fn new(pipeline: &str, worker: Option<&str>, shutdown: CancellationToken) -> Self {
        let host = ControlledHost {
            pipeline: pipeline.to_owned(),
            worker: worker.map(str::to_owned),
            standing: HostActivity::Starting,
            source: SourceHealth::default(),
            plugins: Vec::new(),
            shutdown,
            swap_from: SwapFrom::default(),
        };
        Self { host: Arc::new(Mutex::new(host)), swapping: Arc::new(Semaphore::new(1)) }
    }

    fn lock(&self) -> MutexGuard<'_, ControlledHost> {
        self.host.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, shows what is known of this source.
    pub fn watch_source(&self, source: SourceHealth) {
        self.lock().source = source;
    }

    /// From now on, swaps that it is told take files from these directories only. At first there are none.
    pub fn take_swaps_from(&self, from: SwapFrom) {
        self.lock().swap_from = from;
    }

    /// What is known of the source.
    pub fn source(&self) -> SourceHealth {
        self.lock().source.clone()
    }

    /// The host works, with these plugins.
    pub(super) fn activate(&self, plugins: Vec<Arc<dyn ControlledPlugin>>) {
        self.lock().set(HostActivity::Active, plugins);
    }

    /// The host works no more, and looks whether it is its turn.
    pub(super) fn deactivate(&self) {
        self.lock().set(HostActivity::Starting, Vec::new());
    }

    /// The host stands by from now on.
    pub fn stand_by(&self) {
        self.lock().set(HostActivity::Standby, Vec::new());
    }

    /// What it is about.
    pub fn standing(&self) -> HostActivity {
        self.lock().standing()
    }

    /// What it does now.
    pub fn status(&self) -> HostStatus {
        let host = self.lock();
        HostStatus {
            name: host.pipeline.clone(),
            worker: host.worker.clone(),
            standing: host.standing(),
            source: Some(host.source.status()),
            plugins: host.plugins.iter().map(|plugin| plugin.status()).collect(),
        }
    }

    /// Whether this plugin does not run, while others do.
    pub fn has_stopped(&self, plugin: &str) -> bool {
        let host = self.lock();
        let named = host.plugins.iter().find(|one| one.name() == plugin);
        named.is_none_or(|plugin| stopped(&**plugin).is_some())
    }

    /// Hands no more ops to this plugin; none: to any. The ops in work are finished. Returns what became of it, of each plugin
    /// that was told.
    ///
    /// # Errors
    /// See [`ControlError`]. No plugin was told, then.
    pub async fn pause(&self, plugin: Option<&str>) -> Result<Vec<CommandOutcome>, ControlError> {
        tell(self.named(plugin)?, DeliveryCommand::Pause).await
    }

    /// Resumes a plugin that was paused; none: all. Returns what became of it, of each plugin that was told.
    ///
    /// # Errors
    /// See [`ControlError`]. No plugin was told, then.
    pub async fn resume(&self, plugin: Option<&str>) -> Result<Vec<CommandOutcome>, ControlError> {
        tell(self.named(plugin)?, DeliveryCommand::Resume).await
    }

    /// Goes on with this plugin, or the only one there is, from `to` on, back or forth. The ops in work are finished,
    /// those that are queued dropped. Returns what became of it.
    ///
    /// # Errors
    /// See [`ControlError`]. The plugin was not told, then. Where it cannot be read from there, nothing has changed.
    pub async fn seek(
        &self,
        plugin: Option<&str>,
        to: &StartAt,
    ) -> Result<Vec<CommandOutcome>, ControlError> {
        let plugins = self.named(plugin)?;
        // One of them might go there, and another not.
        if plugins.len() > 1 {
            return Err(ControlError::WhichPlugin { known: listed(&plugins) });
        }
        tell(plugins, |answer| DeliveryCommand::Seek(to.clone(), answer)).await
    }

    /// Has a plugin go on with the version that is in this file, which has to be in one of the directories that swaps may take files
    /// from; in place, where nothing is said. The ops in work are finished by the version before it, the next begin on this one, and the
    /// position stays.
    ///
    /// # Errors
    /// See [`ControlError`]. Where the file is no version of it, the current one goes on.
    pub async fn swap(&self, plugin: &str, file: &Path) -> Result<Swapped, ControlError> {
        let Some(plugin) = self.named(Some(plugin))?.pop() else { return Err(ControlError::Starting) };
        if let Some(error) = stopped(&*plugin) {
            return Err(error);
        }
        let permit = Arc::clone(&self.swapping).try_acquire_owned();
        let permit = permit.map_err(|_| ControlError::SwapUnderWay)?;
        let (slot, file) = (plugin.slot().clone(), file.to_owned());
        let name = plugin.name();
        tracing::info!(
            event = "plugin.swap_start",
            plugin = name,
            version = slot.current().version(),
            "loading another version, as requested; this version works until then"
        );
        let current = slot.current();
        let (path, before) = (file.clone(), current.clone());
        let allowed = self.lock().swap_from.clone();
        // It goes on although nobody waits for it any more, and so does the permit.
        let load = move || (current.successor_from(&file, &allowed), permit);
        let loaded = tokio::task::spawn_blocking(load).await;
        let version = slot.current().version().to_owned();
        let (successor, _permit) = loaded.map_err(|_| ControlError::Stopping)?;
        let swapped = successor.and_then(|successor| {
            let swapped = Swapped::new(&before, &successor);
            slot.swap(successor).map_err(|reason| LoadError::not_taken(path, reason))?;
            if let Some(warning) = &swapped.warning {
                tracing::warn!(
                    event = "plugin.swap_warn",
                    plugin = name,
                    warning,
                    "this may not be the version that was meant"
                );
            }
            Ok(swapped)
        });
        swapped.map_err(|reason| {
            tracing::warn!(
                event = "plugin.swap_failed",
                plugin = name,
                version,
                error = &reason as &(dyn std::error::Error + 'static),
                "not swapped; this version continues"
            );
            ControlError::Swap { current: version, reason: Box::new(reason) }
        })
    }

    fn named(&self, name: Option<&str>) -> Result<Vec<Arc<dyn ControlledPlugin>>, ControlError> {
        let host = self.lock();
        match host.standing() {
            HostActivity::Active => {}
            HostActivity::Starting => return Err(ControlError::Starting),
            HostActivity::Standby => return Err(ControlError::Standby { pipeline: host.pipeline.clone() }),
            HostActivity::Stopping => return Err(ControlError::Stopping),
        }
        let Some(name) = name else { return Ok(host.plugins.clone()) };
        match host.plugins.iter().find(|plugin| plugin.name() == name) {
            Some(plugin) => Ok(vec![Arc::clone(plugin)]),
            None => Err(ControlError::NoPlugin { name: name.to_owned(), known: listed(&host.plugins) }),
        }
    }
}

fn stopped(plugin: &dyn ControlledPlugin) -> Option<ControlError> {
    let status = plugin.status();
    (status.state == PluginState::Stopped).then(|| ControlError::Stopped {
        name: plugin.name().to_owned(),
        reason: status.last_error.unwrap_or_default(),
    })
}

fn listed(plugins: &[Arc<dyn ControlledPlugin>]) -> String {
    plugins.iter().map(|plugin| plugin.name()).collect::<Vec<_>>().join(", ")
}

/// Tells them one after the other, also after one that does not do it.
async fn tell(
    plugins: Vec<Arc<dyn ControlledPlugin>>,
    command: impl Fn(oneshot::Sender<Result<(), ControlError>>) -> DeliveryCommand,
) -> Result<Vec<CommandOutcome>, ControlError> {
    let mut all = Vec::new();
    let are_several = plugins.len() > 1;
    for plugin in plugins {
        match stopped(&*plugin) {
            // Where all are told, those that run are.
            Some(_) if are_several => continue,
            Some(error) => return Err(error),
            None => {}
        }
        let (sender, answer) = oneshot::channel();
        let done = match plugin.commands().send(command(sender)).await {
            Ok(()) => answer.await.unwrap_or(Err(ControlError::Stopping)),
            Err(_) => Err(ControlError::Stopping),
        };
        all.push(CommandOutcome { plugin: plugin.name().to_owned(), done });
    }
    Ok(all)
}
