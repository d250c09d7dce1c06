//! How ops are delivered.

use std::time::Duration;

use bytesize::ByteSize;
use gtm_text::units::{positive, size, time};
use serde::Deserialize;

use super::{BreakerPolicy, Ordering, RetryPolicy};

/// How ops are delivered to a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeliverySettings {
    /// Which ops are handled one after another.
    pub ordering: Ordering,
    /// How many are handled at the same time, each by an instance of its own. At least 1.
    #[serde(deserialize_with = "positive")]
    pub lanes: usize,
    /// How many ops are given at once to a plugin that takes batches. At least 1.
    #[serde(deserialize_with = "positive")]
    pub batch_ops: usize,
    /// How long more ops are waited for, once there is one, where there are fewer.
    #[serde(with = "humantime_serde")]
    pub batch_wait: Duration,
    /// How many ops, from the first that is not done on, are read before it is waited for; about.
    #[serde(deserialize_with = "positive")]
    pub max_ops: usize,
    /// How much they may keep in memory; with what was read at once, of 16 MB at most, beyond.
    #[serde(deserialize_with = "size")]
    pub max_bytes: ByteSize,
    /// Between two times that the checkpoint is stored, where there was something to do.
    #[serde(deserialize_with = "time")]
    pub checkpoint_interval: Duration,
}

impl Default for DeliverySettings {
    fn default() -> Self {
        Self {
            ordering: Ordering::Document,
            // Most plugins wait for a mail server or an index, and these take a few at a time.
            lanes: 4,
            // Enough that what a sink does per request does not count, and less than it takes at once.
            batch_ops: 500,
            // Under load ops come faster than they are handled, and are many without waiting.
            batch_wait: Duration::ZERO,
            // A few of what is filtered at once: lanes that are fast do not run dry, and a crash repeats no more.
            max_ops: 4096,
            max_bytes: ByteSize::mib(64),
            checkpoint_interval: Duration::from_secs(1),
        }
    }
}

impl DeliverySettings {
    /// Returns how many ops are handled at the same time: one, if each is handled after all before it.
    pub fn lanes_at_work(&self) -> usize {
        if self.ordering == Ordering::Oplog { 1 } else { self.lanes.max(1) }
    }
}

/// How much may be read and not done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Ops from the first that is not done on.
    pub(super) ops: usize,
    /// What they keep in memory.
    pub(super) bytes: usize,
    /// Ops after the checkpoint that is stored, where checkpoints are: what a crash may repeat when the store is down.
    pub(super) unstored_ops: u64,
}

/// How ops are put together for a plugin that takes batches.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchPolicy {
    /// At most so many.
    pub(super) ops: usize,
    /// Once there is one, more are waited for so long.
    pub(super) wait: Duration,
}

impl From<DeliverySettings> for BatchPolicy {
    fn from(settings: DeliverySettings) -> Self {
        Self { ops: settings.batch_ops.max(1), wait: settings.batch_wait }
    }
}

/// More than are done between two checkpoints, so that it is reached only when the store fails.
const UNSTORED_OPS: u64 = 2_000_000;

impl From<DeliverySettings> for Bounds {
    fn from(settings: DeliverySettings) -> Self {
        Self {
            ops: settings.max_ops.max(1),
            bytes: usize::try_from(settings.max_bytes.as_u64()).unwrap_or(usize::MAX),
            unstored_ops: UNSTORED_OPS,
        }
    }
}

/// All that says how a plugin's ops are delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DeliveryPolicy {
    /// Lanes and bounds.
    pub delivery: DeliverySettings,
    /// What becomes of an op that fails.
    pub retry: RetryPolicy,
    /// What becomes of a plugin that fails on op after op.
    pub breaker: BreakerPolicy,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lane_works_where_each_op_waits_for_the_one_before_it() {
        let lanes_at_work = |ordering, lanes| {
            DeliverySettings { ordering, lanes, ..DeliverySettings::default() }.lanes_at_work()
        };
        assert_eq!(lanes_at_work(Ordering::Oplog, 8), 1);
        assert_eq!(lanes_at_work(Ordering::Document, 8), 8);
        assert_eq!(lanes_at_work(Ordering::None, 0), 1);
    }
}
