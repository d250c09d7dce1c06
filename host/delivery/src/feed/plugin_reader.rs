//! One plugin's reading: by the shared reader while it keeps up, else by its own, until it has caught up.

use std::sync::Arc;
use std::time::Duration;

use gtm_oplog::{Op, Selection, Skipped, Timestamp};
use gtm_runtime::Plugin;
use gtm_source::{Ack, LiveSource, Position, SourceBatch, SourceConfig, SourceError, StartAt};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::shared_reader::{SharedBatch, SharedReaderHandle, Subscription};
use crate::batch::PluginBatch;
use crate::checkpoint::Checkpointer;
use crate::plugin_delivery::ReachedPosition;
use crate::progress::PluginProgress;
use crate::status::ReaderState;

/// How far behind the shared reader a plugin may be and still join it, in seconds.
const CLOSE: u32 = 2;

/// After it was let go, a plugin reads by itself at least so long. It doubles from there.
const APART: Duration = Duration::from_secs(5);
/// At most so long.
const APART_MOST: Duration = Duration::from_secs(300);

/// Reads for one plugin.
pub(crate) struct PluginReader {
    pub(crate) plugin: Arc<str>,
    /// What is read, in words, until that is said.
    pub(crate) source: Option<String>,
    pub(crate) hub: SharedReaderHandle,
    /// How it reads by itself.
    pub(crate) follow: SourceConfig,
    /// Versions of the plugin, which may want something else.
    pub(crate) versions: watch::Receiver<Plugin>,
    /// Of what is read, ops that are another worker's are not for this plugin.
    pub(crate) mine: Arc<dyn Fn(&Op) -> bool + Send + Sync>,
    pub(crate) progress: Arc<PluginProgress>,
    /// Where it is kept at which position the plugin begins, until that is known.
    pub(crate) beginning: Option<(Checkpointer, ReachedPosition)>,
    pub(crate) batches: mpsc::Sender<PluginBatch>,
    pub(crate) shutdown: CancellationToken,
}

/// How the reading ended.
#[derive(Debug, Default)]
pub(crate) struct PluginReaderEnd {
    pub(crate) skipped: Skipped,
    pub(crate) error: Option<SourceError>,
}

enum Reading {
    Own(Box<LiveSource>),
    Shared {
        batches: mpsc::Receiver<SharedBatch>,
        passed: Option<Timestamp>,
    },
    /// Nothing now.
    None,
}

/// The dispatcher has gone.
struct DispatcherGone;

impl PluginReader {
    /// Reads until told to stop, or the source fails. `first`: what it begins with; none: it joins the others, where
    /// it starts, unless it has a snapshot to take.
    pub(crate) async fn run(mut self, first: Option<LiveSource>) -> PluginReaderEnd {
        let mut end = PluginReaderEnd::default();
        end.error = self.read(first, &mut end.skipped).await.err();
        end
    }

    async fn read(&mut self, first: Option<LiveSource>, skipped: &mut Skipped) -> Result<(), SourceError> {
        let shutdown = self.shutdown.clone();
        let mut reading = match first {
            Some(live) => Reading::Own(Box::new(live)),
            None if self.follow.snapshot => Reading::None,
            None => tokio::select! {
                reading = self.join_at_start() => reading,
                () = shutdown.cancelled() => return Ok(()),
            },
        };
        let mut apart = APART;
        let mut not_before = Instant::now();
        while !shutdown.is_cancelled() {
            reading = match reading {
                Reading::Own(live) => {
                    self.progress.set_reader(ReaderState::Own);
                    match self.read_alone(live, not_before, skipped).await? {
                        Some(reading) => reading,
                        None => return Ok(()),
                    }
                }
                Reading::Shared { batches, passed } => {
                    self.progress.set_reader(ReaderState::Shared);
                    let since = Instant::now();
                    if self.read_shared(batches, passed).await.is_err() {
                        return Ok(());
                    }
                    if since.elapsed() > APART_MOST {
                        apart = APART;
                    }
                    not_before = Instant::now() + apart;
                    apart = (apart * 2).min(APART_MOST);
                    Reading::None
                }
                Reading::None => {
                    let opened = tokio::select! {
                        opened = self.open() => opened?,
                        () = shutdown.cancelled() => return Ok(()),
                    };
                    Reading::Own(opened)
                }
            };
        }
        Ok(())
    }

