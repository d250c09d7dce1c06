//! When an op that could not be handled is tried again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use bytesize::ByteSize;
use gtm_store::StoredTotal;
use gtm_text::units::{positive, size_or_zero, time};
use serde::Deserialize;

/// How often, and after which pauses, an op is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryPolicy {
    /// All attempts, the first one too. At least 1.
    #[serde(deserialize_with = "positive")]
    pub max_attempts: u32,
    /// Before the second attempt. It doubles from there, with jitter.
    #[serde(with = "humantime_serde")]
    pub initial_delay: Duration,
    /// The longest pause.
    #[serde(deserialize_with = "time")]
    pub max_delay: Duration,
    /// From the first attempt on. An op that is older is given up, even while the plugin is paused since nothing succeeds.
    #[serde(deserialize_with = "time")]
    pub max_age: Duration,
    /// Dead letters that are kept of each plugin. With more, the plugin pauses until there is room. 0: any number.
    pub dead_letters: u64,
    /// The same, by what they hold.
    #[serde(deserialize_with = "size_or_zero")]
    pub dead_letter_bytes: ByteSize,
}

impl Default for RetryPolicy {
    /// About a minute in all: enough for a mail server to restart.
    fn default() -> Self {
        Self {
            max_attempts: 8,
            initial_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(30),
            // Longer than an outage over night.
            max_age: Duration::from_secs(24 * 60 * 60),
            // More than somebody will look at one by one, and less than a disk has.
            dead_letters: 100_000,
            dead_letter_bytes: ByteSize::gib(1),
        }
    }
}

impl RetryPolicy {
    /// The dead letters that are kept of a plugin, at most.
    pub(super) fn most_letters(&self) -> StoredTotal {
        StoredTotal { entries: self.dead_letters, bytes: self.dead_letter_bytes.as_u64() }
    }

    /// The pauses between the attempts for one op.
    pub(super) fn pauses(&self) -> ExponentialBackoff {
        ExponentialBuilder::default()
            .with_min_delay(self.initial_delay)
            .with_max_delay(self.max_delay.max(self.initial_delay))
            .with_max_times(usize::try_from(self.max_attempts.saturating_sub(1)).unwrap_or(usize::MAX))
            .with_jitter()
            .build()
    }

    /// How long one op is tried, about: all pauses between its attempts.
    pub(super) fn patience(&self) -> Duration {
        // Of very many attempts, the first ones say enough.
        let pauses = self.pauses().take(10_000);
        pauses.fold(Duration::ZERO, Duration::saturating_add).min(self.max_age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_pause_between_two_attempts_and_none_after_the_last() {
        let policy = RetryPolicy { max_attempts: 3, ..RetryPolicy::default() };
        assert_eq!(policy.pauses().count(), 2);
        let once = RetryPolicy { max_attempts: 1, ..policy };
        assert_eq!(once.pauses().count(), 0);
        let never = RetryPolicy { max_attempts: 0, ..policy };
        assert_eq!(never.pauses().count(), 0);
    }

    #[test]
    fn an_op_is_tried_for_the_pauses_between_its_attempts() {
        let seconds = RetryPolicy::default().patience().as_secs();
        assert!((60..=180).contains(&seconds), "{seconds} s");
        assert_eq!(RetryPolicy { max_attempts: 1, ..RetryPolicy::default() }.patience(), Duration::ZERO);
        let endless =
            RetryPolicy { max_attempts: u32::MAX, max_delay: Duration::MAX, ..RetryPolicy::default() };
        assert_eq!(endless.patience(), endless.max_age);
    }

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let policy = RetryPolicy {
            max_attempts: 10,
            initial_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(1),
            ..RetryPolicy::default()
        };
        let pauses: Vec<_> = policy.pauses().collect();
        assert!(pauses[0] < pauses[2]);
        assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(2)), "{pauses:?}");
    }
}
