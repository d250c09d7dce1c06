//! How many lines a plugin may log, and how many messages it may send.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines, or messages, in each second, or minute, of all instances of a plugin together.
#[derive(Debug)]
pub(super) struct Throttle(Mutex<Window>);

#[derive(Debug)]
struct Window {
    length: Duration,
    since: Instant,
    lines: u32,
    left_out: u64,
}

/// What becomes of a line, or a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is logged, or sent. Before it, so many were not.
    Logged { left_out: u64 },
    /// It is not.
    LeftOut,
}

impl Throttle {
    /// `length`: of the time for which something is bounded.
    pub(super) fn new(length: Duration) -> Self {
        Self(Mutex::new(Window { length, since: Instant::now(), lines: 0, left_out: 0 }))
    }

    pub(super) fn next(&self, now: Instant, most: u32) -> Verdict {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(window.since) >= window.length {
            (window.since, window.lines) = (now, 0);
        }
        if window.lines >= most {
            window.left_out += 1;
            return Verdict::LeftOut;
        }
        window.lines += 1;
        Verdict::Logged { left_out: std::mem::take(&mut window.left_out) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_the_bound_is_counted_and_said() {
        let throttle = Throttle::new(Duration::from_secs(1));
        let now = Instant::now();
        let next = |after: u64| throttle.next(now + Duration::from_millis(after), 2);
        assert_eq!(next(0), Verdict::Logged { left_out: 0 });
        assert_eq!(next(1), Verdict::Logged { left_out: 0 });
        assert_eq!(next(2), Verdict::LeftOut);
        assert_eq!(next(900), Verdict::LeftOut);
        assert_eq!(next(1100), Verdict::Logged { left_out: 2 });
        assert_eq!(next(1101), Verdict::Logged { left_out: 0 });
    }
}
