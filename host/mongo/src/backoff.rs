//! Trying again, with growing pauses, what the server could not do now.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use mongodb::error::Error;

use super::health::ReaderHealth;
use super::server_error::sentence;

/// Pauses before trying again: growing from the first to the second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// A read that takes longer than this is given up: at first the first, after each failure twice as long, at the most
/// the second. A dead connection is to be noticed soon; but a server that is asked for little of what it has answers
/// only when it has found some, or read its oplog to the end, which may take minutes.
const LIMITS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(600));

/// Waits between attempts without end. The pauses grow until one succeeds, and so does the time that one may take.
#[derive(Debug)]
pub struct Backoff {
    back_off: Option<ExponentialBackoff>,
    longest: Duration,
    limit: Duration,
    /// Who is told of it.
    health: Option<ReaderHealth>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::with_pauses_up_to(PAUSES.1)
    }
}

impl Backoff {
    /// With pauses that grow up to this one.
    pub fn with_pauses_up_to(longest: Duration) -> Self {
        Self { back_off: None, longest, limit: LIMITS.0, health: None }
    }

    /// From now on, reports failures there.
    pub fn report_to(&mut self, health: ReaderHealth) {
        self.health = Some(health);
    }

    /// Says `what` failed, and waits.
    pub async fn pause(&mut self, what: &str, error: &Error) {
        let longest = self.longest;
        let back_off = self.back_off.get_or_insert_with(|| {
            ExponentialBuilder::default()
                .with_min_delay(PAUSES.0)
                .with_max_delay(longest)
                .without_max_times()
                .with_jitter()
                .build()
        });
        let delay = back_off.next().unwrap_or(longest);
        let reason = sentence(error);
        tracing::warn!("{what}, trying again in {} ms: {reason}", delay.as_millis());
        if let Some(health) = &mut self.health {
            health.failed(format!("{what}: {reason}"));
        }
        tokio::time::sleep(delay).await;
        self.limit = (self.limit * 2).min(LIMITS.1);
    }

    /// How long the next attempt may take.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// An attempt has succeeded. Gives back whether one before it had failed.
    pub fn recovered(&mut self) -> bool {
        self.limit = LIMITS.0;
        if let Some(health) = &mut self.health {
            health.recovered();
        }
        self.back_off.take().is_some()
    }
}
