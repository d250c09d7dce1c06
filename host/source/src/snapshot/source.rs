//! Takes a snapshot: plans or resumes it, and returns what the readers read.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bson::RawDocument;
use bytes::Bytes;
use gtm_oplog::{Op, Selection, Timestamp};
use gtm_text::sanitize::counted;
use mongodb::Client;
use parking_lot::Mutex;
use tokio::sync::mpsc::{self, Receiver};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::error::SnapshotError;
use super::id::Id;
use super::plan::{begin, resume};
use super::progress::SnapshotProgress;
use super::reader::{CollectionEvent, CollectionReader, Job};
use super::state::{Range, RangeEnd, RangePlace, SnapshotState};
use super::stored::{ProgressWriter, SnapshotStage, StoredProgress};
use crate::batch::{Ack, SourceBatch};
use crate::error::SourceError;
use crate::position::Position;
use crate::source::{Source, SourceEnd};

/// The default number of readers. Each keeps a connection and a thread of the server busy.
const DEFAULT_READERS: usize = 4;

/// How to take a snapshot.
#[derive(Clone, Debug)]
pub struct SnapshotOptions {
    /// The number of ranges that are read in parallel, at least 1. The client needs a connection for each.
    pub parallel: usize,
    /// Where progress is stored. None: after a crash, everything is read again.
    pub progress: Option<StoredProgress>,
}

impl Default for SnapshotOptions {
    fn default() -> Self {
        Self { parallel: DEFAULT_READERS, progress: None }
    }
}

/// A source of the documents that exist, each as an insert.
///
/// The document key is `{_id}`. It lacks the shard key of a sharded collection, which only the configuration of the cluster
/// contains. A document of a view may have no `_id`, and then has no document key.
///
/// Besides the ops that were returned, it holds at most two replies per reader in memory, of at most 16 MB each. It stops reading
/// when it is dropped.
#[derive(Debug)]
pub struct Snapshot {
    state: SnapshotState,
    writer: Option<ProgressWriter>,
    events: Receiver<CollectionEvent>,
    /// The readers end when the snapshot is dropped.
    _readers: JoinSet<()>,
    returned: Option<ReturnedBatch>,
    progress: SnapshotProgress,
    started: Instant,
}

/// A batch that was returned, and may not be done yet.
#[derive(Debug)]
struct ReturnedBatch {
    place: RangePlace,
    documents: u64,
    /// `{_id}` of the last document.
    last: Option<Bytes>,
    acked: oneshot::Receiver<()>,
}

impl Snapshot {
    /// Returns the stage of the snapshot of what `selection` wants. Call it before the stream is opened: an unfinished snapshot
    /// determines the start of the stream.
    ///
    /// # Errors
    /// The progress cannot be read, or is of another deployment or selection.
    pub async fn stage(
        progress: &StoredProgress,
        selection: &Selection,
    ) -> Result<SnapshotStage, SnapshotError> {
        Ok(match progress.read(&selection.digest()).await? {
            None => SnapshotStage::None,
            Some(state) if state.complete => SnapshotStage::Complete(state.at.into()),
            Some(state) => SnapshotStage::Unfinished(state.at.into()),
        })
    }

