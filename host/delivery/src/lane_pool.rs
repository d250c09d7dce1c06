//! All that works for one plugin, from batches on: what filters and dispatches, and the lanes.

use std::sync::Arc;
use std::time::Duration;

use gtm_runtime::{Filter, PluginHandle};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::batch::PluginBatch;
use super::blocked::Blocked;
use super::breaker::Breaker;
use super::dispatch::{Dispatcher, OpFilter};
use super::lane::{Lane, LaneContext, OpHandler, PluginInstances};
use super::lane_queue::LaneQueue;
use super::letters::DeadLetters;
use super::ordering::Ordering;
use super::progress::PluginProgress;
use super::settings::DeliveryPolicy;

/// Batches read ahead while one is worked on. Each is up to 16 MB of entries, and twice that of documents
/// that were looked up, so: one.
const READ_AHEAD: usize = 1;

/// Ops that a lane takes from its queue at once.
const TAKEN_AT_ONCE: usize = 64;

/// What works for a plugin.
pub(super) struct LanePool {
    tasks: JoinSet<()>,
    pub(super) shared: Arc<LaneContext>,
}

impl LanePool {
    /// Starts all of it, in the span of the caller. It ends when the sender is dropped, and all is done.
    pub(super) fn start(
        plugin: &PluginHandle,
        policy: DeliveryPolicy,
        progress: &Arc<PluginProgress>,
        letters: DeadLetters,
        shutdown: CancellationToken,
    ) -> (mpsc::Sender<PluginBatch>, Self) {
        Self::with(Filter::new(plugin), || PluginInstances::new(plugin), policy, progress, letters, shutdown)
    }

    /// The same, with what filters, and what each lane calls.
    pub(super) fn with<C: OpHandler + 'static>(
        sieve: impl OpFilter + 'static,
        mut callee: impl FnMut() -> C,
        policy: DeliveryPolicy,
        progress: &Arc<PluginProgress>,
        letters: DeadLetters,
        shutdown: CancellationToken,
    ) -> (mpsc::Sender<PluginBatch>, Self) {
        let shared = Arc::new(LaneContext {
            plugin: Arc::clone(&letters.plugin),
            retry: policy.retry,
            batch: policy.delivery.into(),
            progress: Arc::clone(progress),
            breaker: Breaker::new(policy.breaker),
            blocked: Blocked::new(policy.breaker),
            letters,
            shutdown,
            dropped: CancellationToken::new(),
        });
        let ordering = policy.delivery.ordering;
        let count = policy.delivery.lanes_at_work();
        // From a queue that all share, one that takes more keeps the others from them.
        let (queues, at_once) = match ordering {
            Ordering::None => (vec![LaneQueue::default()], 1),
            _ => ((0..count).map(|_| LaneQueue::default()).collect(), TAKEN_AT_ONCE),
        };
        let mut tasks = JoinSet::new();
        for queue in queues.iter().cycle().take(count) {
            let lane = Lane::new(Arc::clone(&shared), callee());
            let queue = queue.clone();
            tasks.spawn(lane.run(queue, at_once).in_current_span());
        }
        let (sender, batches) = mpsc::channel(READ_AHEAD);
        let dispatcher = Dispatcher::new(sieve, ordering, Arc::clone(progress), queues);
        let dropped = shared.dropped.clone();
        let dispatch = async move {
            tokio::select! {
                () = dispatcher.run(batches) => {}
                () = dropped.cancelled() => {}
            }
        };
        tasks.spawn(dispatch.in_current_span());
        (sender, Self { tasks, shared })
    }

    /// Waits until all is done, and nothing more will come. It may be cancelled, and called again.
    ///
    /// # Errors
    /// A defect of the host.
    pub(super) async fn ended(&mut self) -> Result<(), JoinError> {
        while let Some(ended) = self.tasks.join_next().await {
            ended?;
        }
        Ok(())
    }

    /// Begins nothing more, and waits for what is in work: for so long. When this returns, nothing is in work, and no op will
    /// be said to be done.
    pub(super) async fn drop_queued(mut self, grace: Duration) {
        self.shared.dropped.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(grace, ended).await;
        self.tasks.shutdown().await;
    }
}
