//! A plugin that is blocked by an obstacle, such as a missing grant, mail server or right: it waits, and nothing counts as failed.
//!
//! The obstacle is not the op's fault. Each lane that meets one waits with its op, and the others continue. Each reason is logged once,
//! until the plugin changes or works again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use gtm_oplog::Op;
use gtm_runtime::Obstacle;
use tokio::sync::watch;

use super::breaker::BreakerPolicy;

/// The maximum number of logged reasons: each op may have its own, such as an address that is not granted.
const MAX_REASONS: usize = 16;

/// The obstacles of one plugin, shared by its lanes.
#[derive(Clone, Debug)]
pub(super) struct BlockedPlugin {
    policy: BreakerPolicy,
    state: Arc<watch::Sender<BlockedState>>,
    /// Whether somebody else logs the reasons.
    is_silent: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct BlockedState {
    /// The number of lanes that wait.
    waiting_lanes: usize,
    /// The last reason.
    reason: Option<String>,
    /// The reasons that were logged.
    logged: BTreeSet<String>,
    /// Whether a reason was logged, and its end was not yet.
    is_announced: bool,
}

impl BlockedPlugin {
    /// Makes the state of a plugin that is not blocked. A lane that waits retries as often as a breaker that is open.
    pub(super) fn new(policy: BreakerPolicy) -> Self {
        Self { policy, state: Arc::default(), is_silent: Arc::default() }
    }

    /// Returns whether a lane waits.
    pub(super) fn is_blocked(&self) -> bool {
        self.state.borrow().waiting_lanes > 0
    }

    /// Waits until a lane waits, and returns the reason, which is not logged.
    pub(super) async fn until_blocked(&self) -> String {
        self.is_silent.store(true, Ordering::Relaxed);
        let mut state = self.state.subscribe();
        // The sender lives as long as `self`, so this cannot fail.
        let blocked = state.wait_for(|state| state.waiting_lanes > 0).await;
        blocked.ok().and_then(|state| state.reason.clone()).unwrap_or_default()
    }

    /// Records that an op met its first obstacle.
    pub(super) fn block_op(&self, plugin: &Arc<str>) -> BlockedOp {
        let delays = ExponentialBuilder::default()
            .with_min_delay(self.policy.initial_delay)
            .with_max_delay(self.policy.max_delay.max(self.policy.initial_delay))
            .without_max_times()
            .with_jitter()
            .build();
        BlockedOp {
            blocked: self.clone(),
            plugin: Arc::clone(plugin),
            delays,
            since: SystemTime::now(),
            handled: None,
            is_waiting: false,
        }
    }
}

/// An op that met an obstacle. Its lane waits until this is dropped.
#[derive(Debug)]
pub(super) struct BlockedOp {
    blocked: BlockedPlugin,
    plugin: Arc<str>,
    delays: ExponentialBackoff,
    /// When the op met its first obstacle.
    since: SystemTime,
    /// How many ops had been handled then by the same capability, if the obstacle counts them.
    handled: Option<u64>,
    is_waiting: bool,
}

impl BlockedOp {
    /// Returns whether the obstacle blocks the whole plugin, as far as is known. If other ops were handled meanwhile, it blocks only this
    /// one.
    pub(super) fn blocks_plugin(&mut self, obstacle: &Obstacle) -> bool {
        match obstacle.handled {
            Some(handled) => *self.handled.get_or_insert(handled) == handled,
            None => true,
        }
    }

    /// Returns when the op began to wait for one server or namespace, which it may have named itself, if it has waited for `max` or
    /// longer.
    pub(super) fn waited_too_long(&self, obstacle: &Obstacle, max: Duration) -> Option<SystemTime> {
        let is_long = obstacle.handled.is_some() && self.since.elapsed().is_ok_and(|age| age >= max);
        is_long.then_some(self.since)
    }

    /// Records the reason for which the op waits, logs it if it is new, and returns the delay before the next attempt.
    pub(super) fn wait_for(&mut self, reason: &str, op: &Op) -> Duration {
        let is_new = self.record(reason);
        if is_new && !self.blocked.is_silent.load(Ordering::Relaxed) {
            tracing::error!(
                event = "plugin.block", plugin = &*self.plugin, op = %op.id(), error = reason,
                "the plugin waits, and the host counts nothing as failed, until this changes"
            );
        }
        self.delays.next().unwrap_or(self.blocked.policy.max_delay)
    }

