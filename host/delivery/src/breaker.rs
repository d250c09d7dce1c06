//! Pauses a plugin that fails on op after op, and tries it from time to time until it works again.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gtm_text::units::time;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// When a failing plugin is paused, and how often it is tried then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerPolicy {
    /// The number of ops that fail, with none handled in between, before the plugin is paused. 0: it is never paused.
    pub failing_ops: usize,
    /// The delay before the plugin is tried again. It doubles after each attempt.
    #[serde(deserialize_with = "time")]
    pub initial_delay: Duration,
    /// The maximum delay.
    #[serde(deserialize_with = "time")]
    pub max_delay: Duration,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self {
            // One op may be to blame itself; several in a row hardly are.
            failing_ops: 5,
            initial_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(60),
        }
    }
}

/// The breaker of one plugin, shared by its lanes. It is open while the plugin is paused.
#[derive(Debug)]
pub(super) struct Breaker {
    policy: BreakerPolicy,
    is_open: AtomicBool,
    state: Mutex<BreakerState>,
    changed: Notify,
    given_up: CancellationToken,
}

#[derive(Debug, Default)]
struct BreakerState {
    /// The numbers of the ops that failed since one was handled. None: a tick, whichever.
    failing: HashSet<Option<u64>>,
    /// When the first of them failed.
    since: Option<Instant>,
    /// How long the plugin may fail until it is given up. None: it is never given up.
    failing_timeout: Option<Duration>,
    /// The pause of the plugin, while the breaker is open.
    pause: Option<BreakerPause>,
}

#[derive(Debug)]
struct BreakerPause {
    since: Instant,
    next_probe: Instant,
    delay: Duration,
    /// Whether a lane tries the plugin now.
    is_probing: bool,
}

/// The consequence of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BreakerVerdict {
    /// The breaker stays closed: the op is retried, or given up.
    Closed,
    /// The failure opened the breaker: the plugin is paused.
    Opened,
    /// The breaker was open already: the attempt does not count.
    StillOpen,
}

impl Breaker {
    pub(super) fn new(policy: BreakerPolicy) -> Self {
        Self {
            policy,
            is_open: AtomicBool::new(false),
            state: Mutex::default(),
            changed: Notify::new(),
            given_up: CancellationToken::new(),
        }
    }

    /// Gives the plugin up when it is paused and has failed for this long. It is for ops of a file, as those of a server wait.
    pub(super) fn give_up_after(&self, timeout: Duration) {
        self.state.lock().failing_timeout = Some(timeout);
    }

