//! A plugin that runs, as the host's control shows and controls it.

use std::sync::Arc;
use std::time::SystemTime;

use gtm_mongo::SourceHealth;
use gtm_runtime::PluginHandle;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::control::{ControlledPlugin, DeliveryCommand};
use super::lane_context::LaneContext;
use super::last_error;
use super::plugin_progress::PluginProgress;
use super::status::{PluginState, PluginStatus};

/// A plugin that runs.
pub(super) struct DeliveryHandle {
    pub(super) plugin: PluginHandle,
    pub(super) progress: Arc<PluginProgress>,
    /// The shared state of the current lanes. None: there are none yet.
    pub(super) lanes: Mutex<Option<Arc<LaneContext>>>,
    pub(super) commands: mpsc::Sender<DeliveryCommand>,
    /// The source as the plugin's own readers see it.
    pub(super) source: SourceHealth,
}

impl ControlledPlugin for DeliveryHandle {
    fn name(&self) -> &str {
        self.plugin.name()
    }

    fn status(&self) -> PluginStatus {
        let state = |lanes: &Arc<LaneContext>| match (lanes.blocked.is_blocked(), lanes.breaker.is_open()) {
            (true, _) => PluginState::Blocked,
            (false, true) => PluginState::Failing,
            (false, false) => PluginState::Running,
        };
        let state = self.lanes.lock().as_ref().map_or(PluginState::Running, state);
        let (name, version) = (self.plugin.name(), self.plugin.current());
        let mut status = self.progress.status(name, version.version(), state, &self.source);
        status.usage = self.plugin.usage();
        status.filters = self.plugin.filter_statuses();
        status.metrics = self.plugin.metrics();
        status.rolled_back = self.plugin.rolled_back();
        // Errors of the plugin's own reader are shown nowhere else.
        if let Some(trouble) = self.source.plugin_trouble() {
            status.last_error.get_or_insert(trouble);
            status.last_error_seconds = last_error::seconds(SystemTime::now());
        }
        status
    }

    fn commands(&self) -> &mpsc::Sender<DeliveryCommand> {
        &self.commands
    }

    fn handle(&self) -> &PluginHandle {
        &self.plugin
    }
}
