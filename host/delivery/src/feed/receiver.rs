//! The dispatcher's end of a plugin's feed.

use gtm_oplog::Timestamp;
use gtm_source::Position;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::beginning::Beginning;
use crate::batch::PluginBatch;
use crate::plugin_delivery::OwnsOp;

/// The maximum number of batches that a reader for one plugin reads ahead. A batch holds up to 16 MB of entries, and twice that of
/// documents that were looked up, so it is one.
pub(crate) const MAX_READ_AHEAD_BATCHES: usize = 1;

/// The maximum number of segments that wait behind the one that is drained.
const MAX_QUEUED_SEGMENTS: usize = 1;

/// The batches of one reader, until another continues.
#[derive(Debug)]
pub(crate) struct FeedSegment {
    pub(crate) batches: mpsc::Receiver<PluginBatch>,
    /// The position after which the batches begin. None: not known, or no position to begin at, as during a snapshot.
    pub(super) at: Option<Position>,
    /// The position from which the reader reads, as it is logged.
    pub(super) reads_from: Option<Position>,
    /// The time up to which the reader before this one has read: ops up to it came already.
    pub(super) read_to: Option<Timestamp>,
    /// Nothing more is sent once this is cancelled, although the reader may not have dropped its sender yet.
    pub(super) ended: CancellationToken,
}

impl FeedSegment {
    /// Returns a segment of these batches, whose beginning is not known.
    pub(crate) fn new(batches: mpsc::Receiver<PluginBatch>) -> Self {
        Self { batches, at: None, reads_from: None, read_to: None, ended: CancellationToken::new() }
    }

    /// Waits for the next batch. Returns none after the last one.
    async fn next(&mut self) -> Option<PluginBatch> {
        tokio::select! {
            biased;
            batch = self.batches.recv() => batch,
            () = self.ended.cancelled() => self.batches.try_recv().ok(),
        }
    }
}

/// Receives the batches of a plugin from one reader after another.
pub(crate) struct FeedReceiver {
    segments: mpsc::Receiver<FeedSegment>,
    /// The segment that is drained.
    segment: Option<FeedSegment>,
    /// Returns which ops belong to this worker. None: all do.
    owns: Option<OwnsOp>,
    /// Stores and logs where the plugin begins. None: neither is done.
    beginning: Option<Beginning>,
}

impl FeedReceiver {
    /// Makes a receiver, and the sender of its segments.
    pub(crate) fn new(
        owns: Option<OwnsOp>,
        beginning: Option<Beginning>,
    ) -> (mpsc::Sender<FeedSegment>, Self) {
        let (sender, segments) = mpsc::channel(MAX_QUEUED_SEGMENTS);
        (sender, Self { segments, segment: None, owns, beginning })
    }

    /// Makes a receiver of one segment.
    pub(crate) fn of_segment(segment: FeedSegment) -> Self {
        // No other segment follows.
        let (_, segments) = mpsc::channel(MAX_QUEUED_SEGMENTS);
        Self { segments, segment: Some(segment), owns: None, beginning: None }
    }

