//! Limits how many lines and bytes a plugin may log, how many messages it may send, and how many refusals are recorded.

use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

/// The number of parts into which the time of a limit is divided.
const PARTS: u32 = 60;
/// The number of parts that count: all that ended less than the time ago, and the current one.
const COUNTED_PARTS: usize = PARTS as usize + 1;

/// Limits the lines, bytes or messages of all instances of a plugin together, in any period of one length.
#[derive(Debug)]
pub struct Throttle(Mutex<ThrottleWindow>);

#[derive(Debug)]
struct ThrottleWindow {
    length: Duration,
    began: Instant,
    /// The number of the current part, counted from `began`.
    part: u64,
    /// The amounts of the last parts. Part n is at n modulo their count.
    counts: [u64; COUNTED_PARTS],
    left_out: Option<LeftOut>,
    /// When the amount left out was last reported.
    reported: Option<Instant>,
}

/// What was left out since the last report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The number of lines or messages.
    pub count: u64,
    /// The limit when the last of them was left out.
    pub most: u64,
}

impl Throttle {
    /// Makes a throttle with a period of this length. What is left out is reported once per period.
    pub fn new(length: Duration) -> Self {
        Self(Mutex::new(ThrottleWindow {
            length,
            began: Instant::now(),
            part: 0,
            counts: [0; COUNTED_PARTS],
            left_out: None,
            reported: None,
        }))
    }

    /// Returns whether another line or message may pass, and counts one that may not. `amount`: 1, or the bytes of a line.
    pub fn passes(&self, now: Instant, amount: u64, most: u64) -> bool {
        let mut window = self.lock();
        window.turn_to(now);
        let counted: u64 = window.counts.iter().sum();
        let passes = counted.saturating_add(amount) <= most;
        if passes {
            let index = window.index(window.part);
            if let Some(count) = window.counts.get_mut(index) {
                *count += amount;
            }
        } else {
            let count = window.left_out.map_or(0, |left_out| left_out.count) + 1;
            window.left_out = Some(LeftOut { count, most });
        }
        passes
    }

    /// Takes what was left out since the last report, if that was at least a period ago.
    pub fn due(&self, now: Instant) -> Option<LeftOut> {
        let mut window = self.lock();
        let is_due = |at: Instant| now.saturating_duration_since(at) >= window.length;
        if !window.reported.is_none_or(is_due) {
            return None;
        }
        let left_out = window.left_out.take()?;
        window.reported = Some(now);
        Some(left_out)
    }

    /// Takes what was left out since the last report, because there will be no later report.
    pub fn rest(&self) -> Option<LeftOut> {
        self.lock().left_out.take()
    }

    fn lock(&self) -> MutexGuard<'_, ThrottleWindow> {
        self.0.lock()
    }
}

impl ThrottleWindow {
    fn index(&self, part: u64) -> usize {
        let count = u64::try_from(COUNTED_PARTS).unwrap_or(u64::MAX);
        usize::try_from(part % count).unwrap_or_default()
    }

    /// Makes the part of this time current, and forgets the expired ones.
    fn turn_to(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.began).as_nanos();
        let part = passed / (self.length / PARTS).as_nanos().max(1);
        let part = u64::try_from(part).unwrap_or(u64::MAX).max(self.part);
        let over = usize::try_from(part - self.part).unwrap_or(COUNTED_PARTS).min(COUNTED_PARTS);
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
    fn an_excess_is_counted_and_reported_without_another_line() {
        let throttle = Throttle::new(Duration::from_secs(1));
        let now = Instant::now();
        let after = |millis: u64| now + Duration::from_millis(millis);
        let next = |millis: u64| throttle.passes(after(millis), 1, 2);
        assert!(next(0) && next(1));
        assert_eq!(throttle.due(after(1)), None);
        assert!(!next(2) && !next(900));
        assert_eq!(throttle.due(after(901)), Some(LeftOut { count: 2, most: 2 }));
        assert!(!next(950));
        assert_eq!(throttle.due(after(1800)), None, "it is reported once in a second");
        assert_eq!(throttle.due(after(1901)), Some(LeftOut { count: 1, most: 2 }));
        assert_eq!((throttle.due(after(9000)), throttle.rest()), (None, None));
        // At the end, the rest is reported.
        assert!(next(9000) && next(9001) && !next(9002));
        assert!(throttle.due(after(9003)).is_some() && !next(9004));
        assert_eq!((throttle.due(after(9005)), throttle.rest()), (None, Some(LeftOut { count: 1, most: 2 })));
    }

    #[test]
    fn the_limit_holds_in_any_minute() {
        let throttle = Throttle::new(Duration::from_secs(60));
        let now = Instant::now();
        // Two per second, of which 60 per minute may pass.
        let passed: Vec<u64> = (0..600 * 2)
            .map(|half| half * 500)
            .filter(|after| throttle.passes(now + Duration::from_millis(*after), 1, 60))
            .collect();
        for first in &passed {
            let within = passed.iter().filter(|time| (*first..first + 60_000).contains(*time)).count();
            assert!(within <= 60, "{within} from {first} ms on");
        }
        assert!(passed.len() > 500, "{}", passed.len());
    }

    #[test]
    fn bytes_pass_up_to_the_limit_after_a_long_time() {
        let throttle = Throttle::new(Duration::from_secs(10));
        let now = Instant::now();
        for day in 0..3 {
            let then = now + Duration::from_secs(day * 86_400);
            assert!(throttle.passes(then, 600, 1000));
            assert!(!throttle.passes(then, 600, 1000));
            assert!(throttle.passes(then, 400, 1000));
        }
    }
}
