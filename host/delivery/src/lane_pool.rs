//! The tasks that handle one plugin's ops: the dispatcher, and the lanes.

use std::sync::Arc;
use std::time::Duration;

use gtm_runtime::{Filter, PluginHandle};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::blocked::BlockedPlugin;
use super::breaker::Breaker;
use super::dispatch::{Dispatcher, OpFilter};
use super::feed::FeedReceiver;
use super::lane::Lane;
use super::lane_context::LaneContext;
use super::lane_queue::LaneQueue;
use super::letters::DeadLetters;
use super::op_handler::{OpHandler, PluginInstances};
use super::ordering::Ordering;
use super::plugin_progress::PluginProgress;
use super::settings::DeliveryPolicy;
use super::timers::Timers;

/// The maximum number of ops that a lane takes from its queue together.
const MAX_TAKEN_OPS: usize = 64;

/// The dispatcher and the lanes of one plugin.
pub(super) struct LanePool {
    tasks: JoinSet<()>,
    pub(super) context: Arc<LaneContext>,
    /// Cancelled when the feed has ended.
    fed: CancellationToken,
}

impl LanePool {
    /// Starts the tasks, in the span of the caller. They end when the feed ends and all ops are done.
    pub(super) fn start(
        plugin: &PluginHandle,
        policy: DeliveryPolicy,
        progress: &Arc<PluginProgress>,
        letters: DeadLetters,
        feed: FeedReceiver,
        shutdown: CancellationToken,
    ) -> Self {
        let handler = || PluginInstances::new(plugin);
        Self::start_with((Filter::new(plugin), handler), policy, progress, letters, feed, shutdown)
    }

    /// Starts the tasks with this filter, and a handler for each lane.
    pub(super) fn start_with<H: OpHandler + 'static>(
        (filter, mut handler): (impl OpFilter + 'static, impl FnMut() -> H),
        policy: DeliveryPolicy,
        progress: &Arc<PluginProgress>,
        letters: DeadLetters,
        feed: FeedReceiver,
        shutdown: CancellationToken,
    ) -> Self {
        let context = Arc::new(LaneContext {
            plugin: Arc::clone(&letters.plugin),
            retry: policy.retry,
            batch: policy.delivery.into(),
            progress: Arc::clone(progress),
            breaker: Breaker::new(policy.breaker),
            blocked: BlockedPlugin::new(policy.breaker),
            letters,
            shutdown,
            dropped: CancellationToken::new(),
        });
        let ordering = policy.delivery.ordering;
        let count = policy.delivery.active_lanes();
        // A lane that takes several ops from a queue that all share would keep the others from them.
        let (queues, max_ops) = match ordering {
            Ordering::None => (vec![LaneQueue::default()], 1),
            _ => ((0..count).map(|_| LaneQueue::default()).collect(), MAX_TAKEN_OPS),
        };
        let mut tasks = JoinSet::new();
        for queue in queues.iter().cycle().take(count) {
            let lane = Lane::new(Arc::clone(&context), handler());
            let queue = queue.clone();
            tasks.spawn(lane.run(queue, max_ops).in_current_span());
        }
        let dispatcher = Dispatcher::new(filter, ordering, Arc::clone(progress), queues);
        let dropped = context.dropped.clone();
        let fed = CancellationToken::new();
        let fed_guard = fed.clone().drop_guard();
        let dispatch = async move {
            let _fed = fed_guard;
            tokio::select! {
                () = dispatcher.run(feed) => {}
                () = dropped.cancelled() => {}
            }
        };
        tasks.spawn(dispatch.in_current_span());
        Self { tasks, context, fed }
    }

    /// Starts the timers, in the span of the caller. They end with the feed.
    pub(super) fn start_timers(&mut self, timers: Timers) {
        let timers = timers.run(Arc::clone(&self.context), self.fed.clone());
        self.tasks.spawn(timers.in_current_span());
    }

    /// Waits until the feed has ended and all ops are done. It can be cancelled and called again.
    ///
    /// # Errors
    /// A task panicked.
    pub(super) async fn ended(&mut self) -> Result<(), JoinError> {
        while let Some(ended) = self.tasks.join_next().await {
            ended?;
        }
        Ok(())
    }

    /// Drops the queued ops, and waits at most `grace` for those that are being handled. After this returns, nothing is handled, and no
    /// op becomes done.
    pub(super) async fn drop_queued(mut self, grace: Duration) {
        self.context.dropped.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(grace, ended).await;
        self.tasks.shutdown().await;
    }
}
