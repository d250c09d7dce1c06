//! For how long a call has run, without the pauses in which others had their turn.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A clock that stands still in pauses.
#[derive(Debug)]
pub(super) struct PausableClock {
    /// Before the last pause.
    before: Duration,
    /// When that ended, which is found out where the store of the call is not at hand.
    since: Arc<Mutex<Instant>>,
}

impl Default for PausableClock {
    /// From now on.
    fn default() -> Self {
        Self { before: Duration::ZERO, since: Arc::new(Mutex::new(Instant::now())) }
    }
}

impl PausableClock {
    /// From now on.
    pub(super) fn restart(&mut self) {
        self.before = Duration::ZERO;
        go_on(&self.since);
    }

    /// So far.
    pub(super) fn time(&self) -> Duration {
        self.before + self.since.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Stands still until this pause has ended.
    pub(super) fn pause<P: Future<Output = ()>>(&mut self, pause: P) -> impl Future<Output = ()> + use<P> {
        self.before = self.time();
        let since = Arc::clone(&self.since);
        async move {
            pause.await;
            go_on(&since);
        }
    }
}

fn go_on(since: &Mutex<Instant>) {
    *since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pause_is_not_counted() {
        let long = Duration::from_millis(200);
        let mut running = PausableClock::default();
        std::thread::sleep(long);
        running.restart();
        std::thread::sleep(long);
        running.pause(tokio::time::sleep(10 * long)).await;
        let time = running.time();
        assert!(time >= long && time < 10 * long, "{time:?}");
    }
}
