//! Trying again, with growing pauses, what the server could not do now.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use mongodb::error::Error;

use super::server_error::sentence;

/// Pauses before trying again: growing from the first to the second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Waits between attempts without end. The pauses grow until one succeeds.
#[derive(Debug, Default)]
pub(super) struct Patience {
    back_off: Option<ExponentialBackoff>,
}

impl Patience {
    /// Says `what` failed, and waits.
    pub(super) async fn pause(&mut self, what: &str, error: &Error) {
        let back_off = self.back_off.get_or_insert_with(|| {
            ExponentialBuilder::default()
                .with_min_delay(PAUSES.0)
                .with_max_delay(PAUSES.1)
                .without_max_times()
                .with_jitter()
                .build()
        });
        let delay = back_off.next().unwrap_or(PAUSES.1);
        tracing::warn!("{what}, trying again in {} ms: {}", delay.as_millis(), sentence(error));
        tokio::time::sleep(delay).await;
    }

    /// An attempt has succeeded. Gives back whether one before it had failed.
    pub(super) fn recovered(&mut self) -> bool {
        self.back_off.take().is_some()
    }
}
