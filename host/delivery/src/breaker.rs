//! Sees when a plugin fails on op after op, and lets it be tried now and then until it works again.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gtm_text::units::time;
use serde::Deserialize;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// When a plugin is paused that fails on op after op, and how often it is tried then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerPolicy {
    /// So many ops failed, and none was handled in between. 0: it is never paused.
    pub failing_ops: usize,
    /// Before it is tried again. It doubles from there.
    #[serde(deserialize_with = "time")]
    pub initial_delay: Duration,
    /// The longest pause.
    #[serde(deserialize_with = "time")]
    pub max_delay: Duration,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self {
            // One op may be to blame itself, a few in a row hardly.
            failing_ops: 5,
            initial_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(60),
        }
    }
}

/// Of one plugin, shared by its lanes.
#[derive(Debug)]
pub(super) struct Breaker {
    policy: BreakerPolicy,
    open: AtomicBool,
    state: Mutex<BreakerState>,
    changed: Notify,
    given_up: CancellationToken,
}

#[derive(Debug, Default)]
struct BreakerState {
    /// The ops that failed since one was handled.
    failing: HashSet<u64>,
    /// When the first of them did.
    since: Option<Instant>,
    /// How long the plugin may fail until it is given up. None: for ever.
    patience: Option<Duration>,
    /// The plugin is paused.
    pause: Option<Pause>,
}

#[derive(Debug)]
struct Pause {
    since: Instant,
    next: Instant,
    delay: Duration,
    /// A lane tries it.
    probing: bool,
}

/// What a failure did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BreakerVerdict {
    /// The op is to be tried again, or given up.
    OfTheOp,
    /// The plugin is paused from now on.
    Opened,
    /// It is paused still: this attempt does not count.
    StillOpen,
}

impl Breaker {
    pub(super) fn new(policy: BreakerPolicy) -> Self {
        Self {
            policy,
            open: AtomicBool::new(false),
            state: Mutex::default(),
            changed: Notify::new(),
            given_up: CancellationToken::new(),
        }
    }

    /// Gives the plugin up when it is paused and has failed for so long: for ops that do not wait, unlike those of a server.
    pub(super) fn give_up_after(&self, patience: Duration) {
        self.lock().patience = Some(patience);
    }