    /// Returns whether the plugin is given up.
    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.is_cancelled()
    }

    /// Waits until the plugin is given up. Returns how long it has failed.
    pub(super) async fn given_up(&self) -> Duration {
        self.given_up.cancelled().await;
        self.state.lock().since.map(|since| since.elapsed()).unwrap_or_default()
    }

    /// Returns whether the plugin is paused.
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    /// Waits until an op may be tried. While the plugin is paused, that is one op after each delay.
    pub(super) async fn permit(&self) {
        while self.is_open() {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let next_probe = {
                let mut state = self.state.lock();
                let Some(pause) = &mut state.pause else { return };
                if !pause.is_probing && pause.next_probe <= Instant::now() {
                    pause.is_probing = true;
                    return;
                }
                (!pause.is_probing).then_some(pause.next_probe)
            };
            match next_probe {
                Some(next_probe) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(next_probe) => {}
                        () = changed => {}
                    }
                }
                None => changed.await,
            }
        }
    }

    /// Records that an op was handled or rejected, so that the plugin works. Returns how long it was paused, if it was.
    pub(super) fn succeeded(&self) -> Option<Duration> {
        let mut state = self.state.lock();
        state.failing.clear();
        state.since = None;
        let pause = state.pause.take()?;
        self.is_open.store(false, Ordering::Release);
        self.changed.notify_waiters();
        Some(pause.since.elapsed())
    }

    /// Records that the op with this number failed. None: a tick, and all ticks count as one op.
    pub(super) fn failed(&self, number: impl Into<Option<u64>>) -> BreakerVerdict {
        let BreakerPolicy { failing_ops, initial_delay, max_delay } = self.policy;
        let mut state = self.state.lock();
        let since = *state.since.get_or_insert_with(Instant::now);
        let is_over = state.failing_timeout.is_some_and(|timeout| since.elapsed() >= timeout);
        if let Some(pause) = &mut state.pause {
            if is_over {
                self.given_up.cancel();
            }
            // An op that was being handled when the plugin was paused is not a probe, but proves the same.
            if pause.is_probing || pause.next_probe <= Instant::now() {
                pause.is_probing = false;
                pause.delay = (pause.delay * 2).min(max_delay);
                pause.next_probe = Instant::now() + pause.delay;
                self.changed.notify_waiters();
            }
            return BreakerVerdict::StillOpen;
        }
        if failing_ops == 0 {
            return BreakerVerdict::Closed;
        }
        state.failing.insert(number.into());
        if state.failing.len() < failing_ops {
            return BreakerVerdict::Closed;
        }
        let now = Instant::now();
        state.pause = Some(BreakerPause {
            since: now,
            next_probe: now + initial_delay,
            delay: initial_delay,
            is_probing: false,
        });
        self.is_open.store(true, Ordering::Release);
        if is_over {
            self.given_up.cancel();
        }
        BreakerVerdict::Opened
    }

    /// Returns the permit of a lane that does not try the plugin after all.
    pub(super) fn return_permit(&self) {
        if let Some(pause) = &mut self.state.lock().pause {
            pause.is_probing = false;
            self.changed.notify_waiters();
        }
    }

    /// Returns how many ops failed since one was handled.
    pub(super) fn failing(&self) -> usize {
        self.state.lock().failing.len()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// A breaker that opens at the second op, and then permits an op after `delay`.
    fn breaker(delay: Duration) -> Breaker {
        Breaker::new(BreakerPolicy { failing_ops: 2, initial_delay: delay, max_delay: delay })
    }

    /// Whether an op may be tried now. Taking the permit is the probe.
    fn is_permitted(breaker: &Breaker) -> bool {
        breaker.permit().now_or_never().is_some()
    }

    #[test]
    fn it_opens_when_op_after_op_fails_and_closes_when_one_is_handled() {
        let breaker = breaker(Duration::ZERO);
        assert_eq!(breaker.failed(1), BreakerVerdict::Closed);
        assert_eq!(breaker.failed(1), BreakerVerdict::Closed, "the same op");
        breaker.succeeded();
        assert_eq!(breaker.failed(2), BreakerVerdict::Closed, "one was handled in between");
        assert_eq!(breaker.failed(3), BreakerVerdict::Opened);
        assert!(is_permitted(&breaker) && breaker.is_open());
        assert_eq!(breaker.failed(3), BreakerVerdict::StillOpen);
        assert!(is_permitted(&breaker));
        assert!(breaker.succeeded().is_some());
        assert!(is_permitted(&breaker) && !breaker.is_open());
    }

    #[tokio::test]
    async fn it_permits_nothing_before_the_delay_is_over() {
        let breaker = breaker(Duration::from_secs(3600));
        breaker.failed(1);
        breaker.failed(2);
        assert!(!is_permitted(&breaker));
        breaker.succeeded();
        assert!(is_permitted(&breaker), "it works again");
    }

    #[tokio::test]
    async fn it_gives_up_a_plugin_that_fails_for_longer_than_the_timeout() {
        let failing = breaker(Duration::ZERO);
        failing.give_up_after(Duration::ZERO);
        failing.failed(1);
        assert!(!failing.is_given_up(), "one op may be to blame itself");
        assert_eq!(failing.failed(2), BreakerVerdict::Opened);
        failing.given_up().await;

        let patient = breaker(Duration::ZERO);
        patient.give_up_after(Duration::from_secs(3600));
        patient.failed(1);
        assert_eq!(patient.failed(2), BreakerVerdict::Opened);
        assert_eq!(patient.failed(2), BreakerVerdict::StillOpen);
        assert!(!patient.is_given_up());
        patient.succeeded();
        patient.give_up_after(Duration::ZERO);
        assert!(!patient.is_given_up(), "it works");
        patient.failed(1);
        patient.failed(3);
        assert!(patient.is_given_up());

        let endless = breaker(Duration::ZERO);
        endless.failed(1);
        endless.failed(2);
        assert!(!endless.is_given_up(), "no timeout was set");
    }

    #[test]
    fn one_lane_at_a_time_tries() {
        let breaker = breaker(Duration::ZERO);
        breaker.failed(1);
        breaker.failed(2);
        assert!(is_permitted(&breaker));
        assert!(!is_permitted(&breaker), "while one tries, the others wait");
        breaker.return_permit();
        assert!(is_permitted(&breaker));
        breaker.succeeded();
        assert!(is_permitted(&breaker));
    }
}
