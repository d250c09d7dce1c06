//! All plugins of a host, side by side over one reader.

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

/// How what runs is told to end.
#[derive(Clone, Debug)]
pub struct StopSignal {
    /// Nothing more is read, and what was read is handled, each op once at most.
    pub shutdown: CancellationToken,
    /// How long that may take.
    pub grace: Duration,
    /// What is in work is not waited for, and nothing is stored: another host works now.
    pub at_once: CancellationToken,
}

impl StopSignal {
    /// Waits until nothing more is to be waited for.
    pub(super) async fn cut(self) {
        let late = async {
            self.shutdown.cancelled().await;
            tokio::time::sleep(self.grace).await;
        };
        tokio::select! {
            () = late => {}
            () = self.at_once.cancelled() => {}
        }
    }
}

/// A change of what runs.
pub enum PipelineChange {
    /// One more plugin.
    Add(Box<PluginDelivery>),
    /// A plugin less. Who asked is told what became of it, when what it had read is handled and its checkpoint stored.
    Remove(String, oneshot::Sender<DeliveryEnd>),
    /// A plugin that cannot run now, and why: it is to be seen.
    Stopped(PluginHandle, String),
}

/// How a turn of a host ended.
#[derive(Debug, Default)]
pub struct PipelineEnd {
    /// What became of each plugin.
    pub ended: Vec<DeliveryEnd>,
    /// How much the reader that they share skipped.
    pub skipped: Skipped,
    /// It ended as the last plugin that ran has failed.
    pub none_left: bool,
    /// The plugins that did not run at the end, as they had failed or could not begin.
    pub stopped: Vec<String>,
}

/// A pipeline that runs.
struct RunningDelivery {
    handle: Arc<dyn ControlledPlugin>,
    /// Ends it alone.
    stop: CancellationToken,
    removed: Option<oneshot::Sender<DeliveryEnd>>,
}

/// The pipelines of a host.
struct Pipeline<'a> {
    control: &'a HostControl,
    stop: &'a StopSignal,
    joins: SharedReaderHandle,
    tasks: JoinSet<DeliveryEnd>,
    running: BTreeMap<String, RunningDelivery>,
    /// Those that have failed, or cannot begin.
    stopped: BTreeMap<String, Arc<dyn ControlledPlugin>>,
}

impl Pipeline<'_> {
    fn add(&mut self, pipeline: PluginDelivery) {
        if self.running.contains_key(pipeline.plugin.name()) {
            return;
        }
        self.stopped.remove(pipeline.plugin.name());
        let prepared = PreparedDelivery::new(pipeline, self.joins.clone());
        let handle = prepared.steered();
        let stop = StopSignal { shutdown: self.stop.shutdown.child_token(), ..self.stop.clone() };
        let span = spans::plugin(handle.name());
        let running = RunningDelivery { handle, stop: stop.shutdown.clone(), removed: None };
        self.running.insert(running.handle.name().to_owned(), running);
        self.tasks.spawn(prepared.run(stop).instrument(span));
        self.show();
    }

    /// Has them be seen and steered.
    fn show(&self) {
        let running = self.running.values().map(|running| &running.handle);
        let mut all: Vec<_> = running.chain(self.stopped.values()).map(Arc::clone).collect();
        all.sort_by(|one, other| one.name().cmp(other.name()));
        self.control.activate(all);
    }

    fn change(&mut self, change: PipelineChange) {
        match change {
            PipelineChange::Add(pipeline) => self.add(*pipeline),
            PipelineChange::Stopped(plugin, reason) => {
                let stopped = StoppedPlugin::new(plugin, &reason);
                self.stopped.insert(stopped.name().to_owned(), Arc::new(stopped));
                self.show();
            }
            PipelineChange::Remove(name, told) => {
                if self.stopped.remove(&name).is_some() {
                    self.show();
                }
                if let Some(running) = self.running.get_mut(&name) {
                    running.stop.cancel();
                    running.removed = Some(told);
                }
            }
        }
    }

    /// Gives back what ended with the others, or by itself.
    fn ended(&mut self, ended: DeliveryEnd) -> Option<DeliveryEnd> {
        let running = self.running.remove(&ended.plugin);
        if let (Some(running), Err(error)) = (&running, &ended.result)
            && running.removed.is_none()
        {
            let stopped = StoppedPlugin::after(&*running.handle, &error.to_string());
            self.stopped.insert(ended.plugin.clone(), Arc::new(stopped));
        }
        self.show();
        match running.and_then(|running| running.removed) {
            // Where nobody waits for it any more, it is as if nobody had.
            Some(told) => told.send(ended).err(),
            None => Some(ended),
        }
    }
}

/// Runs all pipelines, which `control` steers, until they are told to `stop`, or none is left. One that fails is seen as stopped, and
/// the others run on; its checkpoint stays where it was. Where the last one that ran fails, the turn ends. `changes` adds pipelines, and
/// removes them, while the others run; as long as it is open, there need be none.
///
/// `follow` is the source that they share, of which the start and the selection are of no account.
///
/// # Errors
/// A defect of the host.
pub async fn run_all(
    pipelines: Vec<PluginDelivery>,
    follow: SourceConfig,
    control: &HostControl,
    stop: &StopSignal,
    changes: &mut mpsc::Receiver<PipelineChange>,
) -> Result<PipelineEnd, JoinError> {
    let (hub, joins) = SharedReader::new(follow);
    let reader = tokio::spawn(hub.run(stop.shutdown.clone()));
    let mut fleet = Pipeline {
        control,
        stop,
        joins,
        tasks: JoinSet::new(),
        running: BTreeMap::new(),
        stopped: BTreeMap::new(),
    };
    fleet.show();
    pipelines.into_iter().for_each(|pipeline| fleet.add(pipeline));
    let mut turn = PipelineEnd::default();
    let mut may_change = true;
    while !fleet.tasks.is_empty() || (may_change && !stop.shutdown.is_cancelled()) {
        let is_stopping = stop.shutdown.is_cancelled();
        tokio::select! {
            Some(ended) = fleet.tasks.join_next() => {
                let ended = ended?;
                let fenced = matches!(ended.result, Err(DeliveryError::Store(StoreError::Fenced { .. })));
                let failed = ended.result.as_ref().err().map(ToString::to_string);
                let Some(ended) = fleet.ended(ended) else { continue };
                turn.none_left = failed.is_some() && fleet.tasks.is_empty();
                match failed {
                    // Another host works now, on all of it.
                    _ if fenced => stop.shutdown.cancel(),
                    Some(_) if turn.none_left => stop.shutdown.cancel(),
                    Some(_) => tracing::error!(
                        event = "plugin.fail",
                        plugin = ended.plugin,
                        error = ended.result.as_ref().err().map(|error| error as &(dyn std::error::Error + 'static)),
                        "the plugin stopped, and the others continue; it starts again when its file or the settings change, or with \
                         the host"
                    ),
                    // There is nothing more to read for any.
                    None => may_change = false,
                }
                turn.ended.push(ended);
            }
            change = changes.recv(), if may_change && !is_stopping => match change {
                Some(change) => fleet.change(change),
                None => may_change = false,
            },
            () = stop.shutdown.cancelled(), if !is_stopping => {}
        }
    }
    control.deactivate();
    stop.shutdown.cancel();
    turn.stopped = fleet.stopped.into_keys().collect();
    turn.skipped = reader.await?;
    turn.ended.sort_by(|one, other| one.plugin.cmp(&other.plugin));
    Ok(turn)
}
