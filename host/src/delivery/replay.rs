//! Plugins side by side over files, which are read once for all of them.

use std::time::Duration;

use tokio::sync::mpsc::{self, Sender};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::pipeline::PipelineError;
use super::worker::{Batch, Worker};
use super::{Emitted, RetryPolicy, Summary};
use crate::op::Op;
use crate::plugin::Plugin;
use crate::source::Selection;
use crate::source::file::{FileError, Files, Report};

/// What became of a replay.
#[derive(Debug)]
pub struct Replayed {
    /// The ops that some plugin selected.
    pub emitted: Emitted,
    /// What became of them, by the name of each plugin.
    pub plugins: Vec<(String, Summary)>,
    /// Why the files were not read to their end, if they were not and nobody asked for it.
    pub read: Result<(), FileError>,
    /// A defect of the host.
    pub worked: Result<(), PipelineError>,
}

/// Brings what `files` hold to each plugin that selects it, until all is handled, or `shutdown` is cancelled:
/// then nothing more is read, and what was read is handled, each op once at most, for as long as `grace`.
///
/// The files are read as fast as the slowest plugin works. `progress` is told now and then what was read.
pub async fn replay(
    files: &mut Files,
    plugins: Vec<(Plugin, Selection)>,
    retry: RetryPolicy,
    shutdown: &CancellationToken,
    grace: Duration,
    progress: impl FnMut(&Report),
) -> Replayed {
    let mut workers = JoinSet::new();
    let mut inboxes = Vec::new();
    for (plugin, selection) in plugins {
        let (sender, receiver) = mpsc::channel(1);
        inboxes.push((sender, selection));
        let (mut worker, shutdown) = (Worker::new(plugin, retry), shutdown.clone());
        workers.spawn(async move {
            let worked = worker.run(receiver, &shutdown, grace).await;
            worker.summary.unfinished = worker.summary.read - worker.summary.done();
            ((worker.plugin.name().to_owned(), worker.summary), worked)
        });
    }
    let mut emitted = Emitted::default();
    let read = read(files, &mut inboxes, &mut emitted, shutdown, progress).await;
    drop(inboxes);
    let (mut plugins, mut worked) = (Vec::new(), Ok(()));
    while let Some(ended) = workers.join_next().await {
        let result = ended.map(|(plugin, result)| {
            plugins.push(plugin);
            result
        });
        worked = worked.and(result.and_then(|result| result).map_err(PipelineError::from));
    }
    plugins.sort_by(|(one, _), (other, _)| one.cmp(other));
    Replayed { emitted, plugins, read, worked }
}

async fn read(
    files: &mut Files,
    inboxes: &mut [(Sender<Batch>, Selection)],
    emitted: &mut Emitted,
    shutdown: &CancellationToken,
    mut progress: impl FnMut(&Report),
) -> Result<(), FileError> {
    loop {
        let ops = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            ops = files.next() => ops?,
        };
        let Some(ops) = ops else { return Ok(()) };
        progress(files.report());
        emitted.add(&ops);
        for (inbox, selection) in &mut *inboxes {
            let wanted = |op: &&Op| {
                let (database, collection) = (&op.namespace.database, &op.namespace.collection);
                selection.select(database, collection, op.operation_type).is_some()
            };
            let ops: Vec<_> = ops.iter().filter(wanted).cloned().collect();
            if !ops.is_empty() {
                // A worker that has gone has failed, which is said when it is asked.
                let _ = inbox.send(Batch { ops, done: None }).await;
            }
        }
    }
}
