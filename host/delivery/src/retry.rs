//! When an op that failed is retried.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use bytesize::ByteSize;
use gtm_store::StoredTotal;
use gtm_text::units::{positive, size_or_zero, time};
use serde::Deserialize;

/// How often, and after which delays, an op is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryPolicy {
    /// The maximum number of attempts, including the first. At least 1.
    #[serde(deserialize_with = "positive")]
    pub max_attempts: u32,
    /// The delay before the second attempt. It doubles after each attempt, with jitter.
    #[serde(with = "humantime_serde")]
    pub initial_delay: Duration,
    /// The maximum delay.
    #[serde(deserialize_with = "time")]
    pub max_delay: Duration,
    /// The maximum time from the first attempt on. An op is then given up, even while the breaker pauses the plugin.
    #[serde(deserialize_with = "time")]
    pub max_age: Duration,
    /// The maximum number of dead letters of each plugin. With more, the plugin waits until there is room. 0: any number.
    pub dead_letters: u64,
    /// The maximum size of the dead letters of each plugin. 0: any size.
    #[serde(deserialize_with = "size_or_zero")]
    pub dead_letter_bytes: ByteSize,
}

impl Default for RetryPolicy {
    /// Retries for about a minute: enough for a mail server to restart.
    fn default() -> Self {
        Self {
            max_attempts: 8,
            initial_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(30),
            // It is longer than an outage over night.
            max_age: Duration::from_secs(24 * 60 * 60),
            // It is more than somebody will look at one by one, and less than a disk holds.
            dead_letters: 100_000,
            dead_letter_bytes: ByteSize::gib(1),
        }
    }
}

impl RetryPolicy {
    /// Returns the maximum of dead letters of each plugin.
    pub(super) fn max_letters(&self) -> StoredTotal {
        StoredTotal { entries: self.dead_letters, bytes: self.dead_letter_bytes.as_u64() }
    }

    /// Returns the delays between the attempts of one op.
    pub(super) fn delays(&self) -> ExponentialBackoff {
        ExponentialBuilder::default()
            .with_min_delay(self.initial_delay)
            .with_max_delay(self.max_delay.max(self.initial_delay))
            .with_max_times(usize::try_from(self.max_attempts.saturating_sub(1)).unwrap_or(usize::MAX))
            .with_jitter()
            .build()
    }

    /// Returns about how long one op is tried: the sum of the delays between its attempts.
    pub(super) fn total_delay(&self) -> Duration {
        // With very many attempts, the sum exceeds the maximum age long before.
        let delays = self.delays().take(10_000);
        delays.fold(Duration::ZERO, Duration::saturating_add).min(self.max_age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_delay_between_two_attempts_and_none_after_the_last() {
        let policy = RetryPolicy { max_attempts: 3, ..RetryPolicy::default() };
        assert_eq!(policy.delays().count(), 2);
        let once = RetryPolicy { max_attempts: 1, ..policy };
        assert_eq!(once.delays().count(), 0);
        let never = RetryPolicy { max_attempts: 0, ..policy };
        assert_eq!(never.delays().count(), 0);
    }

    #[test]
    fn an_op_is_tried_for_the_sum_of_the_delays_between_its_attempts() {
        let seconds = RetryPolicy::default().total_delay().as_secs();
        assert!((60..=180).contains(&seconds), "{seconds} s");
        assert_eq!(RetryPolicy { max_attempts: 1, ..RetryPolicy::default() }.total_delay(), Duration::ZERO);
        let endless =
            RetryPolicy { max_attempts: u32::MAX, max_delay: Duration::MAX, ..RetryPolicy::default() };
        assert_eq!(endless.total_delay(), endless.max_age);
    }

    #[test]
    fn delays_grow_up_to_the_maximum() {
        let policy = RetryPolicy {
            max_attempts: 10,
            initial_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(1),
            ..RetryPolicy::default()
        };
        let delays: Vec<_> = policy.delays().collect();
        assert!(delays[0] < delays[2]);
        assert!(delays.iter().all(|delay| *delay <= Duration::from_secs(2)), "{delays:?}");
    }
}
