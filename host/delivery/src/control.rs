//! Shows and controls a host while it runs.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use gtm_mongo::SourceHealth;
use gtm_runtime::{ComponentPath, LoadError, PluginHandle, SwapFrom};
use gtm_source::{SourceError, StartAt};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::last_error;
use super::plugin_progress::PluginProgress;
use super::settings::DeliverySettings;
use super::status::{HostActivity, HostStatus, PluginState, PluginStatus, ReaderState};
use super::swapped::Swapped;

/// Shows what a host does, and controls it. Clones control the same host.
#[derive(Clone)]
pub struct HostControl {
    host: Arc<Mutex<ControlledHost>>,
    /// Permits one swap at a time: each holds a file in memory, and waits for the compiler.
    swapping: Arc<Semaphore>,
}

/// The outcome of a command for one plugin.
#[derive(Debug)]
pub struct CommandOutcome {
    /// The name of the plugin.
    pub plugin: String,
    /// The reason why the command failed for this plugin, if it did.
    pub done: Result<(), ControlError>,
}

struct ControlledHost {
    pipeline: String,
    worker: Option<String>,
    activity: HostActivity,
    source: SourceHealth,
    /// The plugins, while the host is active.
    plugins: Vec<Arc<dyn ControlledPlugin>>,
    /// The plugins that could not be loaded.
    unloaded: Vec<PluginStatus>,
    shutdown: CancellationToken,
    swap_from: SwapFrom,
}

impl fmt::Debug for HostControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostControl").finish_non_exhaustive()
    }
}

impl ControlledHost {
    fn activity(&self) -> HostActivity {
        if self.shutdown.is_cancelled() { HostActivity::Stopping } else { self.activity }
    }

    fn set(&mut self, activity: HostActivity, plugins: Vec<Arc<dyn ControlledPlugin>>) {
        (self.activity, self.plugins) = (activity, plugins);
    }
}

/// A plugin, as [`HostControl`] shows and controls it.
pub(super) trait ControlledPlugin: Send + Sync {
    fn name(&self) -> &str;
    fn status(&self) -> PluginStatus;
    fn commands(&self) -> &mpsc::Sender<DeliveryCommand>;
    fn handle(&self) -> &PluginHandle;
}

/// A plugin that has stopped.
pub(super) struct StoppedPlugin {
    plugin: PluginHandle,
    status: PluginStatus,
    /// A sender without a receiver.
    commands: mpsc::Sender<DeliveryCommand>,
}

impl StoppedPlugin {
    /// Returns a plugin that could not start.
    pub(super) fn new(plugin: PluginHandle, reason: &str) -> Self {
        let status = never_started(plugin.name(), plugin.current().version(), reason);
        Self { plugin, status, commands: mpsc::channel(1).0 }
    }

    /// Returns a plugin that ran until now.
    pub(super) fn after(running: &dyn ControlledPlugin, reason: &str) -> Self {
        let (plugin, status) = (running.handle().clone(), stopped(running.status(), reason));
        Self { plugin, status, commands: mpsc::channel(1).0 }
    }
}

/// Returns the status of a plugin that could not start.
fn never_started(name: &str, version: &str, reason: &str) -> PluginStatus {
    let progress = PluginProgress::new(DeliverySettings::default().into(), None, false);
    stopped(progress.status(name, version, PluginState::Running, &SourceHealth::default()), reason)
}

fn stopped(status: PluginStatus, reason: &str) -> PluginStatus {
    PluginStatus {
        state: PluginState::Stopped,
        reader: ReaderState::None,
        ops_per_second: 0.0,
        last_error: Some(reason.to_owned()),
        last_error_seconds: last_error::seconds(SystemTime::now()),
        timers: Vec::new(),
        ..status
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

    fn handle(&self) -> &PluginHandle {
        &self.plugin
    }
}

/// A command for the delivery to a plugin.
pub(super) enum DeliveryCommand {
    Pause(oneshot::Sender<Result<(), ControlError>>),
    Resume(oneshot::Sender<Result<(), ControlError>>),
    Seek(StartAt, oneshot::Sender<Result<(), ControlError>>),
}

/// The reason why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The host has no plugin of this name.
    #[error("there is no plugin {name}; there are: {known}")]
    NoPlugin {
        /// The name.
        name: String,
        /// The names of its plugins.
        known: String,
    },
    /// The host has several plugins, and the command must name one.
    #[error("the command needs the name of one plugin; there are: {known}")]
    WhichPlugin {
        /// The names of its plugins.
        known: String,
    },
    /// The host has not started yet.
    #[error("this host is starting. help: try again in a moment")]
    Starting,
    /// Another host is active.
    #[error("this host stands by while another host named {pipeline} is active. help: ask the active host")]
    Standby {
        /// The name of the pipeline.
        pipeline: String,
    },
    /// The source cannot be read from the start. Nothing has changed.
    #[error(transparent)]
    Seek(#[from] SourceError),
    /// The server did not answer in time.
    #[error("the server does not answer, and nothing has changed")]
    SeekTimedOut,
    /// The file does not hold a version of the plugin.
    #[error("version {current} keeps running: {reason}")]
    Swap {
        /// The current version.
        current: String,
        /// Why it stays current.
        reason: Box<LoadError>,
    },
    /// Another swap has not ended. The host does one at a time.
    #[error("another swap is under way. help: try again when the log of the host shows its end")]
    SwapUnderWay,
    /// The command failed for some plugins only.
    #[error("the command failed for the plugin {plugin}: {reason}. It succeeded for: {done}")]
    Partly {
        /// The first plugin for which it failed.
        plugin: String,
        /// The reason.
        reason: Box<ControlError>,
        /// The plugins for which it succeeded.
        done: String,
    },
    /// The plugin has stopped.
    #[error(
        "the plugin {name} has stopped: {reason}. help: it starts again when its file or the settings change"
    )]
    Stopped {
        /// The name.
        name: String,
        /// Why it has stopped.
        reason: String,
    },
    /// The host is stopping, or the plugin has ended.
    #[error("this host is stopping")]
    Stopping,
}

