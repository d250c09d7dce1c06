//! One plugin, from its reading to its checkpoints, steered while it runs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gtm_mongo::SourceHealth;
use gtm_oplog::{Op, Skipped, Timestamp};
use gtm_runtime::PluginHandle;
use gtm_source::{HistoryLost, LiveSource, Position, SourceConfig, SourceError, StartAt};
use gtm_store::{CheckpointKey, Store, StoreError};
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::Summary;
use super::checkpoint::{CheckpointLike, Checkpointer};
use super::control::{ControlError, ControlledPlugin, DeliveryCommand};
use super::feed::{PluginReader, PluginReaderEnd, SharedReaderHandle};
use super::lane::LaneContext;
use super::lane_pool::LanePool;
use super::letters::DeadLetters;
use super::pipeline::StopSignal;
use super::progress::PluginProgress;
use super::settings::DeliveryPolicy;
use super::status::PluginStatus;

/// How long who seeks waits for the server.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is reported what was left out of a plugin's log.
const REPORTED: Duration = Duration::from_secs(1);

/// Says which ops are this worker's.
pub type OwnsOp = Arc<dyn Fn(&Op) -> bool + Send + Sync>;

/// A plugin that is to be brought what changes.
pub struct PluginDelivery {
    /// The plugin.
    pub plugin: PluginHandle,
    /// What it reads, in words.
    pub source: String,
    /// What it reads by itself, and from where on.
    pub follow: SourceConfig,
    /// Everything up to here was done before, of which the cluster time may be known.
    pub from: Option<(Position, Option<Timestamp>)>,
    /// How it is delivered.
    pub policy: DeliveryPolicy,
    /// Which ops are this worker's.
    pub mine: OwnsOp,
    /// Where checkpoints and dead letters are kept.
    pub store: Store,
    /// Under which name.
    pub key: CheckpointKey,
    /// What its checkpoints have in common.
    pub like: CheckpointLike,
    /// How far it came while this process runs.
    pub reached: ReachedPosition,
}

/// How far a plugin came while this process runs, whether or not a checkpoint could be stored. Where there is no checkpoint, the
/// next turn begins here and not at another "now", which would lose what changed in between.
#[derive(Clone, Debug, Default)]
pub struct ReachedPosition(Arc<Mutex<Option<Position>>>);

impl ReachedPosition {
    /// Returns the last position. None: nothing was read yet.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Everything up to here is done.
    pub(super) fn set(&self, position: Position) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(position);
    }
}

/// Why a pipeline ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The source has no more to give.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Another host works now.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A defect of the host.
    #[error("gtm-host has a defect, please report it: {0}")]
    Panicked(#[from] JoinError),
}

/// A pipeline that has ended.
#[derive(Debug)]
pub struct DeliveryEnd {
    /// The name of its plugin.
    pub plugin: String,
    /// Up to where all is done: a start to go on from. None: nothing was done, or a change stream has not said where it
    /// stands.
    pub position: Option<String>,
    /// What became of the ops.
    pub summary: Summary,
    /// Which entries of the source were no ops.
    pub skipped: Skipped,
    /// Why it ended, if it was not told to.
    pub result: Result<(), DeliveryError>,
}

/// A plugin at work, as it is seen and steered.
struct DeliveryHandle {
    plugin: PluginHandle,
    progress: Arc<PluginProgress>,
    /// Of the lanes that work now.
    shared: Mutex<Option<Arc<LaneContext>>>,
    commands: mpsc::Sender<DeliveryCommand>,
    source: SourceHealth,
}

impl ControlledPlugin for DeliveryHandle {
    fn name(&self) -> &str {
        self.plugin.name()
    }

    fn status(&self) -> PluginStatus {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let failing =
            shared.as_ref().is_some_and(|shared| shared.breaker.is_open() || shared.blocked.is_blocked());
        let (name, version) = (self.plugin.name(), self.plugin.current());
        let mut status = self.progress.status(name, version.version(), failing, &self.source);
        status.usage = self.plugin.usage();
        status.metrics = self.plugin.metrics();
        status.rolled_back = self.plugin.rolled_back();
        // Of what it reads by itself nobody else is told.
        if let Some(trouble) = self.source.plugin_trouble() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            status.last_error.get_or_insert(trouble);
            status.last_error_seconds = Some(now.as_secs());
        }
        status
    }

    fn commands(&self) -> &mpsc::Sender<DeliveryCommand> {
        &self.commands
    }

    fn slot(&self) -> &PluginHandle {
        &self.plugin
    }
}