    /// Whether the plugin is given up.
    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.is_cancelled()
    }

    /// Waits until the plugin is given up. Gives back how long it has failed.
    pub(super) async fn given_up(&self) -> Duration {
        self.given_up.cancelled().await;
        self.lock().since.map(|since| since.elapsed()).unwrap_or_default()
    }

    /// Whether the plugin is paused.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Waits until an op may be tried: at once, unless the plugin is paused; then one is, now and then.
    pub(super) async fn permit(&self) {
        while self.is_open() {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let next = {
                let mut state = self.lock();
                let Some(pause) = &mut state.pause else { return };
                if !pause.probing && pause.next <= Instant::now() {
                    pause.probing = true;
                    return;
                }
                (!pause.probing).then_some(pause.next)
            };
            match next {
                Some(next) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(next) => {}
                        () = changed => {}
                    }
                }
                None => changed.await,
            }
        }
    }

    /// An op was handled, or rejected: the plugin works. Gives back how long it did not, if it was paused.
    pub(super) fn works(&self) -> Option<Duration> {
        let mut state = self.lock();
        state.failing.clear();
        state.since = None;
        let pause = state.pause.take()?;
        self.open.store(false, Ordering::Release);
        self.changed.notify_waiters();
        Some(pause.since.elapsed())
    }

    /// The op of this number failed.
    pub(super) fn failed(&self, number: u64) -> BreakerVerdict {
        let BreakerPolicy { failing_ops, initial_delay, max_delay } = self.policy;
        let mut state = self.lock();
        let since = *state.since.get_or_insert_with(Instant::now);
        let is_over = state.patience.is_some_and(|patience| since.elapsed() >= patience);
        if let Some(pause) = &mut state.pause {
            if is_over {
                self.given_up.cancel();
            }
            // One that was in work when the plugin was paused is no probe, but says the same.
            if pause.probing || pause.next <= Instant::now() {
                pause.probing = false;
                pause.delay = (pause.delay * 2).min(max_delay);
                pause.next = Instant::now() + pause.delay;
                self.changed.notify_waiters();
            }
            return BreakerVerdict::StillOpen;
        }
        if failing_ops == 0 {
            return BreakerVerdict::OfTheOp;
        }
        state.failing.insert(number);
        if state.failing.len() < failing_ops {
            return BreakerVerdict::OfTheOp;
        }
        let now = Instant::now();
        state.pause =
            Some(Pause { since: now, next: now + initial_delay, delay: initial_delay, probing: false });
        self.open.store(true, Ordering::Release);
        if is_over {
            self.given_up.cancel();
        }
        BreakerVerdict::Opened
    }

    /// The lane that was to try it does not.
    pub(super) fn give_back(&self) {
        if let Some(pause) = &mut self.lock().pause {
            pause.probing = false;
            self.changed.notify_waiters();
        }
    }

    /// How many ops failed since one was handled.
    pub(super) fn failing(&self) -> usize {
        self.lock().failing.len()
    }

    fn lock(&self) -> MutexGuard<'_, BreakerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        let delay = Duration::from_millis(1);
        Breaker::new(BreakerPolicy { failing_ops: 2, initial_delay: delay, max_delay: delay })
    }

    #[tokio::test]
    async fn it_opens_when_op_after_op_fails_and_closes_when_one_is_handled() {
        let breaker = breaker();
        assert_eq!(breaker.failed(1), BreakerVerdict::OfTheOp);
        assert_eq!(breaker.failed(1), BreakerVerdict::OfTheOp, "the same op");
        breaker.works();
        assert_eq!(breaker.failed(2), BreakerVerdict::OfTheOp, "one was handled in between");
        assert_eq!(breaker.failed(3), BreakerVerdict::Opened);
        breaker.permit().await;
        assert!(breaker.is_open());
        assert_eq!(breaker.failed(3), BreakerVerdict::StillOpen);
        breaker.permit().await;
        assert!(breaker.works().is_some());
        breaker.permit().await;
        assert!(!breaker.is_open());
    }

    #[tokio::test]
    async fn it_gives_up_what_fails_for_longer_than_its_patience() {
        let breaker = breaker();
        breaker.give_up_after(Duration::ZERO);
        breaker.failed(1);
        assert!(!breaker.is_given_up(), "one op may be to blame itself");
        assert_eq!(breaker.failed(2), BreakerVerdict::Opened);
        breaker.given_up().await;

        let patient = self::breaker();
        patient.give_up_after(Duration::from_secs(3600));
        patient.failed(1);
        assert_eq!(patient.failed(2), BreakerVerdict::Opened);
        assert_eq!(patient.failed(2), BreakerVerdict::StillOpen);
        assert!(!patient.is_given_up());
        patient.works();
        patient.give_up_after(Duration::ZERO);
        assert!(!patient.is_given_up(), "it works");
        patient.failed(1);
        patient.failed(3);
        assert!(patient.is_given_up());

        let endless = self::breaker();
        endless.failed(1);
        endless.failed(2);
        assert!(!endless.is_given_up(), "nobody said so");
    }

    #[tokio::test]
    async fn one_lane_at_a_time_tries() {
        let breaker = breaker();
        breaker.failed(1);
        breaker.failed(2);
        breaker.permit().await;
        let second = tokio::time::timeout(Duration::from_millis(50), breaker.permit()).await;
        assert!(second.is_err(), "while one tries, the others wait");
        breaker.give_back();
        breaker.permit().await;
        breaker.works();
        breaker.permit().await;
    }
}
