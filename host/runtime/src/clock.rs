//! Measures how long a call has run, without the pauses in which other work ran.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// A clock that stops in pauses.
#[derive(Debug)]
pub(super) struct PausableClock {
    /// The time before the last pause.
    before: Duration,
    /// When the pause ended. Set by the future of the pause, which has no access to the store.
    since: Arc<Mutex<Instant>>,
}

impl Default for PausableClock {
    /// Starts at zero now.
    fn default() -> Self {
        Self { before: Duration::ZERO, since: Arc::new(Mutex::new(Instant::now())) }
    }
}

impl PausableClock {
    /// Starts the clock again at zero.
    pub(super) fn restart(&mut self) {
        self.before = Duration::ZERO;
        resume(&self.since);
    }

    /// Returns the time that it has run so far.
    pub(super) fn time(&self) -> Duration {
        self.before + self.since.lock().elapsed()
    }

    /// Stops until this pause has ended.
    pub(super) fn pause<P: Future<Output = ()>>(&mut self, pause: P) -> impl Future<Output = ()> + use<P> {
        self.before = self.time();
        let since = Arc::clone(&self.since);
        async move {
            pause.await;
            resume(&since);
        }
    }
}

fn resume(since: &Mutex<Instant>) {
    *since.lock() = Instant::now();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pause_is_not_counted() {
        let length = Duration::from_millis(200);
        let mut running = PausableClock::default();
        std::thread::sleep(length);
        let started = Instant::now();
        running.restart();
        running.pause(tokio::time::sleep(length)).await;
        let time = running.time();
        assert!(time <= started.elapsed() - length, "{time:?}");
        std::thread::sleep(length);
        assert!(running.time() >= time + length);
    }
}
