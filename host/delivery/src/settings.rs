//! The settings of a delivery.

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
    /// The number of ops that are handled at the same time, each by an instance of its own. At least 1.
    #[serde(deserialize_with = "positive")]
    pub lanes: usize,
    /// The maximum number of ops per call, for a plugin that handles batches. At least 1.
    #[serde(deserialize_with = "positive")]
    pub batch_ops: usize,
    /// How long a lane waits for more ops to fill a batch, from the first on.
    #[serde(with = "humantime_serde")]
    pub batch_wait: Duration,
    /// About how many ops may be read from the first that is not done on. Reading then waits.
    #[serde(deserialize_with = "positive")]
    pub max_ops: usize,
    /// The memory that these ops may keep in use. The last batch, of up to 48 MB, may exceed it. Batches that wait for the plugin are not
    /// counted.
    #[serde(deserialize_with = "size")]
    pub max_bytes: ByteSize,
    /// The interval at which the checkpoint is stored, if something was done.
    #[serde(deserialize_with = "time")]
    pub checkpoint_interval: Duration,
}

impl Default for DeliverySettings {
    fn default() -> Self {
        Self {
            ordering: Ordering::Document,
            // Most plugins wait for a mail server or an index, which serve a few requests at a time.
            lanes: 4,
            // It is enough to make the cost per request small, and less than a sink accepts per request.
            batch_ops: 500,
            // Under load, ops come faster than they are handled, and fill batches without waiting.
            batch_wait: Duration::ZERO,
            // It is a few times the number that is filtered together: fast lanes do not run dry, and a crash repeats no more.
            max_ops: 4096,
            max_bytes: ByteSize::mib(64),
            checkpoint_interval: Duration::from_secs(1),
        }
    }
}

impl DeliverySettings {
    /// Returns how many ops are handled at the same time: one, if each waits for all before it.
    pub fn active_lanes(&self) -> usize {
        if self.ordering == Ordering::Oplog { 1 } else { self.lanes.max(1) }
    }
}

/// How far ops may be read ahead of those that are done.
#[derive(Clone, Copy, Debug)]
pub(super) struct DeliveryBounds {
    /// The maximum number of ops from the first that is not done on.
    pub(super) ops: usize,
    /// The maximum memory that they keep in use, in bytes.
    pub(super) bytes: usize,
    /// The maximum number of ops after the stored checkpoint, if checkpoints are stored: a crash may repeat them while the store is down.
    pub(super) unstored_ops: u64,
}

/// How a lane forms batches for a plugin that handles batches.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchPolicy {
    /// The maximum number of ops.
    pub(super) ops: usize,
    /// How long it waits for more ops from the first on.
    pub(super) wait: Duration,
}

impl From<DeliverySettings> for BatchPolicy {
    fn from(settings: DeliverySettings) -> Self {
        Self { ops: settings.batch_ops.max(1), wait: settings.batch_wait }
    }
}

/// The maximum number of ops after the stored checkpoint. It is more than are done between two checkpoints, so that it is reached
/// only when the store fails.
const MAX_UNSTORED_OPS: u64 = 2_000_000;

impl From<DeliverySettings> for DeliveryBounds {
    fn from(settings: DeliverySettings) -> Self {
        Self {
            ops: settings.max_ops.max(1),
            bytes: usize::try_from(settings.max_bytes.as_u64()).unwrap_or(usize::MAX),
            unstored_ops: MAX_UNSTORED_OPS,
        }
    }
}

/// All settings of the delivery to one plugin.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DeliveryPolicy {
    /// The lanes and bounds.
    pub delivery: DeliverySettings,
    /// What happens to an op that fails.
    pub retry: RetryPolicy,
    /// What happens to a plugin that fails on op after op.
    pub breaker: BreakerPolicy,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lane_is_active_if_each_op_waits_for_the_one_before_it() {
        let active_lanes = |ordering, lanes| {
            DeliverySettings { ordering, lanes, ..DeliverySettings::default() }.active_lanes()
        };
        assert_eq!(active_lanes(Ordering::Oplog, 8), 1);
        assert_eq!(active_lanes(Ordering::Document, 8), 8);
        assert_eq!(active_lanes(Ordering::None, 0), 1);
    }
}
