//! How fast a plugin does its ops.

use std::time::Instant;

use parking_lot::Mutex;

/// The period over which the rate is averaged, about, in seconds.
const AVERAGING_SECONDS: f64 = 10.0;

/// The rate at which a plugin does its ops, averaged over about ten seconds.
#[derive(Debug)]
pub(super) struct OpRate(Mutex<MeasuredRate>);

#[derive(Debug)]
struct MeasuredRate {
    at: Instant,
    done: u64,
    per_second: f64,
}

impl Default for OpRate {
    fn default() -> Self {
        Self(Mutex::new(MeasuredRate { at: Instant::now(), done: 0, per_second: 0.0 }))
    }
}

impl OpRate {
    /// Measures the rate since the last measurement, given how many ops are done by now.
    pub(super) fn measure(&self, done: u64) {
        let mut rate = self.0.lock();
        let elapsed = rate.at.elapsed().as_secs_f64();
        if elapsed > 0.0 {
            #[expect(clippy::cast_precision_loss, reason = "a rate")]
            let now = done.saturating_sub(rate.done) as f64 / elapsed;
            let weight = (elapsed / AVERAGING_SECONDS).min(1.0);
            let per_second = rate.per_second * (1.0 - weight) + now * weight;
            *rate = MeasuredRate { at: Instant::now(), done, per_second };
        }
    }

    /// Returns the rate, in ops per second.
    pub(super) fn per_second(&self) -> f64 {
        self.0.lock().per_second
    }
}
