//! Ops that are handled one after another.

use std::collections::VecDeque;
use std::sync::Arc;

use gtm_oplog::Op;
use gtm_runtime::CallError;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::settings::BatchPolicy;

/// An op that waits to be handled.
#[derive(Debug)]
pub(super) struct QueuedOp {
    /// Its number in the window. None: it is a tick, and not in the window.
    pub(super) number: Option<u64>,
    pub(super) op: Arc<Op>,
    /// The error of the filter, if it failed for the op.
    pub(super) filter_error: Option<Box<CallError>>,
}

/// The queue of one lane, or the one that all lanes share if ops have no order. The window bounds its length. Clones are the same queue.
#[derive(Clone, Debug, Default)]
pub(super) struct LaneQueue(Arc<LaneQueueInner>);

#[derive(Debug, Default)]
struct LaneQueueInner {
    state: Mutex<LaneQueueState>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct LaneQueueState {
    ops: VecDeque<QueuedOp>,
    is_closed: bool,
}

impl LaneQueue {
    /// Adds ops, and leaves `ops` empty.
    pub(super) fn add(&self, ops: &mut Vec<QueuedOp>) {
        if ops.is_empty() {
            return;
        }
        let several = ops.len() > 1;
        self.0.state.lock().ops.extend(ops.drain(..));
        if several {
            self.0.changed.notify_waiters();
        }
        // The next lane that looks is notified, too.
        self.0.changed.notify_one();
    }

    /// Closes the queue: no more ops will be added.
    pub(super) fn close(&self) {
        self.0.state.lock().is_closed = true;
        self.0.changed.notify_waiters();
    }

    /// Waits for ops, and takes up to `count`. None: the queue is closed and empty.
    pub(super) async fn take(&self, count: usize) -> Option<VecDeque<QueuedOp>> {
        loop {
            let mut changed = std::pin::pin!(self.0.changed.notified());
            changed.as_mut().enable();
            {
                let LaneQueueState { ops, is_closed } = &mut *self.0.state.lock();
                if !ops.is_empty() {
                    let count = count.min(ops.len());
                    return Some(ops.drain(..count).collect());
                }
                if *is_closed {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Waits for ops, and takes up to a batch; waits for more, as long as the policy says, if there are fewer. None: the queue is closed
    /// and empty.
    pub(super) async fn take_batch(&self, policy: BatchPolicy) -> Option<VecDeque<QueuedOp>> {
        let mut ops = self.take(policy.ops).await?;
        if policy.wait.is_zero() {
            return Some(ops);
        }
        let deadline = Instant::now() + policy.wait;
        while ops.len() < policy.ops
            && let Ok(Some(more)) = tokio::time::timeout_at(deadline, self.take(policy.ops - ops.len())).await
        {
            ops.extend(more);
        }
        Some(ops)
    }
}
