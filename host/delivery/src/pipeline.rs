//! The pipeline of a host: all its plugins, over one shared reader.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gtm_oplog::Skipped;
use gtm_runtime::PluginHandle;
use gtm_source::SourceConfig;
use gtm_store::StoreError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::control::{ControlledPlugin, HostControl, StoppedPlugin};
use super::feed::{SharedReader, SharedReaderHandle};
use super::plugin_delivery::{DeliveryEnd, DeliveryError, PluginDelivery, PreparedDelivery};
use super::spans;

/// Stops a pipeline.
#[derive(Clone, Debug)]
pub struct StopSignal {
    /// When this is cancelled, nothing more is read. The ops that were read are handled, each at most once.
    pub shutdown: CancellationToken,
    /// How long handling these may take.
    pub grace: Duration,
    /// When this is cancelled, nothing more is waited for or stored, as another host is active.
    pub lease_lost: CancellationToken,
}

impl StopSignal {
    /// Waits until nothing more must be waited for.
    pub(super) async fn until_cut_off(self) {
        let grace_is_over = async {
            self.shutdown.cancelled().await;
            tokio::time::sleep(self.grace).await;
        };
        tokio::select! {
            () = grace_is_over => {}
            () = self.lease_lost.cancelled() => {}
        }
    }
}

/// A change of a pipeline that runs.
pub enum PipelineChange {
    /// Adds a plugin.
    Add(Box<PluginDelivery>),
    /// Removes the plugin with this name. The sender receives how it ended, once the ops that it had read are handled and its checkpoint
    /// is stored.
    Remove(String, oneshot::Sender<DeliveryEnd>),
    /// Shows a plugin that cannot start, and why.
    Stopped(PluginHandle, String),
}

/// How a pipeline ended.
#[derive(Debug, Default)]
pub struct PipelineEnd {
    /// How each plugin ended.
    pub ended: Vec<DeliveryEnd>,
    /// The entries that the shared reader skipped, by reason.
    pub skipped: Skipped,
    /// Whether it ended because the last plugin that ran failed.
    pub all_failed: bool,
    /// The plugins that did not run at the end, as they had failed or could not start.
    pub stopped: Vec<String>,
}

/// A plugin of the pipeline that runs.
struct RunningDelivery {
    plugin: Arc<dyn ControlledPlugin>,
    /// Stops this plugin.
    stop: CancellationToken,
    /// Who removed it, if somebody did.
    removed: Option<oneshot::Sender<DeliveryEnd>>,
}

/// All plugins of a host.
struct Pipeline<'a> {
    control: &'a HostControl,
    describe: fn(&DeliveryError) -> String,
    stop: &'a StopSignal,
    shared_reader: SharedReaderHandle,
    tasks: JoinSet<DeliveryEnd>,
    running: BTreeMap<String, RunningDelivery>,
    /// The plugins that have failed, or could not start.
    stopped: BTreeMap<String, Arc<dyn ControlledPlugin>>,
}

impl Pipeline<'_> {
    fn add(&mut self, delivery: PluginDelivery) {
        if self.running.contains_key(delivery.plugin.name()) {
            return;
        }
        self.stopped.remove(delivery.plugin.name());
        let prepared = PreparedDelivery::new(delivery, self.shared_reader.clone());
        let plugin = prepared.controlled();
        let stop = StopSignal { shutdown: self.stop.shutdown.child_token(), ..self.stop.clone() };
        let span = spans::plugin(plugin.name());
        let running = RunningDelivery { plugin, stop: stop.shutdown.clone(), removed: None };
        self.running.insert(running.plugin.name().to_owned(), running);
        self.tasks.spawn(prepared.run(stop).instrument(span));
        self.show();
    }

    /// Has the control show the plugins as they are now.
    fn show(&self) {
        let running = self.running.values().map(|running| &running.plugin);
        let mut all: Vec<_> = running.chain(self.stopped.values()).map(Arc::clone).collect();
        all.sort_by(|one, other| one.name().cmp(other.name()));
        self.control.activate(all);
    }

    fn apply(&mut self, change: PipelineChange) {
        match change {
            PipelineChange::Add(delivery) => self.add(*delivery),
            PipelineChange::Stopped(plugin, reason) => {
                let stopped = StoppedPlugin::new(plugin, &reason);
                self.stopped.insert(stopped.name().to_owned(), Arc::new(stopped));
                self.show();
            }
            PipelineChange::Remove(name, removed) => {
                if self.stopped.remove(&name).is_some() {
                    self.show();
                }
                if let Some(running) = self.running.get_mut(&name) {
                    running.stop.cancel();
                    running.removed = Some(removed);
                }
            }
        }
    }

    /// Records that a plugin ended. Returns it unless somebody removed it, who receives it then.
    fn delivery_ended(&mut self, ended: DeliveryEnd) -> Option<DeliveryEnd> {
        let running = self.running.remove(&ended.plugin);
        if let (Some(running), Err(error)) = (&running, &ended.result)
            && running.removed.is_none()
        {
            let stopped = StoppedPlugin::after(&*running.plugin, &(self.describe)(error));
            self.stopped.insert(ended.plugin.clone(), Arc::new(stopped));
        }
        self.show();
        match running.and_then(|running| running.removed) {
            // Without a receiver, the plugin counts as not removed.
            Some(removed) => removed.send(ended).err(),
            None => Some(ended),
        }
    }
}

