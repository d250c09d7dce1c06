//! What a plugin has done and has to do: shared by all that work for it, and seen from outside.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{Notify, watch};

use super::control::{PluginState, PluginStatus, ReaderState};
use super::window::{Watermark, Window};
use super::{Bounds, Summary};
use crate::op::{Op, Timestamp};
use crate::plugin::CallError;
use crate::plugin::PluginMetrics;
use crate::source::Position;

/// What a plugin has done and has to do.
pub(super) struct Progress {
    bounds: Bounds,
    inner: Mutex<Inner>,
    /// There may be room again, or nothing left to do.
    changed: Notify,
    pub(super) paused: watch::Sender<bool>,
}

#[derive(Debug)]
struct Inner {
    window: Window,
    summary: Summary,
    /// Somebody waits for room.
    awaited: bool,
    reader: ReaderState,
    /// Nothing is left to read.
    caught_up: bool,
    dead_letters: u64,
    last_error: Option<String>,
    timestamp: Option<Timestamp>,
    checkpoint: Option<Position>,
    /// The number of the next op when that was stored.
    checkpoint_number: u64,
    keeps_checkpoints: bool,
    rate: Rate,
}

/// How fast ops are done.
#[derive(Debug)]
struct Rate {
    at: Instant,
    done: u64,
    per_second: f64,
}

/// What is to be stored.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) position: Position,
    /// Everything before this time is done.
    pub(super) timestamp: Option<Timestamp>,
    pub(super) number: u64,
    /// Nothing was stored yet, or ops were done since, and not only the source moved on.
    pub(super) worked: bool,
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

impl Progress {
    /// Everything up to `from` was done before, of which the cluster time may be known.
    pub(super) fn new(
        bounds: Bounds,
        from: Option<(Position, Option<Timestamp>)>,
        keeps_checkpoints: bool,
    ) -> Self {
        let (from, time) = from.map_or((None, None), |(position, time)| (Some(position), time));
        let inner = Inner {
            window: Window::new(from.clone(), time),
            summary: Summary::default(),
            awaited: false,
            reader: ReaderState::None,
            caught_up: false,
            dead_letters: 0,
            last_error: None,
            timestamp: None,
            checkpoint: from,
            checkpoint_number: 0,
            keeps_checkpoints,
            rate: Rate { at: Instant::now(), done: 0, per_second: 0.0 },
        };
        Self { bounds, inner: Mutex::new(inner), changed: Notify::new(), paused: watch::Sender::new(false) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what was in work, and goes on from here.
    pub(super) fn restart(&self, from: Option<Position>) {
        let mut inner = self.lock();
        let unfinished = inner.window.unfinished();
        inner.summary.read -= u64::try_from(unfinished).unwrap_or_default();
        inner.window = Window::new(from, None);
        inner.checkpoint_number = 0;
        inner.checkpoint = None;
        inner.caught_up = false;
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
                if inner.window.len() == 0 {
                    inner.timestamp = Some(op.timestamp);
                }
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
    pub(super) fn done(&self, number: u64, timestamp: Timestamp, outcome: Done, attempts: u32) {
        let mut inner = self.lock();
        let count = match outcome {
            Done::Handled => &mut inner.summary.handled,
            Done::Unwanted => &mut inner.summary.unwanted,
            Done::Rejected => &mut inner.summary.rejected,
            Done::Failed => &mut inner.summary.failed,
            Done::Unknown => &mut inner.summary.unknown,
        };
        *count += 1;
        inner.summary.retries += u64::from(attempts.saturating_sub(1));
        inner.timestamp = inner.timestamp.max(Some(timestamp));
        inner.window.done(number);
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

    async fn until(&self, enough: impl Fn(&Inner) -> bool) {
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

    fn has_room(&self, inner: &Inner) -> bool {
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

    /// Something went wrong with an op.
    pub(super) fn problem(&self, problem: &str) {
        self.lock().last_error = Some(problem.to_owned());
    }

    /// An op was put among the dead letters.
    pub(super) fn dead_letter(&self) {
        self.lock().dead_letters += 1;
    }

    pub(super) fn set_reader(&self, reader: ReaderState) {
        self.lock().reader = reader;
    }

    pub(super) fn set_caught_up(&self, caught_up: bool) {
        self.lock().caught_up = caught_up;
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
    pub(super) fn to_store(&self) -> Option<Standing> {
        let inner = self.lock();
        let position = inner.window.watermark().and_then(Watermark::position)?;
        if inner.checkpoint.as_ref() == Some(&position) {
            return None;
        }
        let number = inner.window.next_number() - u64::try_from(inner.window.len()).unwrap_or_default();
        Some(Standing {
            position,
            timestamp: inner.window.time(),
            number,
            // The first is due too: without it, a crash would begin anew.
            worked: number > inner.checkpoint_number || inner.checkpoint.is_none(),
        })
    }

    /// This was stored.
    pub(super) fn stored(&self, position: Position, number: u64) {
        let mut inner = self.lock();
        inner.checkpoint = Some(position);
        inner.checkpoint_number = number;
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
    pub(super) fn status(&self, plugin: &str, version: &str, failing: bool) -> PluginStatus {
        let inner = self.lock();
        let position = inner.window.watermark().and_then(Watermark::position);
        let lag = match inner.window.oldest() {
            Some(oldest) => age(oldest),
            None if inner.caught_up => Some(0.0),
            None => inner.timestamp.or(position.as_ref().and_then(Position::timestamp)).and_then(age),
        };
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
            position_seconds: position
                .as_ref()
                .and_then(Position::timestamp)
                .or(inner.timestamp)
                .map(|timestamp| timestamp.time),
            position: position.map(|position| position.to_string()),
            checkpoint: inner.checkpoint.as_ref().map(ToString::to_string),
            lag_seconds: lag,
            queued_ops: u64::try_from(inner.window.unfinished()).unwrap_or(u64::MAX),
            queued_bytes: u64::try_from(inner.window.bytes()).unwrap_or(u64::MAX),
            ops_per_second: inner.rate.per_second,
            counts: Summary { unfinished: inner.summary.read - inner.summary.done(), ..inner.summary },
            dead_letters: inner.dead_letters,
            last_error: inner.last_error.clone(),
            rolled_back: None,
            metrics: PluginMetrics::default(),
        }
    }
}

/// How long ago this was, in seconds, by this machine's clock.
fn age(timestamp: Timestamp) -> Option<f64> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(now.saturating_sub(Duration::from_secs(timestamp.time.into())).as_secs_f64())
}