    /// Waits for the next batch. Returns none after the last one.
    pub(crate) async fn next(&mut self) -> Option<PluginBatch> {
        loop {
            let Some(segment) = &mut self.segment else {
                let segment = self.segments.recv().await?;
                if let Some(beginning) = &mut self.beginning {
                    beginning.segment_begins(segment.at.as_ref(), segment.reads_from.as_ref()).await;
                }
                self.segment = Some(segment);
                continue;
            };
            let Some(mut batch) = segment.next().await else {
                self.segment = None;
                continue;
            };
            if let Some(read_to) = segment.read_to {
                batch.ops.retain(|op| op.timestamp > read_to);
                batch.position.take_if(|position| position.timestamp().is_some_and(|at| at < read_to));
            }
            batch.position.take_if(|position| position.is_before_all());
            if let Some(owns) = &self.owns {
                batch.ops.retain(|op| owns(op));
            }
            if let Some(beginning) = &mut self.beginning {
                beginning.batch_received(&batch).await;
            }
            return Some(batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::testing::op;

    fn timestamp(time: u32) -> Timestamp {
        Timestamp { time, increment: 0 }
    }

    /// A batch of the ops at these times.
    fn batch(times: &[u32]) -> PluginBatch {
        let position = times.last().map(|time| Position::Oplog(timestamp(*time)));
        let ops = times.iter().map(|time| Arc::new(op(*time))).collect();
        PluginBatch { ops, position, ..PluginBatch::default() }
    }

    async fn received(receiver: &mut FeedReceiver) -> Option<(Vec<u32>, Option<Timestamp>)> {
        let batch = receiver.next().await?;
        let times = batch.ops.iter().map(|op| op.timestamp.time).collect();
        Some((times, batch.position.as_ref().and_then(Position::timestamp)))
    }

    #[tokio::test]
    async fn a_segment_is_drained_before_the_next_and_ops_that_came_already_are_left_out() {
        let (segments, mut receiver) = FeedReceiver::new(None, None);
        let (own, own_batches) = mpsc::channel(2);
        let (shared, shared_batches) = mpsc::channel(4);
        segments.send(FeedSegment::new(own_batches)).await.unwrap();
        // The shared reader is behind the plugin's own at first.
        for times in [&[1, 2][..], &[3], &[4]] {
            shared.send(batch(times)).await.unwrap();
        }
        own.send(batch(&[1, 2])).await.unwrap();
        assert_eq!(received(&mut receiver).await, Some((vec![1, 2], Some(timestamp(2)))));
        own.send(batch(&[3])).await.unwrap();
        drop(own);
        let segment = FeedSegment { read_to: Some(timestamp(3)), ..FeedSegment::new(shared_batches) };
        segments.send(segment).await.unwrap();
        drop((segments, shared));
        assert_eq!(received(&mut receiver).await, Some((vec![3], Some(timestamp(3)))));
        assert_eq!(received(&mut receiver).await, Some((vec![], None)), "the position does not go back");
        assert_eq!(received(&mut receiver).await, Some((vec![], Some(timestamp(3)))));
        assert_eq!(received(&mut receiver).await, Some((vec![4], Some(timestamp(4)))));
        assert_eq!(received(&mut receiver).await, None);
    }

    #[tokio::test]
    async fn a_segment_whose_reader_is_busy_ends_when_nothing_more_is_sent() {
        let (segments, mut receiver) = FeedReceiver::new(None, None);
        let (shared, shared_batches) = mpsc::channel(1);
        let segment = FeedSegment::new(shared_batches);
        let ended = segment.ended.clone();
        segments.send(segment).await.unwrap();
        shared.send(batch(&[1])).await.unwrap();
        ended.cancel();
        let (own, own_batches) = mpsc::channel(1);
        own.send(batch(&[2])).await.unwrap();
        let first = received(&mut receiver).await;
        assert_eq!(first, Some((vec![1], Some(timestamp(1)))), "a batch that was sent before is received");
        segments.send(FeedSegment::new(own_batches)).await.unwrap();
        let second = received(&mut receiver).await;
        assert_eq!(
            second,
            Some((vec![2], Some(timestamp(2)))),
            "although the shared reader holds its sender"
        );
        drop(shared);
    }

    #[tokio::test]
    async fn ops_of_other_workers_are_left_out() {
        let owns: OwnsOp = Arc::new(|op| op.timestamp.time % 2 == 0);
        let (segments, mut receiver) = FeedReceiver::new(Some(owns), None);
        let (sender, batches) = mpsc::channel(1);
        segments.send(FeedSegment::new(batches)).await.unwrap();
        sender.send(batch(&[1, 2, 3])).await.unwrap();
        assert_eq!(received(&mut receiver).await, Some((vec![2], Some(timestamp(3)))));
    }
}