/// A pipeline that is ready to run.
pub(super) struct PreparedDelivery {
    pipeline: PluginDelivery,
    hub: SharedReaderHandle,
    handle: Arc<DeliveryHandle>,
    commands: mpsc::Receiver<DeliveryCommand>,
}

/// From one seek to the next.
struct DeliveryRun {
    intake: AbortOnDropHandle<PluginReaderEnd>,
    works: LanePool,
    /// Ends the reading.
    stop: CancellationToken,
}

impl PreparedDelivery {
    pub(super) fn new(mut pipeline: PluginDelivery, hub: SharedReaderHandle) -> Self {
        let bounds = pipeline.policy.delivery.into();
        let progress = Arc::new(PluginProgress::new(bounds, pipeline.from.clone(), pipeline.store.keeps()));
        let (sender, commands) = mpsc::channel(4);
        let plugin = pipeline.plugin.clone();
        let source = pipeline.follow.health.for_plugin();
        pipeline.follow.health = source.clone();
        let shared = Mutex::new(None);
        let handle = Arc::new(DeliveryHandle { plugin, progress, shared, commands: sender, source });
        Self { pipeline, hub, handle, commands }
    }

    pub(super) fn steered(&self) -> Arc<dyn ControlledPlugin> {
        Arc::clone(&self.handle) as Arc<dyn ControlledPlugin>
    }

