//! From batches to lanes: filters a batch at a time, and puts what is wanted where it is handled in its order.

use std::sync::Arc;

use gtm_oplog::Op;
use gtm_runtime::{CallError, Filter};
use tokio::sync::mpsc::Receiver;

use super::batch::PluginBatch;
use super::lane_queue::{LaneQueue, QueuedOp};
use super::ordering::{LaneRoute, Ordering};
use super::progress::PluginProgress;

/// Ops that are filtered before the first of them is handled. Enough that what is done once for all of them does not count.
const FILTERED_AT_ONCE: usize = 256;

/// Ops, and of each what the filter says.
pub(super) type Filtered = Vec<(Arc<Op>, Result<bool, CallError>)>;

/// Says which ops are wanted.
pub(super) trait OpFilter: Send {
    /// In their order, up to the first that it fails on; gives back those after it.
    fn sift(&mut self, ops: Vec<Arc<Op>>) -> impl Future<Output = (Filtered, Vec<Arc<Op>>)> + Send;
}

impl OpFilter for Filter {
    async fn sift(&mut self, ops: Vec<Arc<Op>>) -> (Filtered, Vec<Arc<Op>>) {
        let verdicts = self.call_all(&ops).await;
        let mut ops = ops.into_iter();
        let filtered = ops.by_ref().take(verdicts.len()).zip(verdicts).collect();
        (filtered, ops.collect())
    }
}

/// Puts ops into lanes.
pub(super) struct Dispatcher<S> {
    sieve: S,
    ordering: Ordering,
    progress: Arc<PluginProgress>,
    /// One of each lane; or one alone, of all of them, where there is no order.
    queues: Vec<LaneQueue>,
    /// What goes to each queue next.
    outgoing: Vec<Vec<QueuedOp>>,
}

/// However it ends, nothing more comes to the lanes.
impl<S> Drop for Dispatcher<S> {
    fn drop(&mut self) {
        self.queues.iter().for_each(LaneQueue::close);
    }
}

impl<S: OpFilter> Dispatcher<S> {
    pub(super) fn new(
        sieve: S,
        ordering: Ordering,
        progress: Arc<PluginProgress>,
        queues: Vec<LaneQueue>,
    ) -> Self {
        let outgoing = queues.iter().map(|_| Vec::new()).collect();
        Self { sieve, ordering, progress, queues, outgoing }
    }

    /// Works until there are no more batches.
    pub(super) async fn run(mut self, mut batches: Receiver<PluginBatch>) {
        while let Some(PluginBatch { ops, read, mut bytes, ack }) = batches.recv().await {
            let mut ops = ops.into_iter();
            let mut next: Vec<_> = ops.by_ref().take(FILTERED_AT_ONCE).collect();
            while !next.is_empty() {
                self.progress.room().await;
                let (filtered, not_asked) = self.sieve.sift(next).await;
                self.dispatch(filtered, &mut bytes).await;
                next = not_asked;
                next.extend(ops.by_ref().take(FILTERED_AT_ONCE - next.len()));
            }
            if let Some(read) = read {
                self.progress.read(read);
            }
            if ack.is_awaited() {
                self.progress.idle().await;
                ack.done();
            }
        }
    }

    /// `bytes` are what they keep in memory with those after them: taken where one of them is wanted.
    async fn dispatch(&mut self, filtered: Filtered, bytes: &mut usize) {
        let mut filtered = filtered.into_iter().peekable();
        let (ordering, lanes) = (self.ordering, self.queues.len());
        let route = |(op, verdict): &(Arc<Op>, Result<bool, CallError>)| match verdict {
            Ok(false) => LaneRoute::Any,
            _ => ordering.route(op, lanes),
        };
        while let Some(first) = filtered.peek() {
            if route(first) == LaneRoute::Alone {
                self.progress.idle().await;
                self.hand_over(filtered.next().into_iter(), bytes);
                self.progress.idle().await;
            } else {
                let together =
                    std::iter::from_fn(|| filtered.next_if(|next| route(next) != LaneRoute::Alone));
                self.hand_over(together, bytes);
            }
        }
    }

    fn hand_over(
        &mut self,
        filtered: impl Iterator<Item = (Arc<Op>, Result<bool, CallError>)>,
        bytes: &mut usize,
    ) {
        let Self { ordering, progress, queues, outgoing, .. } = self;
        let lanes = queues.len();
        *bytes = progress.take_up(filtered, *bytes, |op, verdict, number| {
            let lane = match ordering.route(&op, lanes) {
                LaneRoute::Lane(lane) => lane,
                LaneRoute::Any | LaneRoute::Alone => 0,
            };
            if let Some(outgoing) = outgoing.get_mut(lane) {
                outgoing.push(QueuedOp { number, op, filter_failed: verdict.err().map(Box::new) });
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
    use crate::Bounds;
    use crate::testing::op;

    /// Wants the ops from this time on.
    struct From(u32);

    impl OpFilter for From {
        async fn sift(&mut self, ops: Vec<Arc<Op>>) -> (Filtered, Vec<Arc<Op>>) {
            let wanted = |op: &Arc<Op>| Ok(op.timestamp.time >= self.0);
            (ops.into_iter().map(|op| (Arc::clone(&op), wanted(&op))).collect(), Vec::new())
        }
    }

    #[tokio::test]
    async fn what_a_batch_keeps_in_memory_is_counted_with_the_first_op_that_is_wanted() {
        let count = u32::try_from(3 * FILTERED_AT_ONCE).unwrap();
        for first in [0, 1, count / 2, count - 1] {
            let bounds = Bounds { ops: usize::MAX, bytes: usize::MAX, unstored_ops: u64::MAX };
            let progress = Arc::new(PluginProgress::new(bounds, None, false));
            let queue = LaneQueue::default();
            let dispatcher =
                Dispatcher::new(From(first), Ordering::Oplog, Arc::clone(&progress), vec![queue.clone()]);
            let (batches, received) = mpsc::channel(1);
            let ops = (0..count).map(|time| Arc::new(op(time))).collect();
            batches.send(PluginBatch { ops, bytes: 1000, ..PluginBatch::default() }).await.unwrap();
            drop(batches);
            dispatcher.run(received).await;
            assert_eq!(queue.take(usize::MAX).await.unwrap().len(), usize::try_from(count - first).unwrap());
            let status = progress.status("", "", false, &SourceHealth::default());
            assert_eq!(status.queued_bytes, 1000, "{first}");
        }
    }
}
