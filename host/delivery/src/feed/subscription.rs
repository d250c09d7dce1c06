//! A plugin's subscription to the shared reader, which either of the two may end.

use std::sync::Arc;
use std::time::Duration;

use gtm_oplog::{Op, Selection};
use gtm_source::Position;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::routes::Routed;
use crate::batch::PluginBatch;

/// The maximum number of batches that a subscriber may be behind the shared reader. It is enough for a short pause, such as that of a
/// swap, and several subscribers share the memory of a batch.
const MAX_QUEUED_BATCHES: usize = 4;

/// The minimum interval between batches that have no ops and only bring a position.
const POSITION_UPDATE_INTERVAL: Duration = Duration::from_millis(10);

/// A subscription as the plugin's feed has it.
pub(super) struct Subscription {
    /// The position after which the batches begin. None: a change stream that has no position yet.
    pub(super) at: Option<Position>,
    /// Whether the batches begin at the start that was asked for.
    pub(super) is_at_start: bool,
    pub(super) batches: mpsc::Receiver<PluginBatch>,
    pub(super) end: SubscriptionEnd,
}

/// One of the two ends of a subscription. Dropping either ends the subscription.
pub(super) struct SubscriptionEnd(Arc<SubscriptionLink>);

/// What the ends of a subscription share.
struct SubscriptionLink {
    /// The position up to which batches were sent. None: none was sent.
    sent: Mutex<Option<Position>>,
    ended: CancellationToken,
}

impl SubscriptionEnd {
    fn pair() -> (Self, Self) {
        let link = Arc::new(SubscriptionLink { sent: Mutex::default(), ended: CancellationToken::new() });
        (Self(Arc::clone(&link)), Self(link))
    }

    /// Ends the subscription, and returns the position up to which batches were sent. No batch is sent after this returns. None: none
    /// was sent.
    pub(super) fn end(&self) -> Option<Position> {
        let sent = self.0.sent.lock();
        self.0.ended.cancel();
        sent.clone()
    }

    /// Waits until the subscription has ended.
    pub(super) async fn ended(&self) {
        self.0.ended.cancelled().await;
    }

    /// Returns a token that is cancelled when the subscription ends.
    pub(super) fn token(&self) -> CancellationToken {
        self.0.ended.clone()
    }

    /// Returns whether the subscription has ended.
    pub(super) fn is_ended(&self) -> bool {
        self.0.ended.is_cancelled()
    }

    /// Sends a batch by `send`, and records how far was sent, unless the subscription has ended.
    fn send(
        &self,
        batch: PluginBatch,
        send: impl FnOnce(PluginBatch) -> Result<(), TrySendError<PluginBatch>>,
    ) -> Result<(), TrySendError<PluginBatch>> {
        let mut sent = self.0.sent.lock();
        if self.is_ended() {
            return Err(TrySendError::Closed(batch));
        }
        let end = batch.end();
        send(batch)?;
        if end.is_some() {
            *sent = end;
        }
        Ok(())
    }
}

impl Drop for SubscriptionEnd {
    fn drop(&mut self) {
        self.0.ended.cancel();
    }
}

/// A subscription as the shared reader has it.
pub(super) struct Subscriber {
    pub(super) plugin: Arc<str>,
    pub(super) selection: Selection,
    /// The ops of the next batch.
    collected: Vec<Arc<Op>>,
    /// The time of the last batch.
    updated: Instant,
    batches: mpsc::Sender<PluginBatch>,
    end: SubscriptionEnd,
}

impl Routed for Subscriber {
    fn selection(&mut self) -> &mut Selection {
        &mut self.selection
    }

    fn collect(&mut self, op: Arc<Op>) {
        self.collected.push(op);
    }
}

impl Subscriber {
    /// Makes a subscription. The caller passes on the receiver and the end to the plugin.
    pub(super) fn new(
        plugin: Arc<str>,
        selection: Selection,
    ) -> (Self, mpsc::Receiver<PluginBatch>, SubscriptionEnd) {
        let (sender, batches) = mpsc::channel(MAX_QUEUED_BATCHES);
        let (own, end) = SubscriptionEnd::pair();
        let updated = Instant::now();
        let subscriber =
            Self { plugin, selection, collected: Vec::new(), updated, batches: sender, end: own };
        (subscriber, batches, end)
    }

    /// Returns whether the subscription has ended, or its plugin takes no more batches.
    pub(super) fn is_ended(&self) -> bool {
        self.end.is_ended() || self.batches.is_closed()
    }