/// Runs the pipeline of a host until `stop` is signalled, or no plugin is left, while `control` shows and controls it.
///
/// A plugin that fails is shown as stopped, its checkpoint stays, and the others continue; when the last one fails, the pipeline ends.
/// `changes` adds and removes plugins. As long as it is open, the pipeline may have none.
///
/// `config` is the source that they share. Its start and selection are ignored. `describe` returns the sentence about an error that stopped a
/// plugin, with what the user can do.
///
/// # Errors
/// A task panicked.
pub async fn run_pipeline(
    deliveries: Vec<PluginDelivery>,
    config: SourceConfig,
    describe: fn(&DeliveryError) -> String,
    control: &HostControl,
    stop: &StopSignal,
    changes: &mut mpsc::Receiver<PipelineChange>,
) -> Result<PipelineEnd, JoinError> {
    let (reader, shared_reader) = SharedReader::new(config);
    let reader = tokio::spawn(reader.run(stop.shutdown.clone()));
    let mut pipeline = Pipeline {
        control,
        describe,
        stop,
        shared_reader,
        tasks: JoinSet::new(),
        running: BTreeMap::new(),
        stopped: BTreeMap::new(),
    };
    pipeline.show();
    deliveries.into_iter().for_each(|delivery| pipeline.add(delivery));
    let mut end = PipelineEnd::default();
    let mut may_change = true;
    while !pipeline.tasks.is_empty() || (may_change && !stop.shutdown.is_cancelled()) {
        let is_stopping = stop.shutdown.is_cancelled();
        tokio::select! {
            Some(ended) = pipeline.tasks.join_next() => {
                let ended = ended?;
                let is_fenced = matches!(ended.result, Err(DeliveryError::Store(StoreError::Fenced { .. })));
                let has_failed = ended.result.is_err();
                let Some(ended) = pipeline.delivery_ended(ended) else { continue };
                end.all_failed = has_failed && pipeline.tasks.is_empty();
                match has_failed {
                    // Another host is active, for all plugins.
                    _ if is_fenced => stop.shutdown.cancel(),
                    true if end.all_failed => stop.shutdown.cancel(),
                    true => tracing::error!(
                        event = "plugin.fail",
                        plugin = ended.plugin,
                        error = ended.result.as_ref().err().map(|error| error as &(dyn std::error::Error + 'static)),
                        "the plugin stopped, and the others continue; it starts again when its file or the settings change, or with \
                         the host"
                    ),
                    // The source has ended, for all plugins.
                    false => may_change = false,
                }
                end.ended.push(ended);
            }
            change = changes.recv(), if may_change && !is_stopping => match change {
                Some(change) => pipeline.apply(change),
                None => may_change = false,
            },
            () = stop.shutdown.cancelled(), if !is_stopping => {}
        }
    }
    control.deactivate();
    stop.shutdown.cancel();
    end.stopped = pipeline.stopped.into_keys().collect();
    end.skipped = reader.await?;
    end.ended.sort_by(|one, other| one.plugin.cmp(&other.plugin));
    Ok(end)
}
