//! Brings files to plugins. The files are read once for all of them.

use std::sync::Arc;
use std::time::Duration;

use gtm_oplog::{Op, Selection};
use gtm_runtime::PluginHandle;
use gtm_source::{FileError, FileSource, FileSourceReport, SourceBatch};
use gtm_store::Store;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::batch::PluginBatch;
use super::blocked::BlockedPlugin;
use super::feed::{FeedReceiver, FeedSegment, MAX_READ_AHEAD_BATCHES};
use super::lane_context::LaneContext;
use super::lane_pool::LanePool;
use super::letters::DeadLetters;
use super::plugin_delivery::DeliveryError;
use super::plugin_progress::PluginProgress;
use super::settings::DeliveryPolicy;
use super::{EmittedOps, Summary, spans};

/// The outcome of a replay.
#[derive(Debug)]
pub struct Replayed {
    /// The ops that at least one plugin selected.
    pub emitted: EmittedOps,
    /// The counts of each plugin, by name.
    pub plugins: Vec<(String, Summary)>,
    /// The reason why the files were not read to their end, unless the replay was stopped.
    pub read: Result<(), FileError>,
    /// A defect of the host.
    pub worked: Result<(), DeliveryError>,
    /// The plugin that an obstacle blocked, and the reason. The replay ended there.
    pub blocked: Option<(String, String)>,
}

/// A plugin of a replay.
struct ReplayedPlugin {
    name: String,
    progress: Arc<PluginProgress>,
    lanes: LanePool,
}

/// Delivers the ops of `files` to each plugin that selects them, until all are handled, or `shutdown` is cancelled. Then nothing more is
/// read, and the ops that were read are handled, each at most once, for as long as `grace`.
///
/// The files are read as fast as the slowest plugin handles them, and `on_read` is called with what was read. Ops that a plugin does not
/// handle become dead letters in `store`. A plugin that fails on op after op, for as long as one op is tried, gets no more ops, as a file
/// does not wait; when all have failed so, nothing more is read. An obstacle that blocks a plugin ends the replay, as nobody would remove
/// it.
pub async fn replay(
    files: &mut FileSource,
    plugins: Vec<(PluginHandle, DeliveryPolicy)>,
    store: &Store,
    pipeline: &str,
    shutdown: &CancellationToken,
    grace: Duration,
    on_read: impl FnMut(&FileSourceReport),
) -> Replayed {
    let mut inboxes = Vec::new();
    let mut running = Vec::new();
    for (plugin, policy) in plugins {
        let letters = DeadLetters::new(store, pipeline, plugin.name(), &policy, None);
        let progress = PluginProgress::new(policy.delivery.into(), None, false);
        let (sender, batches) = mpsc::channel(MAX_READ_AHEAD_BATCHES);
        let feed = FeedReceiver::of_segment(FeedSegment::new(batches));
        let start = || LanePool::start(&plugin, policy, &progress, letters, feed, shutdown.clone());
        let lanes = spans::plugin(plugin.name()).in_scope(start);
        lanes.context.breaker.give_up_after(policy.retry.total_delay());
        inboxes.push(ReplayInbox { sender, selection: plugin.current().selection().clone(), ops: 0 });
        running.push(ReplayedPlugin { name: plugin.name().to_owned(), progress, lanes });
    }
    let mut give_ups = JoinSet::new();
    for ReplayedPlugin { name, lanes, .. } in &running {
        give_ups.spawn(drop_ops_when_given_up(name.clone(), Arc::clone(&lanes.context)));
    }
    // The number of ops of each plugin, in their order.
    let mut ops = vec![0; inboxes.len()];
    let blocked =
        running.iter().map(|plugin| (plugin.name.clone(), plugin.lanes.context.blocked.clone())).collect();
    let mut emitted = EmittedOps::default();
    let cut_off = async {
        shutdown.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    let (mut was_read, mut worked, mut first_blocked) = (Ok(()), Ok(()), None);
    let all = async {
        was_read = read(files, &mut inboxes, &mut emitted, shutdown, on_read).await;
        ops = inboxes.into_iter().map(|inbox| inbox.ops).collect();
        for plugin in &mut running {
            let ended = plugin.lanes.ended().await.map_err(DeliveryError::from);
            worked = std::mem::replace(&mut worked, Ok(())).and(ended);
        }
    };
    tokio::select! {
        () = all => {}
        () = cut_off => {}
        first = until_blocked(blocked) => first_blocked = Some(first),
    }
    let summary = |(ReplayedPlugin { name, progress, lanes }, ops): (ReplayedPlugin, u64)| {
        let mut summary = progress.ops.summary();
        // A plugin that is given up did not receive all ops that were read for it.
        if lanes.context.breaker.is_given_up() {
            summary.unfinished += ops.saturating_sub(summary.read);
            summary.read = ops.max(summary.read);
        }
        (name, summary)
    };
    let mut plugins: Vec<_> = running.into_iter().zip(ops).map(summary).collect();
    plugins.sort_by(|(one, _), (other, _)| one.cmp(other));
    Replayed { emitted, plugins, read: was_read, worked, blocked: first_blocked }
}

/// Waits until one of these plugins is blocked. Returns its name and the reason.
async fn until_blocked(all: Vec<(String, BlockedPlugin)>) -> (String, String) {
    if all.is_empty() {
        return std::future::pending().await;
    }
    let each =
        all.into_iter().map(|(name, blocked)| Box::pin(async move { (name, blocked.until_blocked().await) }));
    futures_util::future::select_all(each).await.0
}

/// Where the ops for one plugin are sent.
struct ReplayInbox {
    sender: mpsc::Sender<PluginBatch>,
    selection: Selection,
    /// The number of ops that were read for the plugin.
    ops: u64,
}

/// Drops the ops of a plugin when it is given up.
async fn drop_ops_when_given_up(plugin: String, lanes: Arc<LaneContext>) {
    let failing = lanes.breaker.given_up().await;
    tracing::error!(
        event = "breaker.give_up",
        plugin,
        failing_ms = failing.as_millis(),
        help = "see in the log why, then replay the files again",
        "the plugin failed on every op for too long; it gets no more of them"
    );
    lanes.dropped.cancel();
}

async fn read(
    files: &mut FileSource,
    inboxes: &mut [ReplayInbox],
    emitted: &mut EmittedOps,
    shutdown: &CancellationToken,
    mut on_read: impl FnMut(&FileSourceReport),
) -> Result<(), FileError> {
    loop {
        let batch = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            batch = files.next() => batch?,
        };
        let Some(SourceBatch { ops, .. }) = batch else { return Ok(()) };
        on_read(files.report());
        emitted.add(&ops);
        let mut ops: Vec<_> = ops.into_iter().map(Arc::new).collect();
        let Some((last, others)) = inboxes.split_last_mut() else { continue };
        for inbox in &mut *others {
            let wanted = ops.iter().filter(|op| inbox.selection.wants(op)).cloned().collect();
            inbox.send(wanted).await;
        }
        // A single plugin wants all ops, as the files are read for it alone.
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

impl ReplayInbox {
    async fn send(&mut self, ops: Vec<Arc<Op>>) {
        let (count, bytes) = (ops.len(), ops.iter().map(|op| op.size()).sum());
        self.ops += count as u64;
        if count > 0 {
            // A plugin that receives nothing more was given up, or its tasks panicked, which is found when they are awaited.
            let _ = self.sender.send(PluginBatch { ops, bytes, ..PluginBatch::default() }).await;
        }
    }
}
