//! Plugins side by side over files, which are read once for all of them.

use std::sync::Arc;
use std::time::Duration;

use gtm_oplog::{Op, Selection};
use gtm_runtime::PluginHandle;
use gtm_source::{FileError, FileSource, FileSourceReport, SourceBatch};
use gtm_store::Store;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::batch::PluginBatch;
use super::blocked::Blocked;
use super::lane::LaneContext;
use super::lane_pool::LanePool;
use super::letters::DeadLetters;
use super::plugin_delivery::DeliveryError;
use super::progress::PluginProgress;
use super::settings::DeliveryPolicy;
use super::{EmittedOps, Summary, spans};

/// What became of a replay.
#[derive(Debug)]
pub struct Replayed {
    /// The ops that some plugin selected.
    pub emitted: EmittedOps,
    /// What became of them, by the name of each plugin.
    pub plugins: Vec<(String, Summary)>,
    /// Why the files were not read to their end, if they were not and nobody asked for it.
    pub read: Result<(), FileError>,
    /// A defect of the host.
    pub worked: Result<(), DeliveryError>,
    /// The plugin that something was in the way of which no attempt mends, and what. The replay ended there.
    pub blocked: Option<(String, String)>,
}

/// Brings what `files` hold to each plugin that selects it, until all is handled, or `shutdown` is cancelled:
/// then nothing more is read, and what was read is handled, each op once at most, for as long as `grace`.
///
/// The files are read as fast as the slowest plugin works. `progress` is told now and then what was read. What a plugin does
/// not handle goes to `letters`' store. A plugin that fails on op after op, for as long as one op is tried, gets no more of
/// them: a file does not change while somebody waits. When none is left that works, nothing more is read. What is in the way of
/// a plugin, whatever the op, ends it all: nobody would change that.
pub async fn replay(
    files: &mut FileSource,
    plugins: Vec<(PluginHandle, DeliveryPolicy)>,
    store: &Store,
    pipeline: &str,
    shutdown: &CancellationToken,
    grace: Duration,
    progress: impl FnMut(&FileSourceReport),
) -> Replayed {
    let mut inboxes = Vec::new();
    let mut working = Vec::new();
    for (plugin, policy) in plugins {
        let letters = DeadLetters::new(store, pipeline, plugin.name(), &policy);
        let done = Arc::new(PluginProgress::new(policy.delivery.into(), None, false));
        let start = || LanePool::start(&plugin, policy, &done, letters, shutdown.clone());
        let (sender, works) = spans::plugin(plugin.name()).in_scope(start);
        works.shared.breaker.give_up_after(policy.retry.patience());
        inboxes.push(Inbox { sender, selection: plugin.current().selection().clone(), ops: 0 });
        working.push((plugin.name().to_owned(), done, works));
    }
    let mut ends = JoinSet::new();
    for (name, _, works) in &working {
        ends.spawn(end_when_given_up(name.clone(), Arc::clone(&works.shared)));
    }
    // In the order of the plugins.
    let mut ops = vec![0; inboxes.len()];
    let blocks =
        working.iter().map(|(name, _, works)| (name.clone(), works.shared.blocked.clone())).collect();
    let mut emitted = EmittedOps::default();
    let cut = async {
        shutdown.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    let (mut was_read, mut worked, mut blocked) = (Ok(()), Ok(()), None);
    let all = async {
        was_read = read(files, &mut inboxes, &mut emitted, shutdown, progress).await;
        ops = inboxes.into_iter().map(|inbox| inbox.ops).collect();
        for (_, _, works) in &mut working {
            worked =
                std::mem::replace(&mut worked, Ok(())).and(works.ended().await.map_err(DeliveryError::from));
        }
    };
    tokio::select! {
        () = all => {}
        () = cut => {}
        first = first_blocked(blocks) => blocked = Some(first),
    }
    let read = was_read;
    let summary = |((name, done, works), ops): ((String, Arc<PluginProgress>, LanePool), u64)| {
        let mut summary = done.summary();
        // One that is given up has not taken all that was read for it.
        if works.shared.breaker.is_given_up() {
            summary.unfinished += ops.saturating_sub(summary.read);
            summary.read = ops.max(summary.read);
        }
        (name, summary)
    };
    let mut plugins: Vec<_> = working.into_iter().zip(ops).map(summary).collect();
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

/// The way to a plugin.
struct Inbox {
    sender: Sender<PluginBatch>,
    selection: Selection,
    /// Ops that were read for it.
    ops: u64,
}

/// Hands nothing more to a plugin that is given up.
async fn end_when_given_up(plugin: String, shared: Arc<LaneContext>) {
    let failing = shared.breaker.given_up().await;
    tracing::error!(
        event = "breaker.give_up",
        plugin,
        failing_ms = failing.as_millis(),
        help = "see in the log why, then replay the files again",
        "the plugin failed on every op for too long; it gets no more of them"
    );
    shared.dropped.cancel();
}

async fn read(
    files: &mut FileSource,
    inboxes: &mut [Inbox],
    emitted: &mut EmittedOps,
    shutdown: &CancellationToken,
    mut progress: impl FnMut(&FileSourceReport),
) -> Result<(), FileError> {
    loop {
        let batch = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            batch = files.next() => batch?,
        };
        let Some(SourceBatch { ops, .. }) = batch else { return Ok(()) };
        progress(files.report());
        emitted.add(&ops);
        let mut ops: Vec<_> = ops.into_iter().map(Arc::new).collect();
        let Some((last, others)) = inboxes.split_last_mut() else { continue };
        for inbox in &mut *others {
            let wanted = ops.iter().filter(|op| inbox.selection.wants(op)).cloned().collect();
            inbox.send(wanted).await;
        }
        // What is read is what some plugin selects.
        if !others.is_empty() {
            ops.retain(|op| last.selection.wants(op));
        }
        last.send(ops).await;
        if !inboxes.is_empty() && inboxes.iter().all(|inbox| inbox.sender.is_closed()) {
            tracing::error!(event = "replay.stop", "no plugin works; the files are not read to their end");
            return Ok(());
        }
    }
}

impl Inbox {
    async fn send(&mut self, ops: Vec<Arc<Op>>) {
        let (count, bytes) = (ops.len(), ops.iter().map(|op| op.size()).sum());
        self.ops += count as u64;
        if count > 0 {
            // One whose work has ended was given up, or has failed, which is said when it is asked.
            let _ = self.sender.send(PluginBatch { ops, bytes, ..PluginBatch::default() }).await;
        }
    }
}
