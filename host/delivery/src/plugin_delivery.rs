//! The delivery to one plugin: its feed, its lanes and its checkpointer, controlled while it runs.

use std::sync::Arc;
use std::time::Duration;

use gtm_oplog::{Op, Selection, Skipped, Timestamp, add_skipped};
use gtm_runtime::PluginHandle;
use gtm_source::{HistoryLost, LiveSource, Position, SourceConfig, SourceError, StartAt};
use gtm_store::{CheckpointKey, Store, StoreError};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::Summary;
use super::checkpoint::{CheckpointContext, Checkpointer};
use super::control::{ControlError, ControlledPlugin, DeliveryCommand};
use super::delivery_handle::DeliveryHandle;
use super::feed::{Beginning, FeedEnd, FeedReceiver, PluginFeed, SharedReaderHandle};
use super::lane_pool::LanePool;
use super::letters::{DeadLetterHelp, DeadLetters};
use super::pipeline::StopSignal;
use super::plugin_progress::PluginProgress;
use super::settings::DeliveryPolicy;
use super::timers::Timers;

/// How long a seek waits for the server.
const SEEK_TIMEOUT: Duration = Duration::from_secs(30);

/// The interval at which the host reports how much was left out of a plugin's log.
const LEFT_OUT_REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// The maximum number of commands that wait.
const MAX_QUEUED_COMMANDS: usize = 4;

/// Returns whether an op belongs to this worker.
pub type OwnsOp = Arc<dyn Fn(&Op) -> bool + Send + Sync>;

/// A plugin, and all that its delivery needs.
pub struct PluginDelivery {
    /// The plugin.
    pub plugin: PluginHandle,
    /// The source, in words.
    pub source: String,
    /// The source of the plugin's own readers, and where they begin.
    pub config: SourceConfig,
    /// The position up to which everything was done before, and its cluster time, if that is known.
    pub from: Option<(Position, Option<Timestamp>)>,
    /// How ops are delivered.
    pub policy: DeliveryPolicy,
    /// Which ops belong to this worker.
    pub owns: OwnsOp,
    /// Where checkpoints and dead letters are stored.
    pub store: Store,
    /// The key of the checkpoints.
    pub key: CheckpointKey,
    /// The part that is equal in all checkpoints.
    pub checkpoint_context: CheckpointContext,
    /// The position that the plugin reached in this process.
    pub reached: ReachedPosition,
    /// The help for dead letters.
    pub letter_help: DeadLetterHelp,
}

/// The position that a plugin reached in this process, whether or not a checkpoint could be stored. A plugin without a checkpoint resumes
/// here when the host becomes active again: "now" would be another time then, and the changes in between would be lost.
#[derive(Clone, Debug, Default)]
pub struct ReachedPosition(Arc<Mutex<Option<Position>>>);

impl ReachedPosition {
    /// Returns the position up to which everything is done. None: nothing was read yet.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.0.lock().clone()
    }

    /// Records that everything up to this position is done.
    pub(super) fn set(&self, position: Position) {
        *self.0.lock() = Some(position);
    }
}

/// Why a delivery ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The source cannot be read any more.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Another host is active.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A task panicked, which is a defect of the host.
    #[error("gtm-host has a defect, please report it: {0}")]
    Panicked(#[from] JoinError),
}

/// How a delivery ended.
#[derive(Debug)]
pub struct DeliveryEnd {
    /// The name of its plugin.
    pub plugin: String,
    /// The position up to which everything is done, written as a start to resume from. None: nothing was done, or a change stream has no
    /// position yet.
    pub position: Option<String>,
    /// The counts of all ops.
    pub summary: Summary,
    /// The entries of the source that were skipped, by reason.
    pub skipped: Skipped,
    /// The reason why it ended by itself, if it did.
    pub result: Result<(), DeliveryError>,
}

/// A delivery that is ready to run.
pub(super) struct PreparedDelivery {
    delivery: PluginDelivery,
    shared_reader: SharedReaderHandle,
    handle: Arc<DeliveryHandle>,
    checkpointer: Checkpointer,
    commands: mpsc::Receiver<DeliveryCommand>,
    /// The entries that the feeds before the current one skipped.
    skipped: Skipped,
}

/// The feed and the lanes from one seek to the next.
struct DeliveryRun {
    feed: AbortOnDropHandle<FeedEnd>,
    lanes: LanePool,
    /// Stops the feed.
    stop: CancellationToken,
}

