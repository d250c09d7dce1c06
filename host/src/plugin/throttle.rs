//! How many lines a plugin may log.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// Lines in each second, of all instances of a plugin together.
#[derive(Debug)]
pub(super) struct Throttle(Mutex<Window>);

#[derive(Debug)]
struct Window {
    since: Instant,
    lines: u32,
    left_out: u64,
}

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is logged. Before it, so many were not.
    Logged { left_out: u64 },
    /// It is not.
    LeftOut,
}

impl Throttle {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Window { since: Instant::now(), lines: 0, left_out: 0 }))
    }

    pub(super) fn next(&self, now: Instant, most: u32) -> Verdict {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(window.since) >= SECOND {
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
        let throttle = Throttle::new();
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
