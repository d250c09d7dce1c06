//! The ops of one plugin from the first that is not done to the last that was read, and the counts of those before.

use std::sync::Arc;

use gtm_oplog::{Op, Timestamp};
use gtm_runtime::CallError;
use gtm_source::Position;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::checkpoint_progress::{CheckpointProgress, DueCheckpoint};
use super::settings::DeliveryBounds;
use super::summary::Summary;
use super::window::{OpWindow, Watermark};

/// The progress of one plugin through its ops. It bounds how far ops are read ahead of those that are done.
#[derive(Debug)]
pub(super) struct OpProgress {
    bounds: DeliveryBounds,
    /// One lock for all: the counts, the position and the checkpoint must agree.
    state: Mutex<OpProgressState>,
    /// Notifies those who wait for a state that has been reached.
    changed: Notify,
}

#[derive(Debug)]
struct OpProgressState {
    window: OpWindow,
    /// The time of the first op that was received and is not filtered yet.
    unfiltered: Option<Timestamp>,
    counts: Summary,
    dead_letters: u64,
    checkpoint: CheckpointProgress,
    /// Whether somebody waits for a change.
    is_awaited: bool,
}

/// The outcome of an op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpOutcome {
    /// The plugin handled it.
    Handled,
    /// The filter did not want it.
    Unwanted,
    /// The plugin rejected it.
    Rejected,
    /// No attempt succeeded.
    Failed,
    /// Not known, in a dry run.
    Unknown,
}

/// The progress at one moment, as the status shows it.
#[derive(Debug)]
pub(super) struct OpProgressSnapshot {
    /// The position up to which everything is done.
    pub(super) position: Option<Position>,
    /// The cluster time of the position.
    pub(super) time: Option<Timestamp>,
    /// The time of the first op that was received and is not done, whether or not it is filtered.
    pub(super) oldest: Option<Timestamp>,
    /// The position of the stored checkpoint.
    pub(super) checkpoint: Option<Position>,
    /// How long the checkpoint has been behind the position, in seconds. None: no checkpoints are stored.
    pub(super) checkpoint_age_seconds: Option<f64>,
    /// How many ops were read and are not done.
    pub(super) queued_ops: usize,
    /// The memory that they keep in use, in bytes.
    pub(super) queued_bytes: usize,
    pub(super) counts: Summary,
    pub(super) dead_letters: u64,
}

impl OpProgressState {
    fn position(&self) -> Option<Position> {
        self.window.watermark().and_then(Watermark::position)
    }

    fn summary(&self) -> Summary {
        Summary { unfinished: self.counts.read - self.counts.done(), ..self.counts }
    }
}

impl OpProgress {
    /// Returns the progress of a plugin that has done everything up to `from`, whose cluster time may be known.
    pub(super) fn new(
        bounds: DeliveryBounds,
        from: Option<(Position, Option<Timestamp>)>,
        stores_checkpoints: bool,
    ) -> Self {
        let (from, time) = from.map_or((None, None), |(position, time)| (Some(position), time));
        let state = OpProgressState {
            window: OpWindow::new(from.clone(), time),
            unfiltered: None,
            counts: Summary::default(),
            dead_letters: 0,
            checkpoint: CheckpointProgress::new(from, stores_checkpoints),
            is_awaited: false,
        };
        Self { bounds, state: Mutex::new(state), changed: Notify::new() }
    }

    /// Forgets the ops that are not done, and continues from here.
    pub(super) fn restart(&self, from: Option<Position>) {
        let mut state = self.state.lock();
        let unfinished = state.window.unfinished();
        state.counts.read -= u64::try_from(unfinished).unwrap_or_default();
        (state.window, state.unfiltered) = (OpWindow::new(from, None), None);
        state.checkpoint.restart();
    }

    /// Records the time of the first op that was received and is not filtered yet. None: all are.
    pub(super) fn set_unfiltered(&self, first: Option<Timestamp>) {
        self.state.lock().unfiltered = first;
    }

