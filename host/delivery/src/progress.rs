//! What a plugin has done and has to do: shared by all that work for it, and seen from outside.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use gtm_mongo::SourceHealth;
use gtm_oplog::{Op, Timestamp};
use gtm_runtime::{CallError, PluginMetrics, UsageStatus};
use gtm_source::Position;
use tokio::sync::{Notify, watch};

use super::status::{PluginState, PluginStatus, ReaderState};
use super::window::{OpWindow, Watermark};
use super::{Bounds, Summary};

/// What a plugin has done and has to do.
pub(super) struct PluginProgress {
    bounds: Bounds,
    inner: Mutex<ProgressInner>,
    /// There may be room again, or nothing left to do.
    changed: Notify,
    pub(super) paused: watch::Sender<bool>,
}

#[derive(Debug)]
struct ProgressInner {
    window: OpWindow,
    summary: Summary,
    /// Somebody waits for room.
    awaited: bool,
    reader: ReaderState,
    /// When nothing was left to read, as the last read said. None: it said that there was more, or nobody reads.
    caught_up: Option<Instant>,
    /// The newest change that was known of the source then.
    read_to: Option<Timestamp>,
    dead_letters: u64,
    last_error: Option<Problem>,
    last_error_at: Option<SystemTime>,
    checkpoint: Option<Position>,
    /// The number of the next op when that was stored.
    checkpoint_number: u64,
    /// How many ops were done then.
    checkpoint_done: u64,
    /// When the checkpoint was last what is done.
    checkpoint_current: Instant,
    keeps_checkpoints: bool,
    rate: Rate,
}

/// What is wrong, until that is over.
#[derive(Debug)]
struct Problem {
    what: String,
    of: Subject,
}

/// What a problem is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// The op of this number: it is over when that is handled, or another after it was given up.
    Op(u64),
    /// Several ops that were handed over together: it is over when one is handled.
    Batch,
    /// The checkpoint: it is over when that is stored.
    Checkpoint,
}

/// A source whose last read is so long ago, and found nothing, is idle. Reads of an idle source end each second.
const RECENT: Duration = Duration::from_secs(3);

/// How fast ops are done.
#[derive(Debug)]
struct Rate {
    at: Instant,
    done: u64,
    per_second: f64,
}

/// What is to be stored.
#[derive(Debug)]
pub(super) struct DueCheckpoint {
    pub(super) position: Position,
    /// Everything before this time is done.
    pub(super) timestamp: Option<Timestamp>,
    pub(super) number: u64,
    /// Nothing was stored yet, or ops were done since, and not only the source moved on.
    pub(super) worked: bool,
    /// How many ops are done.
    pub(super) done: u64,
}

/// What became of an op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    Handled,
    Unwanted,
    Rejected,
    Failed,
    /// In a dry run.
    Unknown,
}

impl PluginProgress {
    /// Everything up to `from` was done before, of which the cluster time may be known.
    pub(super) fn new(
        bounds: Bounds,
        from: Option<(Position, Option<Timestamp>)>,
        keeps_checkpoints: bool,
    ) -> Self {
        let (from, time) = from.map_or((None, None), |(position, time)| (Some(position), time));
        let inner = ProgressInner {
            window: OpWindow::new(from.clone(), time),
            summary: Summary::default(),
            awaited: false,
            reader: ReaderState::None,
            caught_up: None,
            read_to: None,
            dead_letters: 0,
            last_error: None,
            last_error_at: None,
            checkpoint: from,
            checkpoint_number: 0,
            checkpoint_done: 0,
            checkpoint_current: Instant::now(),
            keeps_checkpoints,
            rate: Rate { at: Instant::now(), done: 0, per_second: 0.0 },
        };
        Self { bounds, inner: Mutex::new(inner), changed: Notify::new(), paused: watch::Sender::new(false) }
    }

    fn lock(&self) -> MutexGuard<'_, ProgressInner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what was in work, and goes on from here.
    pub(super) fn restart(&self, from: Option<Position>) {
        let mut inner = self.lock();
        let unfinished = inner.window.unfinished();
        inner.summary.read -= u64::try_from(unfinished).unwrap_or_default();
        inner.window = OpWindow::new(from, None);
        inner.checkpoint_number = 0;
        inner.checkpoint = None;
        (inner.caught_up, inner.read_to) = (None, None);
        // The numbers begin again.
        inner.last_error.take_if(|problem| problem.of != Subject::Checkpoint);
    }

    /// Takes up what the filter said of these ops, in their order: gives `accept` each that is wanted, or that it
    /// failed on, with its number.
    /// `bytes` are what all of them keep in memory, and are given back where none is wanted.
    pub(super) fn take_up(
        &self,
        ops: impl Iterator<Item = (Arc<Op>, Result<bool, CallError>)>,
        mut bytes: usize,
        mut accept: impl FnMut(Arc<Op>, Result<bool, CallError>, u64),
    ) -> usize {
        let mut inner = self.lock();
        let inner = &mut *inner;
        for (op, verdict) in ops {
            inner.summary.read += 1;
            if !matches!(verdict, Ok(false)) {
                let number = inner.window.begin(&op, std::mem::take(&mut bytes));
                accept(op, verdict, number);
            } else {
                inner.summary.unwanted += 1;
                inner.window.pass(Watermark::from(&*op));
            }
        }
        bytes
    }

