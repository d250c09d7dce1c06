//! The shared reader: reads what its subscribers want, and sends each batch straight to their dispatchers.
//!
//! It waits a moment for a subscriber that does not keep up, and without end if all others wait as well and no plugin asks to subscribe. A
//! subscriber for which it waited in vain loses its subscription, and reads by itself until it has caught up.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gtm_oplog::{Selection, Skipped, Timestamp, add_skipped};
use gtm_source::{HistoryLost, LiveSource, Position, SourceBatch, SourceConfig, SourceError, StartAt};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::routes::Routes;
use super::subscription::{Subscriber, Subscription};
use crate::batch::PluginBatch;

/// How long subscribers that keep up wait for one that does not.
const SLOW_SUBSCRIBER_TIMEOUT: Duration = Duration::from_millis(500);

/// The maximum number of requests to subscribe that wait for the shared reader.
const MAX_QUEUED_REQUESTS: usize = 16;

/// A plugin's request to subscribe.
struct SubscribeRequest {
    plugin: Arc<str>,
    selection: Selection,
    /// The start for the first subscriber, which opens the source.
    start: StartAt,
    answer: oneshot::Sender<Result<Subscription, SourceError>>,
}

/// Subscribes plugins to the shared reader.
#[derive(Clone)]
pub(crate) struct SharedReaderHandle {
    requests: mpsc::Sender<SubscribeRequest>,
    /// The oplog time up to which it has read: seconds and increment. 0: it does not read, or reads a change stream.
    position: Arc<AtomicU64>,
}

impl SharedReaderHandle {
    /// Subscribes a plugin. The first subscriber opens the source at `start`. None: the shared reader is stopping, or reads a
    /// change stream elsewhere.
    ///
    /// # Errors
    /// The source cannot be read from `start`.
    pub(super) async fn subscribe(
        &self,
        plugin: &Arc<str>,
        selection: &Selection,
        start: StartAt,
    ) -> Result<Option<Subscription>, SourceError> {
        let (answer, subscribed) = oneshot::channel();
        let request =
            SubscribeRequest { plugin: Arc::clone(plugin), selection: selection.clone(), start, answer };
        if self.requests.send(request).await.is_err() {
            return Ok(None);
        }
        subscribed.await.ok().transpose()
    }

    /// Returns the time up to which it has read the oplog. None: it does not read, or reads a change stream.
    pub(super) fn position(&self) -> Option<Timestamp> {
        let position = self.position.load(Ordering::Relaxed);
        let (time, increment) = (u32::try_from(position >> 32).ok()?, position & u64::from(u32::MAX));
        (position != 0).then_some(Timestamp { time, increment: u32::try_from(increment).ok()? })
    }
}

/// The reader that all plugins share which keep up.
pub(crate) struct SharedReader {
    /// The source, and how it is read.
    config: SourceConfig,
    requests: mpsc::Receiver<SubscribeRequest>,
    /// A request that waits until the ops that were read are sent.
    next_request: Option<SubscribeRequest>,
    position: Arc<AtomicU64>,
    live: Option<LiveSource>,
    /// Where `live` was opened, until it has read something.
    opened_at: Option<StartAt>,
    /// Whether the last batch was the newest that the server had.
    is_at_end: bool,
    subscribers: Vec<Subscriber>,
    routes: Routes,
    /// The entries that earlier readers skipped.
    skipped: Skipped,
}

/// Returns the next batch. None: nothing is read.
async fn next_batch(live: &mut Option<LiveSource>) -> Option<Result<SourceBatch, SourceError>> {
    match live {
        Some(live) => Some(live.next().await),
        None => None,
    }
}

impl SharedReader {
    /// Makes the reader of a source. It ignores the start and the selection in `config`.
    pub(crate) fn new(mut config: SourceConfig) -> (Self, SharedReaderHandle) {
        // Each plugin decides for itself what to do when history is lost.
        (config.history_lost, config.snapshot, config.progress) = (HistoryLost::Stop, false, None);
        let (sender, requests) = mpsc::channel(MAX_QUEUED_REQUESTS);
        let position = Arc::new(AtomicU64::new(0));
        let handle = SharedReaderHandle { requests: sender, position: Arc::clone(&position) };
        let reader = Self {
            config,
            requests,
            next_request: None,
            position,
            live: None,
            opened_at: None,
            is_at_end: false,
            subscribers: Vec::new(),
            routes: Routes::default(),
            skipped: Skipped::new(),
        };
        (reader, handle)
    }