    /// Counts ops that were filtered, in their order, and passes each that is wanted, or for which the filter failed, to `accept`
    /// with its number.
    ///
    /// `bytes` is the memory that all of them keep in use. The first accepted op counts for it; if none is accepted, it is returned.
    pub(super) fn admit(
        &self,
        ops: impl Iterator<Item = (Arc<Op>, Result<bool, CallError>)>,
        mut bytes: usize,
        mut accept: impl FnMut(Arc<Op>, Result<bool, CallError>, u64),
    ) -> usize {
        let mut state = self.state.lock();
        let state = &mut *state;
        for (op, verdict) in ops {
            state.counts.read += 1;
            if matches!(verdict, Ok(false)) {
                state.counts.unwanted += 1;
                state.window.pass(Watermark::from(&*op));
            } else {
                let number = state.window.begin(&op, std::mem::take(&mut bytes));
                accept(op, verdict, number);
            }
        }
        bytes
    }

    /// Records that everything up to this position was read.
    pub(super) fn pass(&self, position: Position) {
        self.state.lock().window.pass(Watermark::Read(position));
    }

    /// Records that an op is done. Calls `on_done` with a function that returns whether the op with a number is done.
    pub(super) fn done(
        &self,
        number: u64,
        outcome: OpOutcome,
        attempts: u32,
        on_done: impl FnOnce(&dyn Fn(u64) -> bool),
    ) {
        let mut state = self.state.lock();
        let count = match outcome {
            OpOutcome::Handled => &mut state.counts.handled,
            OpOutcome::Unwanted => &mut state.counts.unwanted,
            OpOutcome::Rejected => &mut state.counts.rejected,
            OpOutcome::Failed => &mut state.counts.failed,
            OpOutcome::Unknown => &mut state.counts.unknown,
        };
        *count += 1;
        // The attempts of an op that failed were counted one by one.
        if outcome != OpOutcome::Failed {
            state.counts.attempts += 1;
            state.counts.retries += u64::from(attempts > 1);
        }
        state.window.done(number);
        on_done(&|number| state.window.is_done(number));
        if state.is_awaited && (state.window.len() == 0 || self.has_room(&state)) {
            state.is_awaited = false;
            self.changed.notify_waiters();
        }
    }

    /// Counts an attempt that failed.
    pub(super) fn attempt_failed(&self, attempt: u32) {
        let mut state = self.state.lock();
        state.counts.attempts += 1;
        state.counts.retries += u64::from(attempt > 1);
    }

    /// Counts a dead letter that was stored.
    pub(super) fn dead_letter_stored(&self) {
        self.state.lock().dead_letters += 1;
    }

    /// Waits until more ops may be admitted.
    pub(super) async fn until_room(&self) {
        self.until(|state| self.has_room(state)).await;
    }

    /// Waits until all admitted ops are done.
    pub(super) async fn until_idle(&self) {
        self.until(|state| state.window.len() == 0).await;
    }

    /// Waits until a checkpoint is stored, if checkpoints are stored at all.
    pub(super) async fn until_checkpoint_exists(&self) {
        self.until(|state| state.checkpoint.exists()).await;
    }