    /// Begins to read by itself, once it is not paused.
    async fn open(&mut self) -> Result<Box<LiveSource>, SourceError> {
        if self.progress.is_paused() {
            self.progress.set_reader(ReaderState::None);
            self.progress.until_paused(false).await;
        }
        let live = LiveSource::open(self.follow.clone()).await?;
        if let (false, Some(position)) = (live.in_snapshot(), live.position()) {
            self.begin(&position).await;
            self.follow.start = position.into();
        }
        if let Some(position) = live.position() {
            self.say(Some(&position));
        }
        Ok(Box::new(live))
    }

    /// Stores the position at which a plugin without a checkpoint starts, before the plugin reads from there, so that a host that
    /// ends or loses its lease resumes at this position. Retries until the store accepts it; the checkpointer logs the failure. A
    /// start before the first entry of an oplog has no position to store, and the next start is the same.
    async fn begin(&mut self, at: &Position) {
        if at.is_before_all() {
            return;
        }
        let Some((checkpointer, reached)) = self.beginning.take() else { return };
        if self.progress.position().is_some() {
            return;
        }
        self.progress.read(at.clone());
        reached.set(at.clone());
        let kept = async {
            while let Err(error) = checkpointer.store_now().await {
                tracing::debug!(
                    event = "checkpoint.store_start_failed", plugin = &*self.plugin, %error,
                    "the start position cannot be stored yet; retrying"
                );
                tokio::time::sleep(checkpointer.interval).await;
            }
        };
        tokio::select! {
            () = kept => {}
            () = self.shutdown.cancelled() => {}
        }
    }

    /// Says what is read, once.
    fn say(&mut self, at: Option<&Position>) {
        if let Some(source) = self.source.take() {
            let at = at.filter(|at| !at.is_before_all());
            let from = at.map(tracing::field::display);
            tracing::info!(event = "source.tail", plugin = &*self.plugin, source, from, "tailing");
        }
    }

    async fn join_at_start(&mut self) -> Reading {
        let start = self.follow.start.clone();
        let joined = self.hub.join(&self.plugin, &self.follow.selection, start.clone()).await;
        match joined {
            Ok(Some(Subscription { at: Some(at), at_start, batches }))
                if at_start || start == StartAt::Now || start == at.clone().into() =>
            {
                self.begin(&at).await;
                self.say(Some(&at));
                self.follow.start = at.into();
                Reading::Shared { batches, passed: None }
            }
            Ok(Some(Subscription { at: None, at_start, batches })) if at_start || start == StartAt::Now => {
                Reading::Shared { batches, passed: None }
            }
            // The others are elsewhere; or it cannot be read, of which it says by itself why.
            _ => Reading::None,
        }
    }

    /// Reads until the plugin has caught up and joins the others, or is paused. None: nobody wants more.
    async fn read_alone(
        &mut self,
        mut live: Box<LiveSource>,
        not_before: Instant,
        skipped: &mut Skipped,
    ) -> Result<Option<Reading>, SourceError> {
        let progress = Arc::clone(&self.progress);
        let shutdown = self.shutdown.clone();
        // What it joins, once it has read as far.
        let mut joined: Option<Subscription> = None;
        loop {
            let batch = tokio::select! {
                biased;
                () = shutdown.cancelled() => {
                    let settled = live.settle().await;
                    take(skipped, *live);
                    return settled.map(|()| None);
                }
                () = progress.until_paused(true) => {
                    live.settle().await?;
                    // While it waited, the plugin was resumed.
                    if !progress.is_paused() {
                        continue;
                    }
                    take(skipped, *live);
                    return Ok(Some(Reading::None));
                }
                () = other_selection(&mut self.versions, &mut self.follow.selection) => {
                    live.settle().await?;
                    take(skipped, *live);
                    return Ok(Some(Reading::None));
                }
                batch = live.next() => batch?,
            };
            let SourceBatch { ops, position: read, bytes, is_at_end: nothing, ack } = batch;
            self.progress.set_caught_up(nothing, self.follow.health.newest());
            let ops = ops.into_iter().map(Arc::new).collect();
            if self.hand_on(ops, read.clone(), bytes, ack).await.is_err() {
                take(skipped, *live);
                return Ok(None);
            }
            let Some(position) = read else { continue };
            if joined.is_none() && Instant::now() >= not_before && self.is_close(nothing, &position) {
                let start = position.clone().into();
                joined = tokio::select! {
                    joined = self.hub.join(&self.plugin, &self.follow.selection, start) => joined.unwrap_or_default(),
                    // Then it is told to stop, above.
                    () = shutdown.cancelled() => None,
                };
            }
            let Some(waiting) = joined.take().filter(|joined| !joined.batches.is_closed()) else { continue };
            if reached(&position, waiting.at.as_ref()) {
                tracing::debug!(
                    event = "reader.join",
                    plugin = &*self.plugin,
                    "caught up; joining the shared reader"
                );
                take(skipped, *live);
                return Ok(Some(Reading::Shared { batches: waiting.batches, passed: position.timestamp() }));
            }
            // Places in a change stream cannot be compared: another time they may be the same.
            if position.timestamp().is_some() {
                joined = Some(waiting);
            }
        }
    }

