//! How many lines and bytes a plugin may log, and how many messages it may send.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Parts of a time for which something is bounded.
const PARTS: u32 = 60;
/// What happened in a part counts until a whole time has passed since its end.
const COUNTED: usize = PARTS as usize + 1;

/// Lines, bytes or messages of all instances of a plugin together, in any second, or in any minute: whenever one begins.
#[derive(Debug)]
pub(super) struct Throttle(Mutex<ThrottleWindow>);

#[derive(Debug)]
struct ThrottleWindow {
    length: Duration,
    began: Instant,
    /// The number of the part that was last looked at, from when it began.
    part: u64,
    /// What each of the last parts had: that of number n is at n modulo their count.
    counts: [u64; COUNTED],
    left_out: u64,
    /// When it was last said that something was left out.
    said: Option<Instant>,
}

/// What becomes of a line, or a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ThrottleVerdict {
    /// It is logged, or sent. Before it, so many were not, which is to be said now.
    Logged { left_out: u64 },
    /// It is not.
    LeftOut,
}

impl Throttle {
    /// `length`: of the time for which something is bounded. What is left out is said once in it.
    pub(super) fn new(length: Duration) -> Self {
        Self(Mutex::new(ThrottleWindow {
            length,
            began: Instant::now(),
            part: 0,
            counts: [0; COUNTED],
            left_out: 0,
            said: None,
        }))
    }

    /// `amount`: 1, or the bytes of a line.
    pub(super) fn next(&self, now: Instant, amount: u64, most: u64) -> ThrottleVerdict {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        window.turn_to(now);
        let counted: u64 = window.counts.iter().sum();
        if counted.saturating_add(amount) > most {
            window.left_out += 1;
            return ThrottleVerdict::LeftOut;
        }
        let index = window.index(window.part);
        if let Some(count) = window.counts.get_mut(index) {
            *count += amount;
        }
        let is_new = |said: Instant| now.saturating_duration_since(said) >= window.length;
        if window.left_out == 0 || !window.said.is_none_or(is_new) {
            return ThrottleVerdict::Logged { left_out: 0 };
        }
        window.said = Some(now);
        ThrottleVerdict::Logged { left_out: std::mem::take(&mut window.left_out) }
    }

    /// Takes back how many were left out, as that was not said.
    pub(super) fn take_back(&self, left_out: u64) {
        if left_out > 0 {
            let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            window.left_out += left_out;
            window.said = None;
        }
    }
}

impl ThrottleWindow {
    fn index(&self, part: u64) -> usize {
        let count = u64::try_from(COUNTED).unwrap_or(u64::MAX);
        usize::try_from(part % count).unwrap_or_default()
    }

    /// Forgets the parts that are over.
    fn turn_to(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.began).as_nanos();
        let part = passed / (self.length / PARTS).as_nanos().max(1);
        let part = u64::try_from(part).unwrap_or(u64::MAX).max(self.part);
        let over = usize::try_from(part - self.part).unwrap_or(COUNTED).min(COUNTED);
        for number in (0..=part).rev().take(over) {
            let index = self.index(number);
            if let Some(count) = self.counts.get_mut(index) {
                *count = 0;
            }
        }
        self.part = part;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_the_bound_is_counted_and_said() {
        let throttle = Throttle::new(Duration::from_secs(1));
        let now = Instant::now();
        let next = |after: u64| throttle.next(now + Duration::from_millis(after), 1, 2);
        assert_eq!(next(0), ThrottleVerdict::Logged { left_out: 0 });
        assert_eq!(next(1), ThrottleVerdict::Logged { left_out: 0 });
        assert_eq!(next(2), ThrottleVerdict::LeftOut);
        assert_eq!(next(900), ThrottleVerdict::LeftOut);
        assert_eq!(next(1100), ThrottleVerdict::Logged { left_out: 2 });
        assert_eq!(next(1101), ThrottleVerdict::Logged { left_out: 0 });
        // It is said once in a second.
        assert_eq!(next(1102), ThrottleVerdict::LeftOut);
        assert_eq!(next(1900), ThrottleVerdict::LeftOut);
        assert_eq!(next(2200), ThrottleVerdict::Logged { left_out: 2 });
    }

    #[test]
    fn what_could_not_be_said_is_said_with_the_next() {
        let throttle = Throttle::new(Duration::from_secs(1));
        let now = Instant::now();
        let next = |after: u64| throttle.next(now + Duration::from_millis(after), 1, 1);
        assert_eq!(next(0), ThrottleVerdict::Logged { left_out: 0 });
        assert_eq!(next(1), ThrottleVerdict::LeftOut);
        assert_eq!(next(1100), ThrottleVerdict::Logged { left_out: 1 });
        throttle.take_back(1);
        assert_eq!(next(2200), ThrottleVerdict::Logged { left_out: 1 });
        assert_eq!(next(3300), ThrottleVerdict::Logged { left_out: 0 });
    }

    #[test]
    fn a_minute_is_any_minute() {
        let throttle = Throttle::new(Duration::from_secs(60));
        let now = Instant::now();
        // Two a second, of which 60 in a minute may pass.
        let passed: Vec<u64> = (0..600 * 2)
            .map(|half| half * 500)
            .filter(|after| {
                throttle.next(now + Duration::from_millis(*after), 1, 60) != ThrottleVerdict::LeftOut
            })
            .collect();
        for first in &passed {
            let within = passed.iter().filter(|time| (*first..first + 60_000).contains(*time)).count();
            assert!(within <= 60, "{within} from {first} ms on");
        }
        assert!(passed.len() > 500, "{}", passed.len());
    }

    #[test]
    fn bytes_pass_up_to_the_bound_after_a_long_time_too() {
        let throttle = Throttle::new(Duration::from_secs(10));
        let now = Instant::now();
        for day in 0..3 {
            let then = now + Duration::from_secs(day * 86_400);
            assert_ne!(throttle.next(then, 600, 1000), ThrottleVerdict::LeftOut);
            assert_eq!(throttle.next(then, 600, 1000), ThrottleVerdict::LeftOut);
            assert_ne!(throttle.next(then, 400, 1000), ThrottleVerdict::LeftOut);
        }
    }
}
