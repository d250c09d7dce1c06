//! A plugin's own reader, which exists only while the plugin catches up with the shared reader.

use std::sync::Arc;

use gtm_oplog::Skipped;
use gtm_source::{LiveSource, Position, SourceBatch, SourceError};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::plugin_feed::{FeedState, Interruption, PluginFeed};
use super::subscription::Subscription;
use crate::batch::PluginBatch;

/// How far a plugin may be behind the shared reader to subscribe to it, in seconds of oplog time.
const MAX_SECONDS_BEHIND: u32 = 2;

/// Reads for one plugin until it has caught up.
pub(super) struct CatchUpReader<'a> {
    feed: &'a mut PluginFeed,
    live: Box<LiveSource>,
    batches: mpsc::Sender<PluginBatch>,
    /// A subscription that the plugin continues with, once it has read as far.
    subscription: Option<Subscription>,
}

impl<'a> CatchUpReader<'a> {
    pub(super) fn new(
        feed: &'a mut PluginFeed,
        live: Box<LiveSource>,
        batches: mpsc::Sender<PluginBatch>,
    ) -> Self {
        Self { feed, live, batches, subscription: None }
    }

    /// Returns how much was skipped.
    pub(super) fn into_skipped(self) -> Skipped {
        self.live.into_skipped()
    }

    /// Reads until the plugin has caught up, or is not to be read for. Returns how the plugin is read for from then on.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub(super) async fn read(&mut self) -> Result<FeedState, SourceError> {
        loop {
            let batch = tokio::select! {
                biased;
                interruption = self.feed.interrupted() => {
                    self.live.settle().await?;
                    match interruption {
                        Interruption::Ended => return Ok(FeedState::Ended),
                        // It waited for a batch of a snapshot, which is done when the plugin was resumed.
                        Interruption::Paused if !self.feed.progress.pause.is_paused() => continue,
                        Interruption::Paused | Interruption::Reselected => return Ok(FeedState::Idle),
                    }
                }
                batch = self.live.next() => batch?,
            };
            let (position, is_at_end) = (batch.position.clone(), batch.is_at_end);
            if !self.send(batch).await {
                return Ok(FeedState::Ended);
            }
            if let Some(position) = position
                && let Some(subscribed) = self.catch_up(&position, is_at_end).await
            {
                return Ok(subscribed);
            }
        }
    }

    /// Sends a batch to the dispatcher. Returns whether the dispatcher takes it: otherwise it is read again the next time.
    async fn send(&mut self, batch: SourceBatch) -> bool {
        let SourceBatch { ops, position, bytes, is_at_end, ack } = batch;
        // Only a snapshot waits for its batches, as it is not read again; once it is complete, none is taken any more.
        self.feed.config.snapshot &= ack.is_awaited();
        let newest = self.feed.config.health.newest();
        let ops = ops.into_iter().map(Arc::new).collect();
        let batch = PluginBatch { ops, position, bytes, is_at_end, newest, ack };
        if let Some(end) = batch.end() {
            self.feed.config.start = end.into();
        }
        tokio::select! {
            biased;
            sent = self.batches.send(batch) => sent.is_ok(),
            () = self.feed.shutdown.cancelled() => false,
        }
    }

    /// Subscribes if the shared reader is close. Returns the subscription once the plugin has read up to where it begins.
    async fn catch_up(&mut self, position: &Position, is_at_end: bool) -> Option<FeedState> {
        if self.subscription.is_none()
            && Instant::now() >= self.feed.subscribe_after
            && self.is_close(position, is_at_end)
        {
            let PluginFeed { shared, plugin, config, shutdown, .. } = &*self.feed;
            self.subscription = tokio::select! {
                subscribed = shared.subscribe(plugin, &config.selection, position.clone().into()) => {
                    subscribed.unwrap_or_default()
                }
                () = shutdown.cancelled() => None,
            };
            // Without ops for the plugin, its own reader would take a while to come there.
            if let Some(Position::Oplog(time)) = self.subscription.as_ref().and_then(|one| one.at.as_ref()) {
                self.live.expect_entry(*time);
            }
        }
        let subscription = self.subscription.take().filter(|subscription| !subscription.end.is_ended())?;
        if has_reached(position, subscription.at.as_ref()) {
            tracing::debug!(
                event = "reader.join",
                plugin = &*self.feed.plugin,
                "caught up; joining the shared reader"
            );
            return Some(FeedState::Subscribed { subscription, read_to: position.timestamp() });
        }
        // Positions of a change stream cannot be compared. Another time they may be equal.
        self.subscription = position.timestamp().is_some().then_some(subscription);
        None
    }

    /// Returns whether the shared reader is less than a moment ahead or behind: a plugin that joined one far behind would get nothing
    /// until that has caught up. If that cannot be compared, the plugin has to be at the end.
    fn is_close(&self, position: &Position, is_at_end: bool) -> bool {
        match (self.feed.shared.position(), position.timestamp()) {
            (Some(shared), Some(own)) => {
                (is_at_end || own.time.saturating_add(MAX_SECONDS_BEHIND) >= shared.time)
                    && shared.time.saturating_add(MAX_SECONDS_BEHIND) >= own.time
            }
            _ => is_at_end,
        }
    }
}

/// Returns whether everything up to `at` was read, if everything up to `position` was.
fn has_reached(position: &Position, at: Option<&Position>) -> bool {
    match (position.timestamp(), at.and_then(Position::timestamp)) {
        (Some(position), Some(at)) => position >= at,
        _ => at == Some(position),
    }
}