    /// Runs until it is told to stop, or the source ends. Then nothing more is read, and what was read is handled.
    pub(super) async fn run(mut self, told: StopSignal) -> DeliveryEnd {
        let StopSignal { shutdown, grace, at_once } = told.clone();
        let mut skipped = Skipped::new();
        let checkpointer = self.checkpointer();
        let stop = CancellationToken::new();
        let mut checkpoints = AbortOnDropHandle::new(tokio::spawn({
            let (checkpointer, stop) = (checkpointer.clone(), stop.clone());
            async move { checkpointer.run(&stop).await }.in_current_span()
        }));
        let mut run = self.start(None, &shutdown);
        let mut fenced = None;
        let mut worked = Ok(());
        let mut cut = std::pin::pin!(told.cut());
        let mut is_cut = false;
        let mut reports = tokio::time::interval(REPORTED);
        reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // What ends the reading, other than being told to.
        let read = loop {
            tokio::select! {
                read = &mut run.intake => break read,
                stored = &mut checkpoints => {
                    fenced = stored.unwrap_or(Ok(())).err();
                    shutdown.cancel();
                    run.works.shared.dropped.cancel();
                    break (&mut run.intake).await;
                }
                () = &mut cut => {
                    is_cut = true;
                    run.works.shared.dropped.cancel();
                    break (&mut run.intake).await;
                }
                Err(defect) = run.works.ended() => {
                    worked = Err(defect);
                    shutdown.cancel();
                    run.works.shared.dropped.cancel();
                    break (&mut run.intake).await;
                }
                _ = reports.tick() => self.handle.plugin.report_left_out(),
                Some(command) = self.commands.recv() => {
                    run = self.obey(command, run, &checkpointer, &shutdown, grace).await;
                }
            }
        };
        let dropped = run.works.shared.dropped.clone();
        if !is_cut {
            tokio::select! {
                ended = run.works.ended() => worked = worked.and(ended),
                () = &mut cut => dropped.cancel(),
            }
        }
        // Nothing is handled any more when another host begins.
        run.works.drop_queued(Duration::ZERO).await;
        self.handle.plugin.report_rest();
        stop.cancel();
        if fenced.is_none() && !at_once.is_cancelled() {
            let stored = checkpointer.store_now().await;
            if let Err(error) = &stored {
                tracing::error!(
                    event = "checkpoint.store_failed",
                    plugin = self.handle.plugin.name(),
                    error = error as &(dyn std::error::Error + 'static),
                    "the checkpoint cannot be stored"
                );
            }
            fenced = stored.err().filter(|error| matches!(error, StoreError::Fenced { .. }));
        }
        let mut result = worked.map_err(DeliveryError::from);
        match read {
            Ok(end) => {
                skipped.extend(end.skipped);
                result = result.and(end.error.map_or(Ok(()), |error| Err(error.into())));
            }
            Err(error) => result = result.and(Err(error.into())),
        }
        let progress = &self.handle.progress;
        let position = progress.position();
        position.iter().for_each(|position| self.pipeline.reached.set(position.clone()));
        DeliveryEnd {
            plugin: self.handle.plugin.name().to_owned(),
            position: position.map(|position| position.to_string()),
            summary: progress.summary(),
            skipped,
            result: fenced.map_or(result, |fenced| Err(fenced.into())),
        }
    }

    fn checkpointer(&self) -> Checkpointer {
        let PluginDelivery { store, key, like, policy, .. } = &self.pipeline;
        Checkpointer {
            store: store.clone(),
            key: key.clone(),
            like: like.clone(),
            progress: Arc::clone(&self.handle.progress),
            interval: policy.delivery.checkpoint_interval,
        }
    }

    /// Begins, with what is read there if it is given.
    fn start(&self, first: Option<LiveSource>, shutdown: &CancellationToken) -> DeliveryRun {
        let PluginDelivery { plugin, source, follow, policy, mine, store, key, .. } = &self.pipeline;
        let progress = &self.handle.progress;
        let letters = DeadLetters::new(store, &key.pipeline, plugin.name(), policy);
        let (batches, works) = LanePool::start(plugin, *policy, progress, letters, shutdown.clone());
        *self.handle.shared.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&works.shared));
        let stop = shutdown.child_token();
        // In this order, so that no version is missed.
        let mut versions = plugin.versions();
        let selection = versions.borrow_and_update().selection().clone();
        let intake = PluginReader {
            plugin: plugin.name().into(),
            source: Some(source.clone()),
            hub: self.hub.clone(),
            follow: SourceConfig { selection, ..follow.clone() },
            versions,
            mine: Arc::clone(mine),
            progress: Arc::clone(progress),
            beginning: Some((self.checkpointer(), self.pipeline.reached.clone())),
            batches,
            shutdown: stop.clone(),
        };
        DeliveryRun {
            intake: AbortOnDropHandle::new(tokio::spawn(intake.run(first).in_current_span())),
            works,
            stop,
        }
    }

    async fn obey(
        &mut self,
        command: DeliveryCommand,
        run: DeliveryRun,
        checkpointer: &Checkpointer,
        shutdown: &CancellationToken,
        grace: Duration,
    ) -> DeliveryRun {
        let (plugin, paused) = (self.handle.plugin.name(), &self.handle.progress.paused);
        // Nobody waits for the answer any more, then.
        match command {
            DeliveryCommand::Pause(answer) => {
                tracing::info!(event = "plugin.pause", plugin, "paused, as requested");
                paused.send_replace(true);
                let _ = answer.send(Ok(()));
                run
            }
            DeliveryCommand::Resume(answer) => {
                tracing::info!(event = "plugin.resume", plugin, "resumed, as requested");
                paused.send_replace(false);
                let _ = answer.send(Ok(()));
                run
            }
            DeliveryCommand::Seek(to, answer) => {
                let follow = SourceConfig {
                    start: to,
                    history_lost: HistoryLost::Stop,
                    snapshot: false,
                    progress: None,
                    ..self.pipeline.follow.clone()
                };
                let opened = tokio::select! {
                    opened = LiveSource::open(follow) => opened.map_err(|error| ControlError::Seek(error.to_string())),
                    () = tokio::time::sleep(PATIENCE) => {
                        Err(ControlError::Seek("the server does not answer: nothing has changed".to_owned()))
                    }
                    () = shutdown.cancelled() => Err(ControlError::Stopping),
                };
                let live = match opened {
                    Ok(live) => live,
                    Err(error) => {
                        let _ = answer.send(Err(error));
                        return run;
                    }
                };
                let from = live.position();
                tracing::info!(
                    event = "plugin.seek",
                    plugin,
                    from = from.as_ref().map_or("now".to_owned(), ToString::to_string),
                    "continuing from another position, as requested"
                );
                run.stop.cancel();
                run.works.drop_queued(grace).await;
                let _ = run.intake.await;
                self.handle.progress.restart(from.clone());
                self.pipeline.follow.start = from.map_or(StartAt::Now, StartAt::from);
                self.pipeline.follow.snapshot = false;
                if let Err(error) = checkpointer.store_now().await {
                    tracing::error!(
                        event = "checkpoint.store_failed",
                        plugin,
                        error = &error as &(dyn std::error::Error + 'static),
                        "the checkpoint cannot be stored"
                    );
                }
                let _ = answer.send(Ok(()));
                self.start(Some(live), shutdown)
            }
        }
    }
}