impl ControlError {
    /// Returns the error as a client may see it that must not learn which files exist.
    #[must_use]
    pub fn withheld(self) -> Self {
        match self {
            Self::Swap { current, reason } => Self::Swap { current, reason: Box::new(reason.withheld()) },
            other => other,
        }
    }
}

impl HostControl {
    /// Creates the control of a host that is starting. The host stops when `shutdown` is cancelled.
    pub fn new(pipeline: &str, worker: Option<&str>, shutdown: CancellationToken) -> Self {
        let host = ControlledHost {
            pipeline: pipeline.to_owned(),
            worker: worker.map(str::to_owned),
            activity: HostActivity::Starting,
            source: SourceHealth::default(),
            plugins: Vec::new(),
            unloaded: Vec::new(),
            shutdown,
            swap_from: SwapFrom::default(),
        };
        Self { host: Arc::new(Mutex::new(host)), swapping: Arc::new(Semaphore::new(1)) }
    }

    /// Shows the health of this source from now on.
    pub fn watch_source(&self, source: SourceHealth) {
        self.host.lock().source = source;
    }

    /// Shows these plugins as stopped from now on, each with the reason why it could not be loaded.
    pub fn show_unloaded(&self, plugins: &BTreeMap<String, String>) {
        let status = |(name, reason): (&String, &String)| never_started(name, "", reason);
        self.host.lock().unloaded = plugins.iter().map(status).collect();
    }

    /// Allows swaps from these directories only. At first, none is allowed.
    pub fn allow_swaps_from(&self, from: SwapFrom) {
        self.host.lock().swap_from = from;
    }

    /// Returns the health of the source.
    pub fn source(&self) -> SourceHealth {
        self.host.lock().source.clone()
    }

    /// Records that the host is active, with these plugins.
    pub(super) fn activate(&self, plugins: Vec<Arc<dyn ControlledPlugin>>) {
        self.host.lock().set(HostActivity::Active, plugins);
    }

    /// Records that this host is not active, and that it does not know yet whether another one is.
    pub(super) fn deactivate(&self) {
        self.host.lock().set(HostActivity::Starting, Vec::new());
    }

    /// Records that the host stands by.
    pub fn stand_by(&self) {
        self.host.lock().set(HostActivity::Standby, Vec::new());
    }

    /// Returns what the host does.
    pub fn activity(&self) -> HostActivity {
        self.host.lock().activity()
    }

    /// Returns the status of the host and its plugins.
    pub fn status(&self) -> HostStatus {
        let host = self.host.lock();
        let running = host.plugins.iter().map(|plugin| plugin.status());
        let mut plugins: Vec<_> = running.chain(host.unloaded.iter().cloned()).collect();
        plugins.sort_by(|one, other| one.plugin.cmp(&other.plugin));
        HostStatus {
            name: host.pipeline.clone(),
            worker: host.worker.clone(),
            standing: host.activity(),
            source: Some(host.source.status()),
            plugins,
        }
    }

    /// Returns whether this plugin has stopped, or is not known.
    pub fn has_stopped(&self, plugin: &str) -> bool {
        let host = self.host.lock();
        let named = host.plugins.iter().find(|one| one.name() == plugin);
        named.is_none_or(|plugin| stopped_error(&**plugin).is_some())
    }

    /// Pauses this plugin, or all if none is given: they start no more ops, and finish those that they are handling. Returns the
    /// outcome for each plugin that received the command.
    ///
    /// # Errors
    /// See [`ControlError`]. No plugin received the command then.
    pub async fn pause(&self, plugin: Option<&str>) -> Result<Vec<CommandOutcome>, ControlError> {
        send_command(self.named(plugin)?, DeliveryCommand::Pause).await
    }