    /// Records the reason for which the op waits, and returns whether it is new. One step checks and records it, as several lanes may meet
    /// it in the same moment.
    fn record(&mut self, reason: &str) -> bool {
        let was_waiting = std::mem::replace(&mut self.is_waiting, true);
        let mut is_new = false;
        self.blocked.state.send_modify(|state| {
            state.waiting_lanes += usize::from(!was_waiting);
            state.reason = Some(reason.to_owned());
            is_new = state.logged.len() < MAX_REASONS && state.logged.insert(reason.to_owned());
            state.is_announced |= is_new;
        });
        is_new
    }

    /// Records that the op was handled after all, and logs that nothing blocks the plugin any more.
    pub(super) fn unblocked(&self) {
        if !self.is_waiting {
            return;
        }
        let mut was_announced = false;
        self.blocked.state.send_modify(|state| {
            was_announced = std::mem::take(&mut state.is_announced);
            state.logged.clear();
        });
        if was_announced {
            tracing::info!(event = "plugin.unblock", plugin = &*self.plugin, "the plugin works again");
        }
    }

    /// Forgets which reasons were logged, as the plugin has changed.
    pub(super) fn plugin_changed(&mut self) {
        self.blocked.state.send_modify(|state| state.logged.clear());
    }
}

impl Drop for BlockedOp {
    fn drop(&mut self) {
        if self.is_waiting {
            self.blocked.state.send_modify(|state| state.waiting_lanes -= 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::op;

    fn obstacle(handled: Option<u64>) -> Obstacle {
        Obstacle { reason: "no grant".to_owned(), handled }
    }

    #[tokio::test]
    async fn a_plugin_is_blocked_while_one_of_its_ops_waits() {
        let blocked = BlockedPlugin::new(BreakerPolicy::default());
        let mut one = blocked.block_op(&"x".into());
        let mut other = blocked.block_op(&"x".into());
        assert!(!blocked.is_blocked());
        assert!(one.wait_for("no grant", &op(1)) > Duration::ZERO);
        one.wait_for("no grant", &op(1));
        other.wait_for("no grant", &op(2));
        assert_eq!(blocked.until_blocked().await, "no grant");
        drop(one);
        assert!(blocked.is_blocked());
        drop(other);
        assert!(!blocked.is_blocked());
    }

    #[test]
    fn each_reason_is_logged_once_until_the_plugin_works() {
        let blocked = BlockedPlugin::new(BreakerPolicy::default());
        let (mut one, mut other) = (blocked.block_op(&"x".into()), blocked.block_op(&"x".into()));
        for is_new in [true, false, false] {
            assert_eq!((one.record("to ada"), other.record("to bob")), (is_new, is_new));
        }
        one.unblocked();
        assert!(other.record("to bob") && !one.record("to bob"));
        other.plugin_changed();
        assert!(one.record("to bob"));
        for n in 0..MAX_REASONS {
            one.record(&n.to_string());
        }
        assert!(!one.record("one of too many"));
    }

    #[test]
    fn an_op_waits_for_a_server_that_it_may_have_named_no_longer_than_it_would_be_tried() {
        let op = BlockedPlugin::new(BreakerPolicy::default()).block_op(&"x".into());
        assert!(op.waited_too_long(&obstacle(Some(3)), Duration::ZERO).is_some());
        assert!(op.waited_too_long(&obstacle(Some(3)), Duration::MAX).is_none());
        assert!(
            op.waited_too_long(&obstacle(None), Duration::ZERO).is_none(),
            "an obstacle of the whole plugin"
        );
    }

    #[test]
    fn an_obstacle_that_other_ops_pass_blocks_one_op() {
        let blocked = BlockedPlugin::new(BreakerPolicy::default());
        let mut op = blocked.block_op(&"x".into());
        assert!(op.blocks_plugin(&obstacle(Some(3))) && op.blocks_plugin(&obstacle(Some(3))));
        assert!(!op.blocks_plugin(&obstacle(Some(4))));
        assert!(op.blocks_plugin(&obstacle(None)));
    }
}