    /// Everything up to here was read.
    pub(super) fn read(&self, position: Position) {
        self.lock().window.pass(Watermark::Read(position));
    }

    /// An op is done.
    pub(super) fn done(&self, number: u64, outcome: Done, attempts: u32) {
        let mut inner = self.lock();
        let count = match outcome {
            Done::Handled => &mut inner.summary.handled,
            Done::Unwanted => &mut inner.summary.unwanted,
            Done::Rejected => &mut inner.summary.rejected,
            Done::Failed => &mut inner.summary.failed,
            Done::Unknown => &mut inner.summary.unknown,
        };
        *count += 1;
        // Those that failed were counted when they did.
        if outcome != Done::Failed {
            inner.summary.attempts += 1;
            inner.summary.retries += u64::from(attempts > 1);
        }
        inner.window.done(number);
        if matches!(outcome, Done::Handled | Done::Unwanted) && inner.last_error.is_some() {
            inner.handled(number);
        }
        if inner.awaited && (inner.window.len() == 0 || self.has_room(&inner)) {
            inner.awaited = false;
            self.changed.notify_waiters();
        }
    }

    /// Waits until more may be taken up.
    pub(super) async fn room(&self) {
        self.until(|inner| self.has_room(inner)).await;
    }

    /// Waits until all that was taken up is done.
    pub(super) async fn idle(&self) {
        self.until(|inner| inner.window.len() == 0).await;
    }

    async fn until(&self, enough: impl Fn(&ProgressInner) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let mut inner = self.lock();
                if enough(&inner) {
                    return;
                }
                inner.awaited = true;
            }
            changed.await;
        }
    }

    fn has_room(&self, inner: &ProgressInner) -> bool {
        let unstored = inner.window.next_number() - inner.checkpoint_number.min(inner.window.next_number());
        inner.window.len() < self.bounds.ops
            && inner.window.bytes() < self.bounds.bytes
            && (!inner.keeps_checkpoints || unstored < self.bounds.unstored_ops)
    }

    /// Whether no op is to be handed over.
    pub(super) fn is_paused(&self) -> bool {
        *self.paused.borrow()
    }

    /// Waits until it is, or is no more.
    pub(super) async fn until_paused(&self, wanted: bool) {
        // It cannot end while this lives.
        let _ = self.paused.subscribe().wait_for(|paused| *paused == wanted).await;
    }

    /// Something went wrong.
    pub(super) fn problem(&self, of: Subject, what: &str) {
        self.lock().problem(of, what);
    }

    /// An attempt failed to handle the op of this number.
    pub(super) fn attempt_failed(&self, number: u64, attempt: u32, what: &str) {
        let mut inner = self.lock();
        inner.summary.attempts += 1;
        inner.summary.retries += u64::from(attempt > 1);
        inner.problem(Subject::Op(number), what);
    }

    /// An op was put among the dead letters.
    pub(super) fn dead_letter(&self) {
        self.lock().dead_letters += 1;
    }

    pub(super) fn set_reader(&self, reader: ReaderState) {
        let mut inner = self.lock();
        (inner.reader, inner.caught_up) = (reader, None);
    }

    /// Whether the last read found nothing, when this was the newest change that was known of the source.
    pub(super) fn set_caught_up(&self, caught_up: bool, newest: Option<Timestamp>) {
        let mut inner = self.lock();
        inner.caught_up = caught_up.then(Instant::now);
        if caught_up {
            inner.read_to = inner.read_to.max(newest);
        }
    }

    /// What became of all ops, and how many are not done.
    pub(super) fn summary(&self) -> Summary {
        let inner = self.lock();
        Summary { unfinished: inner.summary.read - inner.summary.done(), ..inner.summary }
    }

    /// Everything up to here is done.
    pub(super) fn position(&self) -> Option<Position> {
        self.lock().window.watermark().and_then(Watermark::position)
    }

    /// What is to be stored, if it is not stored yet.
    pub(super) fn to_store(&self) -> Option<DueCheckpoint> {
        let mut inner = self.lock();
        let position = inner.window.watermark().and_then(Watermark::position)?;
        if inner.checkpoint.as_ref() == Some(&position) {
            inner.checkpoint_current = Instant::now();
            return None;
        }
        let number = inner.window.next_number() - u64::try_from(inner.window.len()).unwrap_or_default();
        Some(DueCheckpoint {
            position,
            timestamp: inner.window.time(),
            number,
            // The first is due too: without it, a crash would begin anew.
            worked: number > inner.checkpoint_number
                || inner.summary.done() > inner.checkpoint_done
                || inner.checkpoint.is_none(),
            done: inner.summary.done(),
        })
    }

    /// This was stored.
    pub(super) fn stored(&self, position: Position, number: u64, done: u64) {
        let mut inner = self.lock();
        inner.checkpoint = Some(position);
        (inner.checkpoint_number, inner.checkpoint_done) = (number, done);
        inner.checkpoint_current = Instant::now();
        inner.last_error.take_if(|problem| problem.of == Subject::Checkpoint);
        if inner.awaited {
            inner.awaited = false;
            self.changed.notify_waiters();
        }
    }

    /// Takes the time, to say how fast ops are done.
    pub(super) fn measure(&self) {
        let mut inner = self.lock();
        let done = inner.summary.done();
        let took = inner.rate.at.elapsed().as_secs_f64();
        if took > 0.0 {
            #[expect(clippy::cast_precision_loss, reason = "a rate")]
            let now = (done - inner.rate.done.min(done)) as f64 / took;
            // About the last ten seconds, where it is measured each second.
            let weight = (took / 10.0).min(1.0);
            inner.rate = Rate {
                at: Instant::now(),
                done,
                per_second: inner.rate.per_second * (1.0 - weight) + now * weight,
            };
        }
    }

    /// As it is seen from outside.
    pub(super) fn status(
        &self,
        plugin: &str,
        version: &str,
        failing: bool,
        source: &SourceHealth,
    ) -> PluginStatus {
        let inner = self.lock();
        let position = inner.window.watermark().and_then(Watermark::position);
        let time = position.as_ref().and_then(Position::cluster_time).or(inner.window.time());
        let is_stored = position.is_none() || position == inner.checkpoint;
        let state = match (self.is_paused(), failing) {
            (true, _) => PluginState::Paused,
            (_, true) => PluginState::Failing,
            _ => PluginState::Running,
        };
        PluginStatus {
            plugin: plugin.to_owned(),
            version: version.to_owned(),
            state,
            reader: inner.reader,
            position_seconds: time.map(|time| time.time),
            position: position.map(|position| position.to_string()),
            checkpoint: inner.checkpoint.as_ref().map(ToString::to_string),
            checkpoint_age_seconds: inner.keeps_checkpoints.then(|| match is_stored {
                true => 0.0,
                false => inner.checkpoint_current.elapsed().as_secs_f64(),
            }),
            lag_seconds: inner.lag(time, source),
            queued_ops: u64::try_from(inner.window.unfinished()).unwrap_or(u64::MAX),
            queued_bytes: u64::try_from(inner.window.bytes()).unwrap_or(u64::MAX),
            ops_per_second: inner.rate.per_second,
            counts: Summary { unfinished: inner.summary.read - inner.summary.done(), ..inner.summary },
            dead_letters: inner.dead_letters,
            last_error: inner.last_error.as_ref().map(|problem| problem.what.clone()),
            last_error_seconds: inner
                .last_error_at
                .and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok())
                .map(|at| at.as_secs()),
            rolled_back: None,
            usage: UsageStatus::default(),
            metrics: PluginMetrics::default(),
        }
    }
}