    /// Ends the subscription.
    pub(super) fn end(&self) {
        self.end.end();
    }

    /// Returns `batch` with the collected ops. None: there are none, and the last batch was sent a moment ago.
    pub(super) fn take_batch(&mut self, batch: PluginBatch, now: Instant) -> Option<PluginBatch> {
        let ops = std::mem::take(&mut self.collected);
        if ops.is_empty() && now < self.updated + POSITION_UPDATE_INTERVAL {
            return None;
        }
        self.updated = now;
        let bytes = if ops.is_empty() { 0 } else { batch.bytes };
        Some(PluginBatch { ops, bytes, ..batch })
    }

    /// Sends a batch if there is room for it.
    ///
    /// # Errors
    /// There is none, or the subscription has ended.
    pub(super) fn try_send(&self, batch: PluginBatch) -> Result<(), TrySendError<PluginBatch>> {
        self.end.send(batch, |batch| self.batches.try_send(batch))
    }

    /// Waits for room and sends a batch. Returns whether the subscription still exists.
    pub(super) async fn send(&self, batch: PluginBatch) -> bool {
        let permit = tokio::select! {
            biased;
            () = self.end.ended() => return false,
            permit = self.batches.reserve() => permit,
        };
        let Ok(permit) = permit else { return false };
        let sent = self.end.send(batch, |batch| {
            permit.send(batch);
            Ok(())
        });
        sent.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use gtm_oplog::Timestamp;

    use super::*;
    use crate::testing::op;

    fn batch(time: u32) -> PluginBatch {
        let position = Position::Oplog(Timestamp { time, increment: 0 });
        PluginBatch { position: Some(position), ..PluginBatch::default() }
    }

    fn subscribe() -> (Subscriber, mpsc::Receiver<PluginBatch>, SubscriptionEnd) {
        Subscriber::new("p".into(), Selection::everything())
    }

    #[tokio::test]
    async fn nothing_is_sent_after_the_end_which_says_how_far_was_sent() {
        let (subscriber, mut batches, end) = subscribe();
        let queued = u32::try_from(MAX_QUEUED_BATCHES).unwrap();
        for time in 1..=queued {
            subscriber.try_send(batch(time)).unwrap();
        }
        assert!(matches!(subscriber.try_send(batch(9)), Err(TrySendError::Full(_))));
        // A send that waits for room ends with the subscription.
        let (sent, through) = tokio::join!(subscriber.send(batch(9)), async { end.end() });
        assert_eq!((sent, through), (false, batch(queued).position));
        assert!(batches.recv().await.is_some());
        assert!(matches!(subscriber.try_send(batch(9)), Err(TrySendError::Closed(_))));
        assert!(!subscriber.send(batch(9)).await);
        drop(subscriber);
        let mut left = 0;
        while batches.recv().await.is_some() {
            left += 1;
        }
        assert_eq!(left, MAX_QUEUED_BATCHES - 1);
    }

    #[tokio::test]
    async fn either_end_ends_the_subscription_when_it_is_dropped() {
        let (subscriber, _batches, end) = subscribe();
        drop(subscriber);
        end.ended().await;
        let (subscriber, _batches, end) = subscribe();
        assert!(!subscriber.is_ended());
        drop(end);
        assert!(subscriber.is_ended());
        let (subscriber, batches, _end) = subscribe();
        drop(batches);
        assert!(subscriber.is_ended());
    }

    #[test]
    fn a_batch_without_a_position_was_sent_up_to_its_last_op() {
        let (subscriber, _batches, end) = subscribe();
        let ops = vec![Arc::new(op(1)), Arc::new(op(2))];
        let last = Position::after(&op(2));
        subscriber.try_send(PluginBatch { ops, ..PluginBatch::default() }).unwrap();
        assert!(last.is_some());
        assert_eq!(end.end(), last);
    }

    #[test]
    fn a_batch_without_ops_is_due_at_an_interval() {
        let (mut subscriber, ..) = subscribe();
        let now = subscriber.updated;
        assert!(subscriber.take_batch(batch(1), now).is_none());
        let later = now + POSITION_UPDATE_INTERVAL;
        assert!(subscriber.take_batch(batch(2), later).is_some());
        assert!(subscriber.take_batch(batch(3), later).is_none());
        subscriber.collect(Arc::new(op(4)));
        assert!(subscriber.take_batch(batch(4), later).is_some(), "with ops, immediately");
    }
}