    /// Reads until `shutdown` is cancelled. Returns how much was skipped.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> Skipped {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.read() => {}
        }
        self.close();
        self.skipped
    }

    async fn read(&mut self) {
        loop {
            self.remove_ended().await;
            // A subscription begins at the reader's position, so all ops that were read are sent before.
            let may_subscribe = self.live.as_ref().is_none_or(|live| live.left() == 0);
            if may_subscribe && let Some(request) = self.next_request.take() {
                self.subscribe(request).await;
                continue;
            }
            let batch = tokio::select! {
                biased;
                request = self.requests.recv(), if may_subscribe => match request {
                    Some(request) => {
                        self.next_request = Some(request);
                        continue;
                    }
                    // No plugins are left.
                    None => return,
                },
                Some(batch) = next_batch(&mut self.live) => batch,
            };
            match batch {
                Ok(batch) => {
                    self.set_position(batch.position.as_ref());
                    self.send(batch).await;
                }
                Err(error) => self.fail(&error),
            }
        }
    }

    /// Ends all subscriptions: each plugin then meets the error with its own reader, and follows its own settings.
    fn fail(&mut self, error: &SourceError) {
        tracing::debug!(event = "reader.end", %error, "the shared reader has ended");
        self.subscribers.clear();
        self.routes.forget();
        self.close();
    }

    async fn subscribe(&mut self, request: SubscribeRequest) {
        let SubscribeRequest { plugin, selection, start, answer } = request;
        let opened = match &self.live {
            Some(_) => Ok(()),
            None => {
                self.opened_at = Some(start.clone());
                self.is_at_end = false;
                let selection = selection.clone();
                let config = SourceConfig { start: start.clone(), selection, ..self.config.clone() };
                LiveSource::open(config).await.map(|live| self.live = Some(live))
            }
        };
        if let Err(error) = opened {
            let _ = answer.send(Err(error));
            return;
        }
        // "Now" is where the reader is only if it has read everything.
        let is_now = start == StartAt::Now && self.is_at_end;
        let is_at_start = is_now || self.opened_at.as_ref() == Some(&start);
        let at = self.live.as_ref().and_then(LiveSource::position);
        // Positions of a change stream cannot be compared: a plugin that is elsewhere cannot wait here, and each selection more opens the
        // stream again. Without an answer, the plugin continues with a reader of its own.
        let is_comparable = at.as_ref().is_none_or(|at| at.timestamp().is_some());
        let is_here = is_at_start || at.clone().map(StartAt::from).as_ref() == Some(&start);
        if !is_comparable && !is_here {
            return;
        }
        let is_first = self.subscribers.is_empty();
        let (subscriber, batches, end) = Subscriber::new(plugin, selection);
        self.subscribers.push(subscriber);
        self.routes.forget();
        if !is_first {
            self.reselect().await;
        }
        let at = self.live.as_ref().and_then(LiveSource::position);
        self.set_position(at.as_ref());
        // If the plugin does not wait any more, the subscription is dropped and so ends.
        let _ = answer.send(Ok(Subscription { at, is_at_start, batches, end }));
    }

    /// Removes subscribers whose subscription has ended, and stops reading if none is left.
    async fn remove_ended(&mut self) {
        let before = self.subscribers.len();
        self.subscribers.retain(|subscriber| !subscriber.is_ended());
        if self.subscribers.len() < before {
            self.routes.forget();
        }
        if self.subscribers.is_empty() {
            self.close();
            self.position.store(0, Ordering::Relaxed);
        } else if self.subscribers.len() < before && self.live.as_ref().is_some_and(|live| live.left() == 0) {
            self.reselect().await;
        }
    }

    fn close(&mut self) {
        if let Some(live) = self.live.take() {
            add_skipped(&mut self.skipped, live.into_skipped());
        }
    }

    /// Reads what all subscribers want, from now on.
    async fn reselect(&mut self) {
        let mut all = Selection::default();
        self.subscribers.iter().for_each(|subscriber| all.add_all(&subscriber.selection));
        let Some(live) = &mut self.live else { return };
        if let Err(error) = live.reselect(all).await {
            self.fail(&error);
        }
    }

    fn set_position(&self, position: Option<&Position>) {
        if let Some(Timestamp { time, increment }) = position.and_then(Position::timestamp) {
            self.position.store(u64::from(time) << 32 | u64::from(increment), Ordering::Relaxed);
        }
    }

    /// Sends each subscriber its ops of a batch: those that have room first. The batch's ack is dropped: only a snapshot waits for it,
    /// and the shared reader takes none.
    async fn send(&mut self, batch: SourceBatch) {
        let SourceBatch { ops, position, bytes, is_at_end, ack: _ } = batch;
        // Opened at "now", it is there until the first op comes.
        self.opened_at = self.opened_at.take().filter(|at| *at == StartAt::Now && ops.is_empty());
        self.is_at_end = is_at_end;
        for op in ops {
            self.routes.route(op, &mut self.subscribers);
        }
        let newest = self.config.health.newest();
        let now = Instant::now();
        // The number of subscribers that have not received their batch.
        let mut behind = 0;
        let mut slow = Vec::new();
        for (index, subscriber) in self.subscribers.iter_mut().enumerate() {
            let position = position.clone();
            let batch = PluginBatch { position, bytes, is_at_end, newest, ..PluginBatch::default() };
            let Some(batch) = subscriber.take_batch(batch, now) else { continue };
            match subscriber.try_send(batch) {
                Ok(()) => {}
                // A later batch has a later position.
                Err(TrySendError::Full(batch)) if batch.ops.is_empty() => {}
                Err(TrySendError::Full(batch)) => {
                    behind += 1;
                    slow.push((index, batch));
                }
                Err(TrySendError::Closed(_)) => {
                    behind += 1;
                    subscriber.end();
                }
            }
        }
        for (index, batch) in slow {
            let Some(subscriber) = self.subscribers.get(index) else { continue };
            let mut sent = pin!(subscriber.send(batch));
            let mut is_sent = None;
            let mut timeout_at = now + SLOW_SUBSCRIBER_TIMEOUT;
            if behind == self.subscribers.len() && self.next_request.is_none() {
                // No plugin waits for this one until another asks to subscribe.
                tokio::select! {
                    biased;
                    result = &mut sent => is_sent = Some(result),
                    Some(request) = self.requests.recv() => {
                        self.next_request = Some(request);
                        timeout_at = Instant::now() + SLOW_SUBSCRIBER_TIMEOUT;
                    }
                }
            }
            let is_sent = match is_sent {
                Some(is_sent) => is_sent,
                None => tokio::time::timeout_at(timeout_at, sent).await.unwrap_or_else(|_| {
                    tracing::info!(
                        event = "reader.leave",
                        plugin = &*subscriber.plugin,
                        "the plugin does not keep up with the others; it continues with a reader of its own"
                    );
                    false
                }),
            };
            if is_sent {
                behind -= 1;
            } else {
                subscriber.end();
            }
        }
    }
}