impl ProgressInner {
    fn problem(&mut self, of: Subject, what: &str) {
        self.last_error = Some(Problem { what: what.to_owned(), of });
        self.last_error_at = Some(SystemTime::now());
    }

    /// The op of this number was handled: what was wrong before may be over. It is not while the op that failed is tried.
    fn handled(&mut self, number: u64) {
        let window = &self.window;
        self.last_error.take_if(|problem| match problem.of {
            Subject::Op(failed) => failed == number || window.is_done(failed),
            Subject::Batch => true,
            Subject::Checkpoint => false,
        });
    }

    /// Returns how far it is behind the source, in seconds: the age of the first change that is not done. `done` is when the
    /// last change was made that is. None: nothing is known yet.
    fn lag(&self, done: Option<Timestamp>, source: &SourceHealth) -> Option<f64> {
        let newest = source.newest();
        let behind = match self.window.oldest() {
            Some(oldest) => age(oldest, newest),
            // It reads, and there is nothing to read.
            None if self.caught_up.is_some_and(|at| at.elapsed() < RECENT) => Some(0.0),
            None => match (done.max(self.read_to), newest) {
                (Some(done), Some(newest)) if done >= newest => Some(0.0),
                // What comes after it may have been made right then.
                (Some(done), _) => age(done, newest),
                (None, _) => None,
            },
        };
        // What is written while it is away, nobody knows.
        let away = source.unavailable_for().map(|away| away.as_secs_f64());
        behind.map(|behind| behind.max(away.unwrap_or_default()))
    }
}

/// How long ago this was, in seconds: by this machine's clock, or by what is newer in the source where that clock is behind.
fn age(timestamp: Timestamp, newest: Option<Timestamp>) -> Option<f64> {
    let since = |now: Duration| now.saturating_sub(Duration::from_secs(timestamp.time.into())).as_secs_f64();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let newest = newest.map(|newest| since(Duration::from_secs(newest.time.into())));
    Some(since(now).max(newest.unwrap_or_default()))
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
