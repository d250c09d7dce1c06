//! Decides which reader brings a plugin its ops.
//!
//! While the plugin keeps up, that is the shared reader, and nothing here handles its batches. The plugin has a reader of its own only
//! while it catches up.

use std::sync::Arc;
use std::time::Duration;

use gtm_oplog::{Selection, Skipped, Timestamp, add_skipped};
use gtm_runtime::Plugin;
use gtm_source::{LiveSource, SourceConfig, SourceError, StartAt};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::catch_up::CatchUpReader;
use super::receiver::{FeedSegment, MAX_READ_AHEAD_BATCHES};
use super::shared_reader::SharedReaderHandle;
use super::subscription::Subscription;
use crate::plugin_progress::PluginProgress;
use crate::status::ReaderState;

/// The shortest time for which a plugin reads by itself after it lost its subscription. It doubles each time.
const MIN_CATCH_UP_TIME: Duration = Duration::from_secs(5);
/// The longest such time. A plugin that kept up for longer starts with the shortest again.
const MAX_CATCH_UP_TIME: Duration = Duration::from_secs(300);

/// Feeds one plugin: passes on one reader's batches after another's to the plugin's dispatcher.
pub(crate) struct PluginFeed {
    pub(super) plugin: Arc<str>,
    pub(super) shared: SharedReaderHandle,
    /// How the plugin reads by itself. Its start is the position up to which the dispatcher was sent everything.
    pub(super) config: SourceConfig,
    /// Versions of the plugin, whose selections may differ.
    versions: watch::Receiver<Plugin>,
    pub(super) progress: Arc<PluginProgress>,
    segments: mpsc::Sender<FeedSegment>,
    pub(super) shutdown: CancellationToken,
    /// The plugin does not subscribe before.
    pub(super) subscribe_after: Instant,
    /// How long the plugin reads by itself the next time.
    catch_up_time: Duration,
    /// The entries that the plugin's own readers skipped.
    skipped: Skipped,
}

/// How a feed ended.
#[derive(Debug)]
pub(crate) struct FeedEnd {
    pub(crate) skipped: Skipped,
    pub(crate) error: Option<SourceError>,
}

/// How a plugin is read for.
pub(super) enum FeedState {
    /// By a reader of its own.
    CatchingUp(Box<LiveSource>),
    /// By the shared reader.
    Subscribed {
        subscription: Subscription,
        /// The time up to which the plugin's own reader has read. None: the subscription begins at the start.
        read_to: Option<Timestamp>,
    },
    /// By none.
    Idle,
    /// By none any more.
    Ended,
}

/// Why a reader stops.
pub(super) enum Interruption {
    /// The feed, or the dispatcher, ends.
    Ended,
    /// The plugin was paused.
    Paused,
    /// Another version of the plugin selects other ops.
    Reselected,
}

