//! Ops that are handled one after another.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use gtm_oplog::Op;
use gtm_runtime::CallError;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::settings::BatchPolicy;

/// An op that waits to be handled.
#[derive(Debug)]
pub(super) struct QueuedOp {
    /// In the window.
    pub(super) number: u64,
    pub(super) op: Arc<Op>,
    /// What the filter did instead of an answer.
    pub(super) filter_failed: Option<Box<CallError>>,
}

/// The ops of one lane, or of all where there is no order. How many there are, the window bounds.
#[derive(Clone, Debug, Default)]
pub(super) struct LaneQueue(Arc<LaneQueueInner>);

#[derive(Debug, Default)]
struct LaneQueueInner {
    waiting: Mutex<(VecDeque<QueuedOp>, bool)>,
    changed: Notify,
}

impl LaneQueue {
    /// Adds these, and leaves `ops` empty.
    pub(super) fn add(&self, ops: &mut Vec<QueuedOp>) {
        if ops.is_empty() {
            return;
        }
        let several = ops.len() > 1;
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).0.extend(ops.drain(..));
        if several {
            self.0.changed.notify_waiters();
        }
        // Whoever comes next sees it, too.
        self.0.changed.notify_one();
    }

    /// No more will come.
    pub(super) fn close(&self) {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        self.0.changed.notify_waiters();
    }

    /// Takes up to `count` ops, once there are any. None: all were taken, and no more will come.
    pub(super) async fn take(&self, count: usize) -> Option<VecDeque<QueuedOp>> {
        loop {
            let mut changed = std::pin::pin!(self.0.changed.notified());
            changed.as_mut().enable();
            {
                let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                let (ops, closed) = &mut *waiting;
                if !ops.is_empty() {
                    let count = count.min(ops.len());
                    return Some(ops.drain(..count).collect());
                }
                if *closed {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Takes ops, once there are any, and waits a little for more where there are few. None: as of [`Self::take`].
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
