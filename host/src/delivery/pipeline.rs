//! One plugin and its own reader of a deployment.

use std::time::Duration;

use tokio::sync::mpsc::error::SendError;
use tokio::sync::mpsc::{self, Sender};
use tokio::sync::oneshot;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use super::worker::{Batch, Worker, count};
use super::{RetryPolicy, Summary};
use crate::op::{Op, Origin};
use crate::plugin::Plugin;
use crate::source::{Live, Position, Skipped, SourceError};

/// Batches read ahead while one is worked on. Each is up to 16 MB of entries, and twice that of documents
/// that were looked up, so: one.
const READ_AHEAD: usize = 1;

/// Brings the changes of a source to a plugin.
pub struct Pipeline {
    source: Live,
    worker: Worker,
}

/// Why a pipeline ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The source has no more to give.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A defect of the host.
    #[error("gtm-host has a defect, please report it: {0}")]
    Panicked(#[from] JoinError),
}

impl Pipeline {
    /// Will bring what `source` reads to `plugin`.
    pub fn new(plugin: Plugin, source: Live, retry: RetryPolicy) -> Self {
        Self { source, worker: Worker::new(plugin, retry) }
    }

    /// Runs until `shutdown` is cancelled, or the source ends. Then nothing more is read, and what was
    /// read is handled: after `shutdown` each op once at most, for as long as `grace`.
    pub async fn run(self, shutdown: CancellationToken, grace: Duration) -> Ended {
        let Self { source, mut worker } = self;
        let (sender, receiver) = mpsc::channel(READ_AHEAD);
        let reader = tokio::spawn(read(source, sender, shutdown.clone()));
        let worked = worker.run(receiver, &shutdown, grace).await;
        let (read, worked) = match reader.await {
            Ok(read) => (read, worked),
            Err(error) => (Read::default(), Err(error)),
        };
        let mut summary = worker.summary;
        summary.read += read.not_handed_on;
        summary.unfinished = summary.read - summary.done();
        let source = read.error.map_or(Ok(()), |error| Err(error.into()));
        let result = worked.map_err(PipelineError::from).and(source);
        Ended {
            plugin: worker.plugin.name().to_owned(),
            position: if summary.unfinished == 0 {
                read.position.map(|position| position.to_string())
            } else {
                worker.done_up_to
            },
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
    /// Up to where all is done: a start to go on from. None: nothing was done, or a change stream has not said where it
    /// stands.
    pub position: Option<String>,
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
    position: Option<Position>,
    not_handed_on: u64,
    error: Option<SourceError>,
}

/// Hands on what the source reads, until told to stop or nobody listens. What was read by then is still
/// handed on.
async fn read(mut source: Live, sender: Sender<Batch>, shutdown: CancellationToken) -> Read {
    let mut read = Read::default();
    loop {
        let ops = tokio::select! {
            biased;
            () = shutdown.cancelled() => {
                read.error = source.confirm().await.err();
                break;
            }
            () = sender.closed() => break,
            ops = source.next() => ops,
        };
        let done = match ops {
            Ok(ops) => read.hand_on(&sender, ops).await,
            Err(error) => {
                tracing::error!("stopping all plugins: {error}");
                read.error = Some(error);
                break;
            }
        };
        if !done {
            break;
        }
    }
    loop {
        let ops = tokio::select! {
            biased;
            () = sender.closed() => break,
            ops = source.buffered() => ops,
        };
        match ops {
            Some(ops) => read.hand_on(&sender, ops).await,
            None => break,
        };
    }
    read.not_handed_on += u64::try_from(source.left()).unwrap_or(u64::MAX);
    read.position = source.position();
    read.skipped = source.into_skipped();
    read
}

impl Read {
    /// False: these are not done, and more are of no use.
    async fn hand_on(&mut self, sender: &Sender<Batch>, ops: Vec<Op>) -> bool {
        if ops.is_empty() {
            return true;
        }
        // A snapshot is told what is done, as it is not read again.
        let of_snapshot = ops.iter().any(|op| op.origin == Origin::Snapshot);
        let (done, answer) = oneshot::channel();
        let batch = Batch { ops, done: of_snapshot.then_some(done) };
        match sender.send(batch).await {
            Ok(()) => !of_snapshot || answer.await.is_ok(),
            Err(SendError(batch)) => {
                self.not_handed_on += count(&batch.ops);
                false
            }
        }
    }
}
