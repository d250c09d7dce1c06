//! A plugin that something is in the way of, whatever op it handles: it waits, and nothing is counted as failed.
//!
//! A missing grant, mail server or right is not the op's fault. Each lane that meets one waits with its op; the others go on. It is
//! said once for each reason, until the plugin changes or works again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use gtm_oplog::Op;
use gtm_runtime::Obstacle;
use tokio::sync::watch;

use super::breaker::BreakerPolicy;

/// So many reasons are said: ops may each have one of their own, such as an address that is not granted.
const REASONS: usize = 16;

/// What is in the way of a plugin, as its lanes see it.
#[derive(Clone, Debug)]
pub(super) struct Blocked {
    policy: BreakerPolicy,
    state: Arc<watch::Sender<BlockedState>>,
    /// Somebody else says it.
    silent: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct BlockedState {
    /// Lanes that wait.
    waiting: usize,
    /// What was met last.
    reason: Option<String>,
    /// What was said to be in the way, each reason once.
    said: BTreeSet<String>,
    /// It was said, and not yet that it is over.
    is_announced: bool,
}

impl Blocked {
    /// A lane tries again as often as one of a plugin that fails on op after op.
    pub(super) fn new(policy: BreakerPolicy) -> Self {
        Self { policy, state: Arc::default(), silent: Arc::default() }
    }

    /// Whether some lane waits.
    pub(super) fn is_blocked(&self) -> bool {
        self.state.borrow().waiting > 0
    }

    /// Waits until some lane waits, and gives back what for, which is not logged.
    pub(super) async fn until_blocked(&self) -> String {
        self.silent.store(true, Ordering::Relaxed);
        let mut state = self.state.subscribe();
        // It cannot end while this lives.
        let blocked = state.wait_for(|state| state.waiting > 0).await;
        blocked.ok().and_then(|state| state.reason.clone()).unwrap_or_default()
    }

    /// An op met an obstacle.
    pub(super) fn begin(&self, plugin: &Arc<str>) -> Block {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(self.policy.initial_delay)
            .with_max_delay(self.policy.max_delay.max(self.policy.initial_delay))
            .without_max_times()
            .with_jitter()
            .build();
        Block {
            blocked: self.clone(),
            plugin: Arc::clone(plugin),
            pauses,
            since: SystemTime::now(),
            handled: None,
            waits: false,
        }
    }
}

/// An op that met an obstacle, until it is dropped.
#[derive(Debug)]
pub(super) struct Block {
    blocked: Blocked,
    plugin: Arc<str>,
    pauses: ExponentialBackoff,
    /// When it met the first.
    since: SystemTime,
    /// How many ops had been handled when it was first met, where that says something.
    handled: Option<u64>,
    waits: bool,
}

impl Block {
    /// Whether the obstacle is in the way of the plugin, as far as is seen. If others were handled meanwhile, it is this op's alone.
    pub(super) fn is_of_the_plugin(&mut self, obstacle: &Obstacle) -> bool {
        match obstacle.handled {
            Some(handled) => *self.handled.get_or_insert(handled) == handled,
            None => true,
        }
    }

    /// Returns since when the op waits for one server or namespace, which it may have named itself, if that is `longest` or longer.
    pub(super) fn has_waited(&self, obstacle: &Obstacle, longest: Duration) -> Option<SystemTime> {
        let is_long = obstacle.handled.is_some() && self.since.elapsed().is_ok_and(|age| age >= longest);
        is_long.then_some(self.since)
    }

    /// Says it, where it was not said, and gives back how long to wait.
    pub(super) fn meet(&mut self, reason: &str, op: &Op) -> Duration {
        let is_new = self.wait(reason);
        if is_new && !self.blocked.silent.load(Ordering::Relaxed) {
            tracing::error!(
                event = "plugin.block", plugin = &*self.plugin, op = %op.id(), error = reason,
                "the plugin waits, and the host counts nothing as failed, until this changes"
            );
        }
        self.pauses.next().unwrap_or(self.blocked.policy.max_delay)
    }

    /// Waits from now on. Returns whether the reason is to be said. Lanes may meet it in the same moment, so that it is seen in one step
    /// whether it was said, and taken for said.
    fn wait(&mut self, reason: &str) -> bool {
        let waits = std::mem::replace(&mut self.waits, true);
        let mut is_new = false;
        self.blocked.state.send_modify(|state| {
            state.waiting += usize::from(!waits);
            state.reason = Some(reason.to_owned());
            is_new = state.said.len() < REASONS && state.said.insert(reason.to_owned());
            state.is_announced |= is_new;
        });
        is_new
    }

    /// The op was handled after all.
    pub(super) fn over(&self) {
        if !self.waits {
            return;
        }
        let mut is_news = false;
        self.blocked.state.send_modify(|state| {
            is_news = std::mem::take(&mut state.is_announced);
            state.said.clear();
        });
        if is_news {
            tracing::info!(event = "plugin.unblock", plugin = &*self.plugin, "the plugin works again");
        }
    }

    /// The plugin is another: what is in its way then is said.
    pub(super) fn forget(&mut self) {
        self.blocked.state.send_modify(|state| state.said.clear());
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.waits {
            self.blocked.state.send_modify(|state| state.waiting -= 1);
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
    async fn a_plugin_is_blocked_while_an_op_of_it_waits() {
        let blocked = Blocked::new(BreakerPolicy::default());
        let mut one = blocked.begin(&"x".into());
        let mut other = blocked.begin(&"x".into());
        assert!(!blocked.is_blocked());
        assert!(one.meet("no grant", &op(1)) > Duration::ZERO);
        one.meet("no grant", &op(1));
        other.meet("no grant", &op(2));
        assert_eq!(blocked.until_blocked().await, "no grant");
        drop(one);
        assert!(blocked.is_blocked());
        drop(other);
        assert!(!blocked.is_blocked());
    }

    #[test]
    fn each_reason_is_said_once_until_it_is_over() {
        let blocked = Blocked::new(BreakerPolicy::default());
        let (mut one, mut other) = (blocked.begin(&"x".into()), blocked.begin(&"x".into()));
        for is_new in [true, false, false] {
            assert_eq!((one.wait("to ada"), other.wait("to bob")), (is_new, is_new));
        }
        one.over();
        assert!(other.wait("to bob") && !one.wait("to bob"));
        other.forget();
        assert!(one.wait("to bob"));
        for n in 0..REASONS {
            one.wait(&n.to_string());
        }
        assert!(!one.wait("one of too many"));
    }

    #[test]
    fn an_op_waits_for_what_it_named_itself_no_longer_than_it_would_be_tried() {
        let op = Blocked::new(BreakerPolicy::default()).begin(&"x".into());
        assert!(op.has_waited(&obstacle(Some(3)), Duration::ZERO).is_some());
        assert!(op.has_waited(&obstacle(Some(3)), Duration::MAX).is_none());
        assert!(op.has_waited(&obstacle(None), Duration::ZERO).is_none(), "the plugin's own waits");
    }

    #[test]
    fn what_others_get_past_is_in_the_way_of_an_op_alone() {
        let blocked = Blocked::new(BreakerPolicy::default());
        let mut op = blocked.begin(&"x".into());
        assert!(op.is_of_the_plugin(&obstacle(Some(3))) && op.is_of_the_plugin(&obstacle(Some(3))));
        assert!(!op.is_of_the_plugin(&obstacle(Some(4))));
        assert!(op.is_of_the_plugin(&obstacle(None)));
    }
}
