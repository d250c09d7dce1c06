//! One plugin and its reader: ops come in order, are filtered a batch at a time, and handled one by one.

use std::time::Duration;

use tokio::sync::mpsc::error::SendError;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use super::{RetryPolicy, Summary};
use crate::op::{Op, Timestamp};
use crate::plugin::{CallError, Failure, Filter, Handler, Plugin};
use crate::source::oplog::{Skipped, Tail, TailError};

/// Batches read ahead while one is worked on. Each is up to 16 MB of entries, and twice that of documents
/// that were looked up, so: one.
const READ_AHEAD: usize = 1;

/// Ops that are filtered before the first of them is handled. Enough that the way to another thread
/// and back (some 20 µs) does not count.
const FILTERED_AT_ONCE: usize = 1024;

/// Brings the changes of a source to a plugin.
pub struct Pipeline {
    tail: Tail,
    worker: Worker,
}

/// Why a pipeline ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The source has no more to give.
    #[error(transparent)]
    Source(#[from] TailError),
    /// A defect of the host.
    #[error("gtm-host has a defect, please report it: {0}")]
    Panicked(#[from] JoinError),
}

impl Pipeline {
    /// Will bring what `tail` reads to `plugin`.
    pub fn new(plugin: Plugin, tail: Tail, retry: RetryPolicy) -> Self {
        let handler = Handler::new(plugin.clone());
        Self { tail, worker: Worker { plugin, filter: None, handler, retry, summary: Summary::default() } }
    }

    /// Runs until `shutdown` is cancelled, or the source ends. Then nothing more is read, and what was
    /// read is handled: after `shutdown` each op once at most, for as long as `grace`.
    pub async fn run(self, shutdown: CancellationToken, grace: Duration) -> Ended {
        let Self { tail, mut worker } = self;
        let (sender, mut receiver) = mpsc::channel(READ_AHEAD);
        let reader = tokio::spawn(read(tail, sender, shutdown.clone()));
        let cut = async {
            shutdown.cancelled().await;
            tokio::time::sleep(grace).await;
        };
        let worked = tokio::select! {
            worked = worker.work(&mut receiver, &shutdown) => worked,
            () = cut => Ok(()),
        };
        let mut summary = worker.summary;
        while let Ok(ops) = receiver.try_recv() {
            summary.read += count(&ops);
        }
        // Lets a reader that waits to hand on a batch go.
        drop(receiver);
        let (read, worked) = match reader.await {
            Ok(read) => (read, worked),
            Err(error) => (Read::default(), Err(error)),
        };
        summary.read += read.not_handed_on;
        summary.unfinished = summary.read - summary.done();
        let source = read.error.map_or(Ok(()), |error| Err(error.into()));
        let result = worked.map_err(PipelineError::from).and(source);
        Ended {
            plugin: worker.plugin.name().to_owned(),
            position: read.position,
            summary,
            skipped: read.skipped,
            result,
        }
    }
}

/// A pipeline that has ended.
#[derive(Debug)]
pub struct Ended {
    /// The name of its plugin.
    pub plugin: String,
    /// Up to where it read.
    pub position: Timestamp,
    /// What became of the ops.
    pub summary: Summary,
    /// Which entries of the source were no ops.
    pub skipped: Skipped,
    /// Why it ended, if it was not told to.
    pub result: Result<(), PipelineError>,
}

/// What a reader leaves behind.
#[derive(Default)]
struct Read {
    skipped: Skipped,
    position: Timestamp,
    not_handed_on: u64,
    error: Option<TailError>,
}

/// Hands on what the tail reads, until told to stop or nobody listens. What was read by then is still
/// handed on.
async fn read(mut tail: Tail, sender: Sender<Vec<Op>>, shutdown: CancellationToken) -> Read {
    let mut read = Read::default();
    loop {
        let ops = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            () = sender.closed() => break,
            ops = tail.next() => ops,
        };
        match ops {
            Ok(ops) => read.hand_on(&sender, ops).await,
            Err(error) => {
                tracing::error!("stopping all plugins: {error}");
                read.error = Some(error);
                break;
            }
        }
    }
    loop {
        let ops = tokio::select! {
            biased;
            () = sender.closed() => break,
            ops = tail.buffered() => ops,
        };
        match ops {
            Some(ops) => read.hand_on(&sender, ops).await,
            None => break,
        }
    }
    read.not_handed_on += u64::try_from(tail.left()).unwrap_or(u64::MAX);
    read.position = tail.position();
    read.skipped = tail.into_skipped();
    read
}

impl Read {
    async fn hand_on(&mut self, sender: &Sender<Vec<Op>>, ops: Vec<Op>) {
        if ops.is_empty() {
            return;
        }
        if let Err(SendError(ops)) = sender.send(ops).await {
            self.not_handed_on += count(&ops);
        }
    }
}

struct Worker {
    plugin: Plugin,
    /// None at first, and while it works on another thread.
    filter: Option<Filter>,
    handler: Handler,
    retry: RetryPolicy,
    summary: Summary,
}

impl Worker {
    async fn work(
        &mut self,
        batches: &mut Receiver<Vec<Op>>,
        shutdown: &CancellationToken,
    ) -> Result<(), JoinError> {
        while let Some(mut ops) = batches.recv().await {
            self.summary.read += count(&ops);
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

fn count(ops: &[Op]) -> u64 {
    u64::try_from(ops.len()).unwrap_or(u64::MAX)
}