    /// Whether the others can be joined.
    fn is_close(&self, nothing: bool, position: &Position) -> bool {
        let shared = self.hub.position();
        let own = position.timestamp();
        nothing || shared.zip(own).is_some_and(|(shared, own)| own.time.saturating_add(CLOSE) >= shared.time)
    }

    /// Reads until there is no more to read there, or the plugin is paused.
    async fn read_shared(
        &mut self,
        mut batches: mpsc::Receiver<SharedBatch>,
        passed: Option<Timestamp>,
    ) -> Result<(), DispatcherGone> {
        let progress = Arc::clone(&self.progress);
        loop {
            let batch = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return Err(DispatcherGone),
                () = progress.until_paused(true) => return Ok(()),
                () = other_selection(&mut self.versions, &mut self.follow.selection) => return Ok(()),
                batch = batches.recv() => batch,
            };
            let Some(batch) = batch else { return Ok(()) };
            let SharedBatch { mut ops, is_idle, read, bytes } = batch;
            self.progress.set_caught_up(is_idle, self.follow.health.newest());
            if let Some(passed) = passed {
                ops.retain(|op| op.timestamp > passed);
            }
            self.hand_on(ops, read, bytes, Ack::default()).await?;
        }
    }

    async fn hand_on(
        &mut self,
        mut ops: Vec<Arc<Op>>,
        read: Option<Position>,
        bytes: usize,
        ack: Ack,
    ) -> Result<(), DispatcherGone> {
        // Only a snapshot waits, as it is not read again.
        let of_snapshot = ack.is_awaited();
        match (&read, ops.last()) {
            (Some(read), _) => self.follow.start = read.clone().into(),
            (None, Some(last)) => {
                if let Some(position) = Position::after(last) {
                    self.follow.start = position.into();
                }
            }
            (None, None) => {}
        }
        // Only the first reading is after a snapshot.
        self.follow.snapshot &= of_snapshot;
        let read = read.filter(|read| !read.is_before_all());
        ops.retain(|op| (self.mine)(op));
        match &read {
            // What was handed on is done in its order: from then on, it is what says how far all is done.
            _ if !ops.is_empty() => self.beginning = None,
            Some(read) => self.begin(read).await,
            None => {
                ack.done();
                return Ok(());
            }
        }
        // A change stream says where it stands with its first reply.
        self.say(read.as_ref().filter(|_| ops.is_empty()));
        let batch = PluginBatch { ops, read, bytes, ack };
        // What nobody takes any more is read again, the next time.
        tokio::select! {
            biased;
            sent = self.batches.send(batch) => sent.map_err(|_| DispatcherGone)?,
            () = self.shutdown.cancelled() => return Err(DispatcherGone),
        }
        Ok(())
    }
}

/// Waits until a version of the plugin is current that wants something else, and takes note of it. What is read from then on
/// is what that one wants.
async fn other_selection(versions: &mut watch::Receiver<Plugin>, selection: &mut Selection) {
    while versions.changed().await.is_ok() {
        let version = versions.borrow_and_update();
        if version.selection() != selection {
            *selection = version.selection().clone();
            return;
        }
    }
    std::future::pending().await
}

/// Whether what was read up to `position` goes as far as what is shared from `at` on.
fn reached(position: &Position, at: Option<&Position>) -> bool {
    match (position.timestamp(), at.and_then(Position::timestamp)) {
        (Some(position), Some(at)) => position >= at,
        _ => at == Some(position),
    }
}

fn take(skipped: &mut Skipped, live: LiveSource) {
    for (skip, count) in live.into_skipped() {
        *skipped.entry(skip).or_default() += count;
    }
}
