//! One plugin at work: ops come in order, are filtered a batch at a time, and handled one by one.

use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use super::{RetryPolicy, Summary};
use crate::op::{Op, Place};
use crate::plugin::{CallError, Failure, Filter, Handler, Plugin};

/// Ops that are filtered before the first of them is handled. Enough that the way to another thread
/// and back (some 20 µs) does not count.
const FILTERED_AT_ONCE: usize = 1024;

/// Ops on their way to a plugin.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) ops: Vec<Op>,
    /// Who waits until all of them are done; one that is dropped says that not all are.
    pub(super) done: Option<oneshot::Sender<()>>,
}

/// Brings ops to one plugin: filters a batch at a time, has what is wanted handled, and tries again.
pub(super) struct Worker {
    pub(super) plugin: Plugin,
    /// None at first, and while it works on another thread.
    filter: Option<Filter>,
    handler: Handler,
    retry: RetryPolicy,
    pub(super) summary: Summary,
    /// The id of the last op of the last batch up to which all is done.
    pub(super) done_up_to: Option<String>,
    /// Something is not done, and will not be in this run.
    gap: bool,
}

impl Worker {
    pub(super) fn new(plugin: Plugin, retry: RetryPolicy) -> Self {
        let handler = Handler::new(plugin.clone());
        Self {
            plugin,
            filter: None,
            handler,
            retry,
            summary: Summary::default(),
            done_up_to: None,
            gap: false,
        }
    }

    /// Works until there are no more batches, or `shutdown` is cancelled and `grace` has passed: by then
    /// each op that was read is tried once more at most. Then it counts what was not done, with what is
    /// left in the channel.
    ///
    /// # Errors
    /// A defect of the host.
    pub(super) async fn run(
        &mut self,
        mut batches: Receiver<Batch>,
        shutdown: &CancellationToken,
        grace: Duration,
    ) -> Result<(), JoinError> {
        let cut = async {
            shutdown.cancelled().await;
            tokio::time::sleep(grace).await;
        };
        let worked = tokio::select! {
            worked = self.work(&mut batches, shutdown) => worked,
            () = cut => Ok(()),
        };
        // Lets a reader that waits to hand on a batch go.
        batches.close();
        while let Ok(batch) = batches.try_recv() {
            self.summary.read += count(&batch.ops);
        }
        worked
    }

    async fn work(
        &mut self,
        batches: &mut Receiver<Batch>,
        shutdown: &CancellationToken,
    ) -> Result<(), JoinError> {
        while let Some(Batch { mut ops, done }) = batches.recv().await {
            self.summary.read += count(&ops);
            let done_before = self.summary.done();
            let mut start = 0;
            while start < ops.len() {
                let verdicts;
                (ops, verdicts) = self.filter(ops, start, 1).await?;
                for (op, verdict) in ops.iter().skip(start).zip(verdicts) {
                    start += 1;
                    match verdict {
                        Ok(false) => self.summary.unwanted += 1,
                        verdict => self.deliver(op, verdict, shutdown).await?,
                    }
                }
            }
            self.gap |= self.summary.done() - done_before < count(&ops);
            if self.gap {
                continue;
            }
            // A document of a snapshot is no place to go on from.
            let last = ops.last().filter(|op| op.place != Place::Document);
            self.done_up_to = last.map(|op| op.id().to_string()).or(self.done_up_to.take());
            if let Some(done) = done {
                // Nobody waits for it any more, then.
                let _ = done.send(());
            }
        }
        Ok(())
    }

    /// What the filter says of the ops from `start` on: of some of them, in order, up to the first
    /// that it fails on. On a thread for blocking work, as a filter may take its time.
    async fn filter(
        &mut self,
        ops: Vec<Op>,
        start: usize,
        attempt: u32,
    ) -> Result<(Vec<Op>, Vec<Result<bool, CallError>>), JoinError> {
        let mut filter = self.filter.take().unwrap_or_else(|| Filter::new(self.plugin.clone()));
        let (filter, answer) = tokio::task::spawn_blocking(move || {
            let mut verdicts = Vec::new();
            for op in ops.iter().skip(start).take(FILTERED_AT_ONCE) {
                let verdict = filter.call(op, attempt);
                let failed = verdict.is_err();
                verdicts.push(verdict);
                if failed {
                    break;
                }
            }
            (filter, (ops, verdicts))
        })
        .await?;
        self.filter = Some(filter);
        Ok(answer)
    }

    /// Has one op handled, and tries again if need be. `verdict` is the filter's first.
    async fn deliver(
        &mut self,
        op: &Op,
        mut verdict: Result<bool, CallError>,
        shutdown: &CancellationToken,
    ) -> Result<(), JoinError> {
        let id = op.id();
        // Most ops need none.
        let mut pauses = None;
        let mut attempt = 1;
        loop {
            let problem = match self.attempt(op, attempt, &verdict).await {
                Attempt::Done => return Ok(()),
                Attempt::Failed(problem) => problem,
            };
            let plugin = self.plugin.name();
            if shutdown.is_cancelled() {
                tracing::warn!(plugin, op = %id, "attempt {attempt} failed, and the host is stopping: {problem}");
                return Ok(());
            }
            let Some(pause) = pauses.get_or_insert_with(|| self.retry.pauses()).next() else {
                self.summary.failed += 1;
                tracing::error!(
                    plugin, op = %id, namespace = %op.namespace,
                    "given up after attempt {attempt}, the op is not handled: {problem}"
                );
                return Ok(());
            };
            tracing::warn!(
                plugin, op = %id,
                "attempt {attempt} failed, trying again in {} ms: {problem}", pause.as_millis()
            );
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => {}
            }
            attempt += 1;
            self.summary.retries += 1;
            if verdict.is_err() {
                let (_, verdicts) = self.filter(vec![op.clone()], 0, attempt).await?;
                verdict = verdicts.into_iter().next().unwrap_or(Ok(true));
            }
        }
    }

    async fn attempt(&mut self, op: &Op, attempt: u32, verdict: &Result<bool, CallError>) -> Attempt {
        match verdict {
            Ok(true) => {}
            Ok(false) => {
                self.summary.unwanted += 1;
                return Attempt::Done;
            }
            Err(error) => return Attempt::Failed(error.to_string()),
        }
        tracing::debug!(plugin = self.plugin.name(), op = %op.id(), attempt, "handing over");
        match self.handler.call(op, attempt).await {
            Ok(Ok(())) => {
                self.summary.handled += 1;
                Attempt::Done
            }
            Ok(Err(Failure::Reject(reason))) => {
                self.summary.rejected += 1;
                tracing::error!(
                    plugin = self.plugin.name(), op = %op.id(), namespace = %op.namespace,
                    "rejected by the plugin, the op is not handled: {reason}"
                );
                Attempt::Done
            }
            Ok(Err(Failure::Retry(reason))) => Attempt::Failed(reason),
            Err(error) => Attempt::Failed(error.to_string()),
        }
    }
}

enum Attempt {
    Done,
    Failed(String),
}

/// As a count in a summary.
pub(super) fn count(ops: &[Op]) -> u64 {
    u64::try_from(ops.len()).unwrap_or(u64::MAX)
}