impl PluginFeed {
    /// Makes the feed of a plugin, which sends to `segments` until `shutdown` is cancelled. `versions` are those after the version whose
    /// selection is in `config`.
    pub(crate) fn new(
        plugin: &str,
        shared: SharedReaderHandle,
        config: SourceConfig,
        versions: watch::Receiver<Plugin>,
        progress: Arc<PluginProgress>,
        segments: mpsc::Sender<FeedSegment>,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            plugin: plugin.into(),
            shared,
            config,
            versions,
            progress,
            segments,
            shutdown,
            subscribe_after: Instant::now(),
            catch_up_time: MIN_CATCH_UP_TIME,
            skipped: Skipped::new(),
        }
    }

    /// Feeds the plugin until `shutdown` is cancelled, or the source fails. It begins with `first`, or, if that is none, with a
    /// subscription, unless a snapshot comes first.
    pub(crate) async fn run(mut self, first: Option<LiveSource>) -> FeedEnd {
        let error = self.feed(first).await.err();
        FeedEnd { skipped: self.skipped, error }
    }

    async fn feed(&mut self, first: Option<LiveSource>) -> Result<(), SourceError> {
        let shutdown = self.shutdown.clone();
        let mut state = match first {
            Some(live) => FeedState::CatchingUp(Box::new(live)),
            None if self.config.snapshot => FeedState::Idle,
            None => tokio::select! {
                state = self.subscribe_at_start() => state,
                () = shutdown.cancelled() => return Ok(()),
            },
        };
        loop {
            state = match state {
                FeedState::CatchingUp(live) => self.catch_up(live).await?,
                FeedState::Subscribed { subscription, read_to } => {
                    self.follow_subscription(subscription, read_to).await
                }
                FeedState::Idle => tokio::select! {
                    opened = self.open() => FeedState::CatchingUp(opened?),
                    () = shutdown.cancelled() => FeedState::Ended,
                },
                FeedState::Ended => return Ok(()),
            };
        }
    }

    /// Subscribes to the shared reader if it is where the plugin starts.
    async fn subscribe_at_start(&mut self) -> FeedState {
        let start = self.config.start.clone();
        let subscribed = self.shared.subscribe(&self.plugin, &self.config.selection, start.clone()).await;
        // If the source cannot be read, the plugin's own reader reports the error.
        let Ok(Some(subscription)) = subscribed else { return FeedState::Idle };
        let is_at = |at| start == StartAt::from(at);
        let is_there = subscription.is_at_start || subscription.at.clone().is_some_and(is_at);
        if !is_there {
            return FeedState::Idle;
        }
        if let Some(at) = &subscription.at {
            self.config.start = at.clone().into();
        }
        FeedState::Subscribed { subscription, read_to: None }
    }

    /// Waits while the plugin is paused, and opens a reader of its own.
    async fn open(&mut self) -> Result<Box<LiveSource>, SourceError> {
        if self.progress.pause.is_paused() {
            self.progress.reader.set_reader(ReaderState::None);
            self.progress.pause.until_resumed().await;
        }
        let live = LiveSource::open(self.config.clone()).await?;
        if let (false, Some(position)) = (live.in_snapshot(), live.position()) {
            self.config.start = position.into();
        }
        Ok(Box::new(live))
    }

    async fn catch_up(&mut self, live: Box<LiveSource>) -> Result<FeedState, SourceError> {
        self.progress.reader.set_reader(ReaderState::Own);
        let (sender, batches) = mpsc::channel(MAX_READ_AHEAD_BATCHES);
        let reads_from = live.position();
        let at = reads_from.clone().filter(|_| !live.in_snapshot());
        if !self.pass_on(FeedSegment { at, reads_from, ..FeedSegment::new(batches) }).await {
            return Ok(FeedState::Ended);
        }
        let mut reader = CatchUpReader::new(self, live, sender);
        let state = reader.read().await;
        let skipped = reader.into_skipped();
        add_skipped(&mut self.skipped, skipped);
        state
    }

    /// Lets the shared reader send to the dispatcher until the subscription ends, or the plugin is not to be read for.
    async fn follow_subscription(
        &mut self,
        subscription: Subscription,
        read_to: Option<Timestamp>,
    ) -> FeedState {
        let Subscription { at, batches, end, .. } = subscription;
        self.progress.reader.set_reader(ReaderState::Shared);
        // After catching up, the plugin's own reader has read further.
        let at = at.filter(|_| read_to.is_none());
        let since = Instant::now();
        let segment = FeedSegment { batches, at: at.clone(), reads_from: at, read_to, ended: end.token() };
        if !self.pass_on(segment).await {
            return FeedState::Ended;
        }
        tokio::select! {
            biased;
            interruption = self.interrupted() => if let Interruption::Ended = interruption {
                return FeedState::Ended;
            },
            () = end.ended() => {}
        }
        let is_further =
            |at: Option<Timestamp>| read_to.is_none_or(|read_to| at.is_none_or(|at| at > read_to));
        if let Some(sent) = end.end().filter(|sent| is_further(sent.timestamp())) {
            self.config.start = sent.into();
        }
        if since.elapsed() > MAX_CATCH_UP_TIME {
            self.catch_up_time = MIN_CATCH_UP_TIME;
        }
        self.subscribe_after = Instant::now() + self.catch_up_time;
        self.catch_up_time = (self.catch_up_time * 2).min(MAX_CATCH_UP_TIME);
        FeedState::Idle
    }

    /// Passes on a segment to the dispatcher. Returns whether the dispatcher takes it.
    async fn pass_on(&self, segment: FeedSegment) -> bool {
        tokio::select! {
            biased;
            sent = self.segments.send(segment) => sent.is_ok(),
            () = self.shutdown.cancelled() => false,
        }
    }

    /// Waits until the plugin must not be read for in the same way any more. If another version selects other ops, these are read from
    /// then on.
    pub(super) async fn interrupted(&mut self) -> Interruption {
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Interruption::Ended,
            () = self.segments.closed() => Interruption::Ended,
            () = self.progress.pause.until_paused() => Interruption::Paused,
            () = other_selection(&mut self.versions, &mut self.config.selection) => Interruption::Reselected,
        }
    }
}

/// Waits until a version of the plugin is current that selects other ops, and sets `selection` to these.
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