    async fn until(&self, is_reached: impl Fn(&OpProgressState) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let mut state = self.state.lock();
                if is_reached(&state) {
                    return;
                }
                state.is_awaited = true;
            }
            changed.await;
        }
    }

    fn has_room(&self, state: &OpProgressState) -> bool {
        state.window.len() < self.bounds.ops
            && state.window.bytes() < self.bounds.bytes
            && state.checkpoint.unstored_ops(state.window.next_number()) < self.bounds.unstored_ops
    }

    /// Returns the counts of all ops.
    pub(super) fn summary(&self) -> Summary {
        self.state.lock().summary()
    }

    /// Returns the position up to which everything is done.
    pub(super) fn position(&self) -> Option<Position> {
        self.state.lock().position()
    }

    /// Returns the checkpoint to store. None: the stored one is up to date, or no position is known yet.
    pub(super) fn due_checkpoint(&self) -> Option<DueCheckpoint> {
        let mut state = self.state.lock();
        let position = state.position()?;
        let (timestamp, done) = (state.window.time(), state.counts.done());
        let number = state.window.next_number() - u64::try_from(state.window.len()).unwrap_or_default();
        state.checkpoint.due(position, timestamp, number, done)
    }

    /// Records that a checkpoint was stored, with the numbers of the [`DueCheckpoint`].
    pub(super) fn checkpoint_stored(&self, position: Position, number: u64, done: u64) {
        let mut state = self.state.lock();
        state.checkpoint.stored(position, number, done);
        if state.is_awaited {
            state.is_awaited = false;
            self.changed.notify_waiters();
        }
    }

    /// Returns the progress at this moment.
    pub(super) fn snapshot(&self) -> OpProgressSnapshot {
        let state = self.state.lock();
        let position = state.position();
        OpProgressSnapshot {
            time: position.as_ref().and_then(Position::cluster_time).or(state.window.time()),
            // Ops are received in their order.
            oldest: state.window.oldest().or(state.unfiltered),
            checkpoint: state.checkpoint.position().cloned(),
            checkpoint_age_seconds: state.checkpoint.age(position.as_ref()).map(|age| age.as_secs_f64()),
            queued_ops: state.window.unfinished(),
            queued_bytes: state.window.bytes(),
            counts: state.summary(),
            dead_letters: state.dead_letters,
            position,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::op;

    fn position(time: u32) -> Position {
        Position::Oplog(Timestamp { time, increment: 1 })
    }

    fn progress(from: u32) -> OpProgress {
        let bounds = DeliveryBounds { ops: usize::MAX, bytes: usize::MAX, unstored_ops: u64::MAX };
        OpProgress::new(bounds, Some((position(from), None)), true)
    }

    /// Admits an op that the filter does not want.
    fn pass_over(progress: &OpProgress, time: u32) {
        progress.admit(std::iter::once((Arc::new(op(time)), Ok(false))), 0, |_, _, _| {});
    }

    #[test]
    fn a_checkpoint_is_due_immediately_after_ops_that_the_filter_does_not_want() {
        let progress = progress(1);
        assert!(progress.due_checkpoint().is_none());
        pass_over(&progress, 2);
        let due = progress.due_checkpoint().unwrap();
        assert!(due.has_news);
        progress.checkpoint_stored(due.position, due.number, due.done);
        progress.pass(position(3));
        assert!(!progress.due_checkpoint().unwrap().has_news, "only the source moved on");
    }

    #[test]
    fn a_checkpoint_ages_while_it_is_behind() {
        let progress = progress(1);
        let age = || progress.snapshot().checkpoint_age_seconds.unwrap();
        assert_eq!(age(), 0.0);
        pass_over(&progress, 2);
        assert!(age() > 0.0);
        let due = progress.due_checkpoint().unwrap();
        progress.checkpoint_stored(due.position, due.number, due.done);
        assert_eq!(age(), 0.0);
    }

    #[tokio::test]
    async fn a_plugin_without_a_checkpoint_waits_for_its_first() {
        let bounds = DeliveryBounds { ops: usize::MAX, bytes: usize::MAX, unstored_ops: u64::MAX };
        OpProgress::new(bounds, None, false).until_checkpoint_exists().await;
        progress(1).until_checkpoint_exists().await;
        let progress = Arc::new(OpProgress::new(bounds, None, true));
        progress.pass(position(1));
        let waiting = tokio::spawn({
            let progress = Arc::clone(&progress);
            async move { progress.until_checkpoint_exists().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        let due = progress.due_checkpoint().unwrap();
        progress.checkpoint_stored(due.position, due.number, due.done);
        waiting.await.unwrap();
    }
}
