//! The progress of one plugin: its feed, its lanes and its checkpointer record it, and its status shows it.

use std::sync::Arc;

use gtm_mongo::SourceHealth;
use gtm_oplog::Timestamp;
use gtm_runtime::{PluginMetrics, UsageStatus};
use gtm_source::Position;

use super::last_error::{ErrorSubject, LastError};
use super::op_progress::{OpOutcome, OpProgress, OpProgressSnapshot};
use super::op_rate::OpRate;
use super::pause::PauseSwitch;
use super::reader_progress::ReaderProgress;
use super::settings::DeliveryBounds;
use super::status::{PluginState, PluginStatus};

/// The progress of one plugin, each subject by itself.
#[derive(Debug)]
pub(super) struct PluginProgress {
    /// What is read and done.
    pub(super) ops: OpProgress,
    /// Who reads, and up to where.
    pub(super) reader: ReaderProgress,
    /// The last error.
    pub(super) last_error: LastError,
    /// How fast ops are done.
    pub(super) rate: OpRate,
    /// Whether the plugin is paused.
    pub(super) pause: PauseSwitch,
}

impl PluginProgress {
    /// Returns the progress of a plugin that has done everything up to `from`, whose cluster time may be known.
    pub(super) fn new(
        bounds: DeliveryBounds,
        from: Option<(Position, Option<Timestamp>)>,
        stores_checkpoints: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            ops: OpProgress::new(bounds, from, stores_checkpoints),
            reader: ReaderProgress::default(),
            last_error: LastError::default(),
            rate: OpRate::default(),
            pause: PauseSwitch::default(),
        })
    }

    /// Forgets the ops that are not done, and continues from here.
    pub(super) fn restart(&self, from: Option<Position>) {
        self.ops.restart(from);
        self.reader.restart();
        self.last_error.restart();
    }

    /// Records that an op is done, and that an error is over which this shows to be over.
    pub(super) fn done(&self, number: u64, outcome: OpOutcome, attempts: u32) {
        self.ops.done(number, outcome, attempts, |is_done| {
            if matches!(outcome, OpOutcome::Handled | OpOutcome::Unwanted) {
                self.last_error.op_handled(number, is_done);
            }
        });
    }

    /// Records that an attempt at an op failed.
    pub(super) fn attempt_failed(&self, number: u64, attempt: u32, error: &str) {
        self.ops.attempt_failed(attempt);
        self.last_error.set(ErrorSubject::Op(number), error);
    }

    /// Records that a checkpoint was stored, with the numbers of the [`DueCheckpoint`](super::checkpoint_progress::DueCheckpoint).
    pub(super) fn checkpoint_stored(&self, position: Position, number: u64, done: u64) {
        self.ops.checkpoint_stored(position, number, done);
        self.last_error.checkpoint_stored();
    }

    /// Returns the status of the plugin, without what only its handle knows. `state`: its state unless it is paused.
    pub(super) fn status(
        &self,
        plugin: &str,
        version: &str,
        state: PluginState,
        source: &SourceHealth,
    ) -> PluginStatus {
        let OpProgressSnapshot {
            position,
            time,
            oldest,
            checkpoint,
            checkpoint_age_seconds,
            queued_ops,
            queued_bytes,
            counts,
            dead_letters,
        } = self.ops.snapshot();
        PluginStatus {
            plugin: plugin.to_owned(),
            version: version.to_owned(),
            state: if self.pause.is_paused() { PluginState::Paused } else { state },
            reader: self.reader.reader(),
            position_seconds: time.map(|time| time.time),
            position: position.map(|position| position.to_string()),
            checkpoint: checkpoint.map(|checkpoint| checkpoint.to_string()),
            checkpoint_age_seconds,
            lag_seconds: self.reader.lag(oldest, time, source),
            queued_ops: u64::try_from(queued_ops).unwrap_or(u64::MAX),
            queued_bytes: u64::try_from(queued_bytes).unwrap_or(u64::MAX),
            ops_per_second: self.rate.per_second(),
            counts,
            dead_letters,
            last_error: self.last_error.message(),
            last_error_seconds: self.last_error.seconds(),
            rolled_back: None,
            filters: Vec::new(),
            usage: UsageStatus::default(),
            metrics: PluginMetrics::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::op;

    const NOW: u32 = 1_700_000_100;

    fn progress() -> Arc<PluginProgress> {
        let bounds = DeliveryBounds { ops: usize::MAX, bytes: usize::MAX, unstored_ops: u64::MAX };
        let from = Position::Oplog(Timestamp { time: NOW - 60, increment: 1 });
        PluginProgress::new(bounds, Some((from, None)), true)
    }

    fn status(progress: &PluginProgress, source: &SourceHealth) -> PluginStatus {
        progress.status("p", "1", PluginState::Running, source)
    }

    /// Admits an op that is wanted, and returns its number.
    fn admit(progress: &PluginProgress, time: u32) -> u64 {
        let mut admitted = 0;
        let ops = std::iter::once((Arc::new(op(time)), Ok(true)));
        progress.ops.admit(ops, 0, |_, _, number| admitted = number);
        admitted
    }

    #[test]
    fn the_lag_is_the_age_of_the_oldest_queued_op_until_it_is_done() {
        let newest = Timestamp { time: NOW, increment: 1 };
        let (progress, source) = (progress(), SourceHealth::connected(Some(newest)));
        let number = admit(&progress, NOW - 50);
        progress.reader.set_caught_up(true, source.newest());
        assert!(status(&progress, &source).lag_seconds.unwrap() >= 50.0);
        // Others' changes move on what was read, whatever its kind of position.
        for read in [Position::Oplog(newest), Position::ChangeStream("0a".parse().unwrap())] {
            progress.ops.pass(read);
            progress.reader.set_caught_up(true, source.newest());
            assert!(status(&progress, &source).lag_seconds.unwrap() >= 50.0);
        }
        progress.done(number, OpOutcome::Handled, 1);
        assert_eq!(status(&progress, &source).lag_seconds, Some(0.0));
    }

    #[test]
    fn the_lag_counts_ops_that_wait_for_the_filter() {
        let newest = Timestamp { time: NOW, increment: 1 };
        let (progress, source) = (progress(), SourceHealth::connected(Some(newest)));
        progress.reader.set_caught_up(true, source.newest());
        progress.ops.set_unfiltered(Some(Timestamp { time: NOW - 50, increment: 1 }));
        assert!(status(&progress, &source).lag_seconds.unwrap() >= 50.0);
        progress.ops.set_unfiltered(None);
        assert_eq!(status(&progress, &source).lag_seconds, Some(0.0));
    }

    #[test]
    fn an_error_is_over_with_a_success_but_not_while_its_op_is_tried() {
        let (progress, source) = (progress(), SourceHealth::default());
        let (one, two, three) = (admit(&progress, 1), admit(&progress, 2), admit(&progress, 3));
        let error = || status(&progress, &source).last_error;
        progress.attempt_failed(one, 1, "no route");
        progress.done(two, OpOutcome::Handled, 1);
        assert_eq!(error().as_deref(), Some("no route"), "another op was handled");
        progress.attempt_failed(one, 2, "no route");
        progress.done(one, OpOutcome::Handled, 3);
        assert_eq!(error(), None);
        assert!(status(&progress, &source).last_error_seconds.is_some());
        let counts = status(&progress, &source).counts;
        assert_eq!((counts.attempts, counts.retries, counts.handled), (4, 2, 2));

        progress.attempt_failed(three, 1, "no such user");
        progress.done(three, OpOutcome::Failed, 1);
        assert_eq!(error().as_deref(), Some("no such user"), "it was given up");
        let four = admit(&progress, 4);
        progress.done(four, OpOutcome::Handled, 1);
        assert_eq!(error(), None);
        assert_eq!(status(&progress, &source).counts.attempts, 6);

        progress.last_error.set(ErrorSubject::Checkpoint, "no space");
        let five = admit(&progress, 5);
        progress.done(five, OpOutcome::Handled, 1);
        assert_eq!(error().as_deref(), Some("no space"), "it concerns the checkpoint");
        let due = progress.ops.due_checkpoint().unwrap();
        progress.checkpoint_stored(due.position, due.number, due.done);
        assert_eq!(error(), None);
    }
}
