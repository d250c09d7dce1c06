//! Brings a plugin's batches to its lanes: filters ops several per call, and queues each that is wanted in the lane that its ordering
//! chooses.

use std::sync::Arc;

use gtm_oplog::Op;
use gtm_runtime::{CallError, Filter};

use super::batch::PluginBatch;
use super::feed::FeedReceiver;
use super::lane_queue::{LaneQueue, QueuedOp};
use super::ordering::{LaneRoute, Ordering};
use super::plugin_progress::PluginProgress;

/// The maximum number of ops that are filtered before the first of them is handled. It is enough to make the cost per call small.
const MAX_FILTERED_OPS: usize = 256;

/// Ops with the filter's answer for each.
pub(super) type FilteredOps = Vec<(Arc<Op>, Result<bool, CallError>)>;

/// Returns which ops are wanted.
pub(super) trait OpFilter: Send {
    /// Filters ops in their order, up to the first for which the filter fails. Returns those after it unfiltered.
    fn filter_ops(&mut self, ops: Vec<Arc<Op>>) -> impl Future<Output = (FilteredOps, Vec<Arc<Op>>)> + Send;
}

impl OpFilter for Filter {
    async fn filter_ops(&mut self, ops: Vec<Arc<Op>>) -> (FilteredOps, Vec<Arc<Op>>) {
        let verdicts = self.call_all(&ops).await;
        let mut ops = ops.into_iter();
        let filtered = ops.by_ref().take(verdicts.len()).zip(verdicts).collect();
        (filtered, ops.collect())
    }
}

/// Filters a plugin's ops and queues them in lanes. The queues are closed when it ends.
pub(super) struct Dispatcher<F> {
    filter: F,
    ordering: Ordering,
    progress: Arc<PluginProgress>,
    /// A queue per lane; or one for all lanes, without an order.
    queues: Vec<LaneQueue>,
    /// The ops that are added to each queue next.
    outgoing: Vec<Vec<QueuedOp>>,
}

impl<F> Drop for Dispatcher<F> {
    fn drop(&mut self) {
        self.queues.iter().for_each(LaneQueue::close);
    }
}

impl<F: OpFilter> Dispatcher<F> {
    pub(super) fn new(
        filter: F,
        ordering: Ordering,
        progress: Arc<PluginProgress>,
        queues: Vec<LaneQueue>,
    ) -> Self {
        let outgoing = queues.iter().map(|_| Vec::new()).collect();
        Self { filter, ordering, progress, queues, outgoing }
    }

    /// Dispatches all batches until the feed ends.
    pub(super) async fn run(mut self, mut feed: FeedReceiver) {
        while let Some(batch) = feed.next().await {
            let PluginBatch { ops, position, mut bytes, is_at_end, newest, ack } = batch;
            let mut ops = ops.into_iter();
            let mut next: Vec<_> = ops.by_ref().take(MAX_FILTERED_OPS).collect();
            while let Some(first) = next.first() {
                self.progress.ops.set_unfiltered(Some(first.timestamp));
                self.progress.ops.until_room().await;
                let (filtered, unfiltered) = self.filter.filter_ops(next).await;
                self.dispatch(filtered, &mut bytes).await;
                next = unfiltered;
                next.extend(ops.by_ref().take(MAX_FILTERED_OPS - next.len()));
            }
            self.progress.ops.set_unfiltered(None);
            if let Some(position) = position {
                self.progress.ops.pass(position);
            }
            self.progress.reader.set_caught_up(is_at_end, newest);
            if ack.is_awaited() {
                self.progress.ops.until_idle().await;
                ack.done();
            }
        }
    }

    /// Queues the ops that are wanted, or for which the filter failed. `bytes` is the memory that they keep in use together with the
    /// rest of their batch: it is set to 0 when it was counted with an op.
    async fn dispatch(&mut self, filtered: FilteredOps, bytes: &mut usize) {
        let mut filtered = filtered.into_iter().peekable();
        let (ordering, lanes) = (self.ordering, self.queues.len());
        let route = |(op, verdict): &(Arc<Op>, Result<bool, CallError>)| match verdict {
            Ok(false) => LaneRoute::Any,
            _ => ordering.route(op, lanes),
        };
        while let Some(first) = filtered.peek() {
            if route(first) == LaneRoute::Alone {
                self.progress.ops.until_idle().await;
                self.queue(filtered.next().into_iter(), bytes);
                self.progress.ops.until_idle().await;
            } else {
                let others = std::iter::from_fn(|| filtered.next_if(|next| route(next) != LaneRoute::Alone));
                self.queue(others, bytes);
            }
        }
    }

    fn queue(
        &mut self,
        filtered: impl Iterator<Item = (Arc<Op>, Result<bool, CallError>)>,
        bytes: &mut usize,
    ) {
        let Self { ordering, progress, queues, outgoing, .. } = self;
        let lanes = queues.len();
        *bytes = progress.ops.admit(filtered, *bytes, |op, verdict, number| {
            let lane = match ordering.route(&op, lanes) {
                LaneRoute::Lane(lane) => lane,
                LaneRoute::Any | LaneRoute::Alone => 0,
            };
            if let Some(outgoing) = outgoing.get_mut(lane) {
                outgoing.push(QueuedOp {
                    number: Some(number),
                    op,
                    filter_error: verdict.err().map(Box::new),
                });
            }
        });
        for (queue, outgoing) in queues.iter().zip(outgoing) {
            queue.add(outgoing);
        }
    }
}

#[cfg(test)]
mod tests {
    use gtm_mongo::SourceHealth;
    use tokio::sync::mpsc;

    use super::*;
    use crate::feed::FeedSegment;
    use crate::settings::DeliveryBounds;
    use crate::testing::op;

    /// Wants the ops from this time on.
    struct WantedFrom(u32);

    impl OpFilter for WantedFrom {
        async fn filter_ops(&mut self, ops: Vec<Arc<Op>>) -> (FilteredOps, Vec<Arc<Op>>) {
            let wanted = |op: &Arc<Op>| Ok(op.timestamp.time >= self.0);
            (ops.into_iter().map(|op| (Arc::clone(&op), wanted(&op))).collect(), Vec::new())
        }
    }

    #[tokio::test]
    async fn the_memory_of_a_batch_is_counted_with_the_first_op_that_is_wanted() {
        let count = u32::try_from(3 * MAX_FILTERED_OPS).unwrap();
        for first in [0, 1, count / 2, count - 1] {
            let bounds = DeliveryBounds { ops: usize::MAX, bytes: usize::MAX, unstored_ops: u64::MAX };
            let progress = PluginProgress::new(bounds, None, false);
            let queue = LaneQueue::default();
            let (filter, queues) = (WantedFrom(first), vec![queue.clone()]);
            let dispatcher = Dispatcher::new(filter, Ordering::Oplog, Arc::clone(&progress), queues);
            let (sender, batches) = mpsc::channel(1);
            let ops = (0..count).map(|time| Arc::new(op(time))).collect();
            sender.send(PluginBatch { ops, bytes: 1000, ..PluginBatch::default() }).await.unwrap();
            drop(sender);
            dispatcher.run(FeedReceiver::of_segment(FeedSegment::new(batches))).await;
            assert_eq!(queue.take(usize::MAX).await.unwrap().len(), usize::try_from(count - first).unwrap());
            let status = progress.status("", "", crate::PluginState::Running, &SourceHealth::default());
            assert_eq!(status.queued_bytes, 1000, "{first}");
        }
    }
}