impl PreparedDelivery {
    pub(super) fn new(mut delivery: PluginDelivery, shared_reader: SharedReaderHandle) -> Self {
        let bounds = delivery.policy.delivery.into();
        let progress = PluginProgress::new(bounds, delivery.from.clone(), delivery.store.keeps());
        let (sender, commands) = mpsc::channel(MAX_QUEUED_COMMANDS);
        let source = delivery.config.health.for_plugin();
        delivery.config.health = source.clone();
        let checkpointer = Checkpointer::new(
            delivery.store.clone(),
            delivery.key.clone(),
            delivery.checkpoint_context.clone(),
            Arc::clone(&progress),
            delivery.policy.delivery.checkpoint_interval,
        );
        let (plugin, lanes) = (delivery.plugin.clone(), Mutex::new(None));
        let handle = Arc::new(DeliveryHandle { plugin, progress, lanes, commands: sender, source });
        Self { delivery, shared_reader, handle, checkpointer, commands, skipped: Skipped::new() }
    }

    /// Returns the plugin as the host's control shows it.
    pub(super) fn controlled(&self) -> Arc<dyn ControlledPlugin> {
        Arc::clone(&self.handle) as Arc<dyn ControlledPlugin>
    }

    /// Runs until it is stopped, or the source ends. Then nothing more is read, and the ops that were read are handled.
    pub(super) async fn run(mut self, signal: StopSignal) -> DeliveryEnd {
        let StopSignal { shutdown, grace, lease_lost } = signal.clone();
        let stop_checkpoints = CancellationToken::new();
        let mut checkpoints = AbortOnDropHandle::new(tokio::spawn({
            let (checkpointer, stop) = (self.checkpointer.clone(), stop_checkpoints.clone());
            async move { checkpointer.run(&stop).await }.in_current_span()
        }));
        let mut run = self.start(None, &shutdown);
        let mut fenced = None;
        let mut handled = Ok(());
        let mut cut_off = std::pin::pin!(signal.until_cut_off());
        let mut is_cut_off = false;
        let mut reports = tokio::time::interval(LEFT_OUT_REPORT_INTERVAL);
        reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let fed = loop {
            tokio::select! {
                fed = &mut run.feed => break fed,
                stored = &mut checkpoints => {
                    fenced = stored.unwrap_or(Ok(())).err();
                    shutdown.cancel();
                    run.lanes.context.dropped.cancel();
                    break (&mut run.feed).await;
                }
                () = &mut cut_off => {
                    is_cut_off = true;
                    run.lanes.context.dropped.cancel();
                    break (&mut run.feed).await;
                }
                Err(panicked) = run.lanes.ended() => {
                    handled = Err(panicked);
                    shutdown.cancel();
                    run.lanes.context.dropped.cancel();
                    break (&mut run.feed).await;
                }
                _ = reports.tick() => self.handle.plugin.report_left_out(),
                Some(command) = self.commands.recv() => {
                    run = self.execute(command, run, &shutdown, grace).await;
                }
            }
        };
        let dropped = run.lanes.context.dropped.clone();
        if !is_cut_off {
            tokio::select! {
                ended = run.lanes.ended() => handled = handled.and(ended),
                () = &mut cut_off => dropped.cancel(),
            }
        }
        // When another host starts, nothing is handled here any more.
        run.lanes.drop_queued(Duration::ZERO).await;
        self.handle.plugin.report_rest();
        stop_checkpoints.cancel();
        if fenced.is_none() && !lease_lost.is_cancelled() {
            let stored = self.checkpointer.store_now().await;
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
        let mut result = handled.map_err(DeliveryError::from);
        match fed {
            Ok(end) => {
                add_skipped(&mut self.skipped, end.skipped);
                result = result.and(end.error.map_or(Ok(()), |error| Err(error.into())));
            }
            Err(error) => result = result.and(Err(error.into())),
        }
        let ops = &self.handle.progress.ops;
        let position = ops.position();
        position.iter().for_each(|position| self.delivery.reached.set(position.clone()));
        DeliveryEnd {
            plugin: self.handle.plugin.name().to_owned(),
            position: position.map(|position| position.to_string()),
            summary: ops.summary(),
            skipped: self.skipped,
            result: fenced.map_or(result, |fenced| Err(fenced.into())),
        }
    }

    /// Starts a feed and lanes. The feed begins with `first`, if that is given: a source that was opened for a selection.
    fn start(&self, first: Option<(LiveSource, Selection)>, shutdown: &CancellationToken) -> DeliveryRun {
        let PluginDelivery { plugin, source, config, policy, owns, store, key, reached, letter_help, .. } =
            &self.delivery;
        let progress = &self.handle.progress;
        let letters =
            DeadLetters::new(store, &key.pipeline, plugin.name(), policy, Some(letter_help.clone()));
        let stop = shutdown.child_token();
        let beginning =
            Beginning::new(source.clone(), self.checkpointer.clone(), reached.clone(), stop.clone());
        let (segments, receiver) = FeedReceiver::new(Some(Arc::clone(owns)), Some(beginning));
        let mut lanes = LanePool::start(plugin, *policy, progress, letters, receiver, shutdown.clone());
        lanes.start_timers(Timers {
            plugin: plugin.clone(),
            store: store.clone(),
            pipeline: key.pipeline.clone(),
            owns: Arc::clone(owns),
        });
        *self.handle.lanes.lock() = Some(Arc::clone(&lanes.context));
        // The order matters: no version after this selection is missed.
        let mut versions = plugin.versions();
        let current = versions.borrow_and_update().selection().clone();
        let (first, selection) = match first {
            Some((live, selection)) => {
                // The feed compares: a version that came since the source was opened may select other ops.
                versions.mark_changed();
                (Some(live), selection)
            }
            None => (None, current),
        };
        let feed = PluginFeed::new(
            plugin.name(),
            self.shared_reader.clone(),
            SourceConfig { selection, ..config.clone() },
            versions,
            Arc::clone(progress),
            segments,
            stop.clone(),
        );
        DeliveryRun {
            feed: AbortOnDropHandle::new(tokio::spawn(feed.run(first).in_current_span())),
            lanes,
            stop,
        }
    }

    /// Executes a command, even if the caller no longer waits for the answer.
    async fn execute(
        &mut self,
        command: DeliveryCommand,
        run: DeliveryRun,
        shutdown: &CancellationToken,
        grace: Duration,
    ) -> DeliveryRun {
        let (plugin, pause) = (self.handle.plugin.name(), &self.handle.progress.pause);
        match command {
            DeliveryCommand::Pause(answer) => {
                tracing::info!(event = "plugin.pause", plugin, "paused, as requested");
                pause.pause();
                let _ = answer.send(Ok(()));
                run
            }
            DeliveryCommand::Resume(answer) => {
                tracing::info!(event = "plugin.resume", plugin, "resumed, as requested");
                pause.resume();
                let _ = answer.send(Ok(()));
                run
            }
            DeliveryCommand::Seek(to, answer) => {
                let selection = self.delivery.plugin.current().selection().clone();
                let live = match self.open(to, selection.clone(), shutdown).await {
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
                run.lanes.drop_queued(grace).await;
                if let Ok(end) = run.feed.await {
                    add_skipped(&mut self.skipped, end.skipped);
                }
                if let Err(error) = self.checkpointer.restart(from.clone()).await {
                    tracing::error!(
                        event = "checkpoint.store_failed",
                        plugin,
                        error = &error as &(dyn std::error::Error + 'static),
                        "the checkpoint cannot be stored"
                    );
                }
                self.delivery.config.start = from.map_or(StartAt::Now, StartAt::from);
                self.delivery.config.snapshot = false;
                let _ = answer.send(Ok(()));
                self.start(Some((live, selection)), shutdown)
            }
        }
    }

    /// Opens the source at the start of a seek, for the ops that the current version selects.
    async fn open(
        &self,
        to: StartAt,
        selection: Selection,
        shutdown: &CancellationToken,
    ) -> Result<LiveSource, ControlError> {
        let config = SourceConfig {
            start: to,
            selection,
            history_lost: HistoryLost::Stop,
            snapshot: false,
            progress: None,
            ..self.delivery.config.clone()
        };
        tokio::select! {
            opened = LiveSource::open(config) => Ok(opened?),
            () = tokio::time::sleep(SEEK_TIMEOUT) => Err(ControlError::SeekTimedOut),
            () = shutdown.cancelled() => Err(ControlError::Stopping),
        }
    }
}