    /// Resumes this plugin, or all if none is given. Returns the outcome for each plugin that received the command.
    ///
    /// # Errors
    /// See [`ControlError`]. No plugin received the command then.
    pub async fn resume(&self, plugin: Option<&str>) -> Result<Vec<CommandOutcome>, ControlError> {
        send_command(self.named(plugin)?, DeliveryCommand::Resume).await
    }

    /// Moves the position of this plugin, or of the only one, backward or forward to `to`. The plugin finishes the ops that it is
    /// handling, and the queued ops are dropped. Returns the outcome.
    ///
    /// # Errors
    /// See [`ControlError`]. The plugin did not receive the command then. If the source cannot be read from `to`, nothing has changed.
    pub async fn seek(
        &self,
        plugin: Option<&str>,
        to: &StartAt,
    ) -> Result<Vec<CommandOutcome>, ControlError> {
        let plugins = self.named(plugin)?;
        // Some of them might move, and others not.
        if plugins.len() > 1 {
            return Err(ControlError::WhichPlugin { known: names(&plugins) });
        }
        send_command(plugins, |answer| DeliveryCommand::Seek(to.clone(), answer)).await
    }

    /// Swaps a plugin for the version in this file, which must be in a directory that [`allow_swaps_from`](Self::allow_swaps_from)
    /// allowed. The version before finishes the ops that it is handling, the new one handles those after them, and the position stays.
    ///
    /// # Errors
    /// See [`ControlError`]. If the file does not hold a version of the plugin, the current one stays.
    pub async fn swap(&self, plugin: &str, file: &Path) -> Result<Swapped, ControlError> {
        let Some(plugin) = self.named(Some(plugin))?.pop() else { return Err(ControlError::Starting) };
        if let Some(error) = stopped_error(&*plugin) {
            return Err(error);
        }
        let permit = Arc::clone(&self.swapping).try_acquire_owned();
        let permit = permit.map_err(|_| ControlError::SwapUnderWay)?;
        let (handle, file) = (plugin.handle().clone(), file.to_owned());
        let name = plugin.name();
        tracing::info!(
            event = "plugin.swap_start",
            plugin = name,
            version = handle.current().version(),
            "loading another version, as requested; this version works until then"
        );
        let current = handle.current();
        let before = current.clone();
        let component = ComponentPath::new(before.kind(), &file);
        let allowed = self.host.lock().swap_from.clone();
        // Loading continues and keeps the permit even if the caller no longer waits.
        let load = move || (current.successor_from(&file, &allowed), permit);
        let loaded = tokio::task::spawn_blocking(load).await;
        let version = handle.current().version().to_owned();
        let (successor, _permit) = loaded.map_err(|_| ControlError::Stopping)?;
        let swapped = successor.and_then(|successor| {
            let swapped = Swapped::new(&before, &successor);
            handle.swap(successor).map_err(|reason| LoadError::not_taken(component, reason))?;
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
        let host = self.host.lock();
        match host.activity() {
            HostActivity::Active => {}
            HostActivity::Starting => return Err(ControlError::Starting),
            HostActivity::Standby => return Err(ControlError::Standby { pipeline: host.pipeline.clone() }),
            HostActivity::Stopping => return Err(ControlError::Stopping),
        }
        let Some(name) = name else { return Ok(host.plugins.clone()) };
        match host.plugins.iter().find(|plugin| plugin.name() == name) {
            Some(plugin) => Ok(vec![Arc::clone(plugin)]),
            None => Err(match host.unloaded.iter().find(|unloaded| unloaded.plugin == name) {
                Some(unloaded) => stopped_for(unloaded.clone()),
                None => ControlError::NoPlugin { name: name.to_owned(), known: names(&host.plugins) },
            }),
        }
    }
}

fn stopped_error(plugin: &dyn ControlledPlugin) -> Option<ControlError> {
    let status = plugin.status();
    (status.state == PluginState::Stopped).then(|| stopped_for(status))
}

fn stopped_for(status: PluginStatus) -> ControlError {
    ControlError::Stopped { name: status.plugin, reason: status.last_error.unwrap_or_default() }
}

fn names(plugins: &[Arc<dyn ControlledPlugin>]) -> String {
    plugins.iter().map(|plugin| plugin.name()).collect::<Vec<_>>().join(", ")
}

/// Sends a command to one plugin after another, and waits for each answer. The others receive it even if it fails
/// for one.
async fn send_command(
    plugins: Vec<Arc<dyn ControlledPlugin>>,
    command: impl Fn(oneshot::Sender<Result<(), ControlError>>) -> DeliveryCommand,
) -> Result<Vec<CommandOutcome>, ControlError> {
    let mut all = Vec::new();
    let are_several = plugins.len() > 1;
    for plugin in plugins {
        match stopped_error(&*plugin) {
            // A command for all plugins concerns those that run.
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
