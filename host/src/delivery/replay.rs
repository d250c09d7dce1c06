//! Plugins side by side over files, which are read once for all of them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;

use super::batch::Batch;
use super::blocked::Blocked;
use super::letters::DeadLetters;
use super::pipeline::PipelineError;
use super::progress::Progress;
use super::settings::Policy;
use super::works::Works;
use super::{Emitted, Summary};
use crate::op::Op;
use crate::plugin::Slot;
use crate::selection::Selection;
use crate::source::file::{FileError, Files, Report};
use crate::store::Store;

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
    /// The plugin that something was in the way of which no attempt mends, and what. The replay ended there.
    pub blocked: Option<(String, String)>,
}

/// Brings what `files` hold to each plugin that selects it, until all is handled, or `shutdown` is cancelled:
/// then nothing more is read, and what was read is handled, each op once at most, for as long as `grace`.
///
/// The files are read as fast as the slowest plugin works. `progress` is told now and then what was read. What a plugin does
/// not handle goes to `letters`' store. What is in the way of a plugin, whatever the op, ends it all: nobody would change that.
pub async fn replay(
    files: &mut Files,
    plugins: Vec<(Slot, Policy)>,
    store: &Store,
    pipeline: &str,
    shutdown: &CancellationToken,
    grace: Duration,
    progress: impl FnMut(&Report),
) -> Replayed {
    let mut inboxes = Vec::new();
    let mut working = Vec::new();
    for (plugin, policy) in plugins {
        let letters =
            DeadLetters { store: store.clone(), pipeline: pipeline.into(), plugin: plugin.name().into() };
        let done = Arc::new(Progress::new(policy.delivery.into(), None, false));
        let (sender, works) = Works::start(&plugin, policy, &done, letters, shutdown.clone());
        inboxes.push((sender, plugin.current().selection().clone()));
        working.push((plugin.name().to_owned(), done, works));
    }
    let blocks =
        working.iter().map(|(name, _, works)| (name.clone(), works.shared.blocked.clone())).collect();
    let mut emitted = Emitted::default();
    let cut = async {
        shutdown.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    let (mut was_read, mut worked, mut blocked) = (Ok(()), Ok(()), None);
    let all = async {
        was_read = read(files, &mut inboxes, &mut emitted, shutdown, progress).await;
        drop(inboxes);
        for (_, _, works) in &mut working {
            worked =
                std::mem::replace(&mut worked, Ok(())).and(works.ended().await.map_err(PipelineError::from));
        }
    };
    tokio::select! {
        () = all => {}
        () = cut => {}
        first = first_blocked(blocks) => blocked = Some(first),
    }
    let read = was_read;
    let mut plugins: Vec<_> = working.into_iter().map(|(name, done, _)| (name, done.summary())).collect();
    plugins.sort_by(|(one, _), (other, _)| one.cmp(other));
    Replayed { emitted, plugins, read, worked, blocked }
}

/// Waits until a plugin can go on no more, and gives back its name and why.
async fn first_blocked(all: Vec<(String, Blocked)>) -> (String, String) {
    if all.is_empty() {
        return std::future::pending().await;
    }
    let each =
        all.into_iter().map(|(name, blocked)| Box::pin(async move { (name, blocked.until_blocked().await) }));
    futures_util::future::select_all(each).await.0
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
        let mut ops: Vec<_> = ops.into_iter().map(Arc::new).collect();
        let Some(((last, selection), others)) = inboxes.split_last_mut() else { continue };
        for (inbox, selection) in &mut *others {
            send(inbox, ops.iter().filter(|op| selection.wants(op)).cloned().collect()).await;
        }
        // What is read is what some plugin selects.
        if !others.is_empty() {
            ops.retain(|op| selection.wants(op));
        }
        send(last, ops).await;
    }
}

async fn send(inbox: &Sender<Batch>, ops: Vec<Arc<Op>>) {
    if !ops.is_empty() {
        let bytes = ops.iter().map(|op| op.size()).sum();
        // One whose work has ended has failed, which is said when it is asked.
        let _ = inbox.send(Batch { ops, bytes, ..Batch::default() }).await;
    }
}