    /// Finds the collections in which `selection` wants inserts, splits the large ones into ranges, and starts to read. `at` is
    /// the start of the stream, and the time of all ops; a snapshot that resumes keeps its own. Waits for a server that does not
    /// answer, without a limit.
    ///
    /// # Errors
    /// The databases cannot be listed, or the progress cannot be read or stored. See [`SnapshotError`].
    pub async fn plan(
        client: &Client,
        selection: &mut Selection,
        at: Timestamp,
        options: SnapshotOptions,
    ) -> Result<Self, SnapshotError> {
        let SnapshotOptions { parallel, progress: stored } = options;
        let parallel = parallel.max(1);
        let digest = selection.digest();
        let before = match &stored {
            Some(stored) => stored.read(&digest).await?,
            None => None,
        };
        let state = match before {
            Some(state) if state.complete => state,
            Some(state) => resume(state, client, selection).await?,
            None => {
                let deployment = stored.as_ref().map(|stored| stored.deployment.clone()).unwrap_or_default();
                begin(SnapshotState::new(deployment, digest, at), client, selection, parallel).await?
            }
        };
        let jobs: VecDeque<_> = state
            .collections
            .iter()
            .enumerate()
            .flat_map(|(index, collection)| Job::of(index, collection))
            .collect();
        let (sender, events) = mpsc::channel(parallel);
        let reader = CollectionReader {
            client: client.clone(),
            at: state.at.into(),
            jobs: Arc::new(Mutex::new(jobs)),
            events: sender,
        };
        let mut readers = JoinSet::new();
        for _ in 0..parallel {
            readers.spawn(reader.clone().run());
        }
        let progress = SnapshotProgress::default();
        let writer = stored.map(|stored| ProgressWriter::new(stored.store));
        let started = Instant::now();
        let mut snapshot =
            Self { state, writer, events, _readers: readers, returned: None, progress, started };
        snapshot.progress = snapshot.initial_progress();
        snapshot.save().await?;
        Ok(snapshot)
    }

    /// Returns the start of the stream, which is the time of all ops.
    pub fn at(&self) -> Timestamp {
        self.state.at.into()
    }

    /// Returns the next ops: in the order of `_id` within a range, and in no order across ranges. None: everything was read.
    ///
    /// Waits until the batch before is acknowledged, whose ops are then not read again after a crash. If its ack is dropped, no
    /// further progress is stored, so that a later snapshot reads its ops again. The future can be dropped: nothing is lost.
    ///
    /// # Errors
    /// The progress cannot be stored, or a reader has a defect.
    pub async fn next(&mut self) -> Result<Option<SourceBatch>, SnapshotError> {
        self.wait_for_ack().await;
        loop {
            if let Some(writer) = &mut self.writer {
                writer.save_if_due(&self.state).await?;
            }
            match self.events.recv().await {
                Some(CollectionEvent::Ops(place, ops)) => return Ok(Some(self.batch(place, ops))),
                Some(CollectionEvent::End(place, ended)) => self.end(place, ended),
                Some(CollectionEvent::Refused(place, reason)) => self.refused(place, &reason),
                None if self.state.has_ended() => {
                    self.complete().await?;
                    return Ok(None);
                }
                None => return Err(SnapshotError::Defect),
            }
        }
    }

    /// Waits until the last batch is acknowledged or its ack is dropped. The progress is in the store when this returns.
    ///
    /// # Errors
    /// The progress cannot be stored.
    pub async fn settle(&mut self) -> Result<(), SnapshotError> {
        self.wait_for_ack().await;
        self.save().await
    }

    /// Returns the progress.
    pub fn progress(&self) -> SnapshotProgress {
        SnapshotProgress { elapsed: self.started.elapsed(), ..self.progress }
    }

    fn batch(&mut self, place: RangePlace, ops: Vec<Op>) -> SourceBatch {
        let documents = u64::try_from(ops.len()).unwrap_or(u64::MAX);
        self.progress.documents += documents;
        let bytes: usize = ops.iter().filter_map(|op| op.full_document.as_ref()).map(Bytes::len).sum();
        self.progress.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
        let last = ops.last().and_then(|op| op.document_key.clone());
        let (ack, acked) = Ack::awaited();
        self.returned = Some(ReturnedBatch { place, documents, last, acked });
        SourceBatch { ops, bytes, ack, ..SourceBatch::default() }
    }

    /// Waits until the ack of the returned batch is used or dropped, and records it.
    async fn wait_for_ack(&mut self) {
        let Some(returned) = &mut self.returned else { return };
        let acked = (&mut returned.acked).await;
        if acked.is_ok() {
            self.done();
        } else {
            // Progress beyond these ops would count them as done.
            (self.returned, self.writer) = (None, None);
        }
    }

