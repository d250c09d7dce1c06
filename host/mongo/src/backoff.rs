//! Retries what the server cannot do now, with growing pauses between the attempts.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use mongodb::error::Error;

use super::health::ReaderHealth;
use super::server_error::sentence;

/// The first pause between two attempts.
const MIN_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// The first time limit of a read. A dead connection should be noticed soon.
const MIN_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest time limit of a read. Each failure doubles the limit up to this one: a server that is asked for a small part of
/// its entries answers only when it has found some, or has read its oplog to the end, which may take minutes.
const MAX_TIMEOUT: Duration = Duration::from_secs(600);

/// Waits between the attempts of one operation, without a limit on their number.
///
/// Pauses and the time limit of an attempt grow until an attempt succeeds.
#[derive(Debug)]
pub struct Backoff {
    pauses: Option<ExponentialBackoff>,
    max_pause: Duration,
    limit: Duration,
    /// Receives the failures.
    health: Option<ReaderHealth>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::with_max_pause(MAX_PAUSE)
    }
}

impl Backoff {
    /// Creates a back-off whose pauses grow to at most `max_pause`.
    pub fn with_max_pause(max_pause: Duration) -> Self {
        Self { pauses: None, max_pause, limit: MIN_TIMEOUT, health: None }
    }

    /// Reports failures to `health` from now on.
    pub fn report_to(&mut self, health: ReaderHealth) {
        self.health = Some(health);
    }

    /// Logs `event`, and waits before the next attempt. `what` says in a clause what failed, such as `the lease cannot
    /// be read`.
    pub async fn pause(&mut self, event: &'static str, what: &str, error: &Error) {
        let max_pause = self.max_pause;
        let pauses = self.pauses.get_or_insert_with(|| {
            ExponentialBuilder::default()
                .with_min_delay(MIN_PAUSE)
                .with_max_delay(max_pause)
                .without_max_times()
                .with_jitter()
                .build()
        });
        let delay = pauses.next().unwrap_or(max_pause);
        let reason = sentence(error);
        tracing::warn!(event, delay_ms = delay.as_millis(), error = reason, "{what}; retrying");
        if let Some(health) = &mut self.health {
            health.failed(format!("{what}: {reason}"));
        }
        tokio::time::sleep(delay).await;
        self.limit = (self.limit * 2).min(MAX_TIMEOUT);
    }

    /// Returns the time limit of the next attempt.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// Resets pauses and time limit after an attempt that succeeded. Returns whether an attempt before it had failed.
    pub fn recovered(&mut self) -> bool {
        self.limit = MIN_TIMEOUT;
        if let Some(health) = &mut self.health {
            health.recovered();
        }
        self.pauses.take().is_some()
    }
}