    fn done(&mut self) {
        let Some(ReturnedBatch { place, documents, last, .. }) = self.returned.take() else { return };
        let Some(collection) = self.state.collections.get_mut(place.collection) else { return };
        let view = collection.view;
        let Some(range) = collection.ranges.get_mut(place.range) else { return };
        range.documents += documents;
        let last = last.filter(|_| !view).and_then(|last| Id::new(RawDocument::from_bytes(&last).ok()?));
        // If this one cannot be stored, the one before it stays: some documents would be read again.
        range.last = last.or(range.last.take());
        self.changed();
    }

    fn end(&mut self, place: RangePlace, ended: RangeEnd) {
        let Some(collection) = self.state.collections.get_mut(place.collection) else { return };
        let Some(range) = collection.ranges.get_mut(place.range) else { return };
        range.ended = Some(ended);
        if let Some(ended) = collection.ended() {
            self.progress.ended += 1;
            match ended {
                RangeEnd::Read => {}
                RangeEnd::Gone => {
                    self.progress.gone += 1;
                    tracing::warn!(
                        event = "snapshot.cut", namespace = %collection.namespace(),
                        "the collection was dropped or renamed while it was read; the rest of it is not in the snapshot"
                    );
                }
                RangeEnd::Refused => self.progress.refused += 1,
            }
        }
        self.changed();
    }

    fn refused(&mut self, place: RangePlace, reason: &str) {
        let collection = self.state.collections.get(place.collection);
        let refused = |range: &Range| range.ended == Some(RangeEnd::Refused);
        if let Some(collection) = collection.filter(|collection| !collection.ranges.iter().any(refused)) {
            let namespace = collection.namespace();
            tracing::warn!(
                event = "snapshot.leave_out", %namespace, error = reason,
                "the rest of the collection cannot be read; it is not in the snapshot"
            );
        }
        self.end(place, RangeEnd::Refused);
    }

    async fn complete(&mut self) -> Result<(), SnapshotError> {
        if !std::mem::replace(&mut self.state.complete, true) {
            self.changed();
        }
        self.save().await
    }

    fn changed(&mut self) {
        if let Some(writer) = &mut self.writer {
            writer.change();
        }
    }

    async fn save(&mut self) -> Result<(), SnapshotError> {
        match &mut self.writer {
            Some(writer) => writer.save(&self.state).await,
            None => Ok(()),
        }
    }

    /// Returns the progress of the state when the snapshot is planned.
    fn initial_progress(&self) -> SnapshotProgress {
        let SnapshotState { collections, unlisted, .. } = &self.state;
        let ranges = collections.iter().flat_map(|collection| &collection.ranges);
        let documents = ranges.map(|range| range.documents).sum();
        let ended = |ended| collections.iter().filter(|one| one.ended() == Some(ended)).count();
        let (read, gone, refused) = (ended(RangeEnd::Read), ended(RangeEnd::Gone), ended(RangeEnd::Refused));
        SnapshotProgress {
            documents,
            earlier: documents,
            estimated: collections.iter().map(|collection| collection.estimated).sum(),
            collections: collections.len(),
            ended: read + gone + refused,
            gone,
            refused: refused + unlisted.len(),
            ..SnapshotProgress::default()
        }
    }
}

#[async_trait]
impl Source for Snapshot {
    fn describe(&self) -> String {
        format!("the snapshot of {}", counted(self.state.collections.len() as u64, "collection"))
    }

    async fn next(&mut self) -> Result<Option<SourceBatch>, SourceError> {
        Ok(Self::next(self).await?)
    }

    /// A snapshot stores its own progress.
    fn position(&self) -> Option<Position> {
        None
    }

    async fn settle(&mut self) -> Result<(), SourceError> {
        Ok(Self::settle(self).await?)
    }

    fn end(self: Box<Self>) -> SourceEnd {
        SourceEnd::default()
    }
}
