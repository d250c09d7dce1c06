//! Takes a snapshot: plans it, or goes on with one that was begun, and gives out what the readers read.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_trait::async_trait;
use bson::RawDocument;
use bytes::Bytes;
use gtm_oplog::{Op, Selection, Timestamp};
use gtm_text::sanitize::counted;
use mongodb::Client;
use tokio::sync::mpsc::{self, Receiver};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::error::SnapshotError;
use super::id::Id;
use super::plan::{begin, go_on};
use super::progress::SnapshotProgress;
use super::reader::{CollectionEvent, CollectionReader, Job};
use super::state::{Range, RangeEnd, RangePlace, SnapshotState};
use super::stored::{Keeper, KeptProgress, SnapshotStanding};
use crate::batch::{Ack, SourceBatch};
use crate::error::SourceError;
use crate::position::Position;
use crate::source::{Source, SourceEnd};

/// Readers at the same time, where nothing is said: each keeps a connection, and a thread of the server, busy.
const PARALLEL: usize = 4;

/// How a snapshot is taken.
#[derive(Clone, Debug)]
pub struct SnapshotOptions {
    /// How many ranges are read at the same time; 0 is taken as 1. The client needs a connection for each.
    pub parallel: usize,
    /// Where progress is kept. None: after a crash all is read again.
    pub kept: Option<KeptProgress>,
}

impl Default for SnapshotOptions {
    fn default() -> Self {
        Self { parallel: PARALLEL, kept: None }
    }
}

/// The documents that are there, each as an insert.
///
/// Their document key is `{_id}`; of a sharded collection the shard key is left out, as only the cluster's
/// configuration says what it is. A document of a view may have no `_id`, and then has no document key.
///
/// In memory are, beside the ops given out, two replies for each reader at most, of 16 MB each at most. Dropped,
/// it reads no more.
#[derive(Debug)]
pub struct Snapshot {
    state: SnapshotState,
    keeper: Option<Keeper>,
    events: Receiver<CollectionEvent>,
    /// Ended when the snapshot is dropped.
    _readers: JoinSet<()>,
    given: Option<Given>,
    progress: SnapshotProgress,
    started: Instant,
}

/// What was given out and is perhaps not done yet.
#[derive(Debug)]
struct Given {
    place: RangePlace,
    documents: u64,
    /// `{_id}` of the last document.
    last: Option<Bytes>,
    acked: oneshot::Receiver<()>,
}

impl Snapshot {
    /// What was kept of a snapshot of what `selection` wants. To be asked before the stream is opened, as an
    /// unfinished snapshot says where.
    ///
    /// # Errors
    /// It cannot be read or understood, or is of another deployment or selection.
    pub async fn standing(
        kept: &KeptProgress,
        selection: &Selection,
    ) -> Result<SnapshotStanding, SnapshotError> {
        Ok(match kept.read(&selection.digest()).await? {
            None => SnapshotStanding::None,
            Some(state) if state.complete => SnapshotStanding::Complete(state.at.into()),
            Some(state) => SnapshotStanding::Unfinished(state.at.into()),
        })
    }

    /// Finds the collections in which `selection` wants inserts, splits the large ones into ranges, and begins to
    /// read. `at` is where the stream begins, and the time of all ops; a snapshot that is gone on with keeps its own. A
    /// server that does not answer is waited for, without end.
    ///
    /// # Errors
    /// The databases cannot be listed, or the progress cannot be read or kept: see [`SnapshotError`].
    pub async fn plan(
        client: &Client,
        selection: &mut Selection,
        at: Timestamp,
        options: SnapshotOptions,
    ) -> Result<Self, SnapshotError> {
        let SnapshotOptions { parallel, kept } = options;
        let parallel = parallel.max(1);
        let digest = selection.digest();
        let before = match &kept {
            Some(kept) => kept.read(&digest).await?,
            None => None,
        };
        let state = match before {
            Some(state) if state.complete => state,
            Some(state) => go_on(state, client, selection).await?,
            None => {
                let deployment = kept.as_ref().map(|kept| kept.deployment.clone()).unwrap_or_default();
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
        let keeper = kept.map(|kept| Keeper::new(kept.store));
        let started = Instant::now();
        let mut snapshot = Self { state, keeper, events, _readers: readers, given: None, progress, started };
        snapshot.progress = snapshot.so_far();
        snapshot.save().await?;
        Ok(snapshot)
    }

    /// Where the stream begins: the time of all ops.
    pub fn at(&self) -> Timestamp {
        self.state.at.into()
    }

    /// Returns the next ops, within a range in the order of `_id`, and in none across ranges. None: all was read.
    ///
    /// Waits until the batch before is acknowledged: its ops are not read again after a crash. If its ack is dropped, no
    /// more progress is kept, so that a later snapshot reads its ops again. This can be cancelled: nothing is lost.
    ///
    /// # Errors
    /// The progress cannot be written, or a reader has a defect.
    pub async fn next(&mut self) -> Result<Option<SourceBatch>, SnapshotError> {
        self.acked().await;
        loop {
            if let Some(keeper) = &mut self.keeper {
                keeper.save_if_due(&self.state).await?;
            }
            match self.events.recv().await {
                Some(CollectionEvent::Ops(place, ops)) => return Ok(Some(self.give(place, ops))),
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

    /// Waits until the last batch is acknowledged or its ack is dropped. What was done is in the store when this returns.
    ///
    /// # Errors
    /// The progress cannot be written.
    pub async fn settle(&mut self) -> Result<(), SnapshotError> {
        self.acked().await;
        self.save().await
    }

    /// How far it is.
    pub fn progress(&self) -> SnapshotProgress {
        SnapshotProgress { elapsed: self.started.elapsed(), ..self.progress }
    }

    fn give(&mut self, place: RangePlace, ops: Vec<Op>) -> SourceBatch {
        let documents = u64::try_from(ops.len()).unwrap_or(u64::MAX);
        self.progress.documents += documents;
        let bytes: usize = ops.iter().filter_map(|op| op.full_document.as_ref()).map(Bytes::len).sum();
        self.progress.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
        let last = ops.last().and_then(|op| op.document_key.clone());
        let (ack, acked) = Ack::awaited();
        self.given = Some(Given { place, documents, last, acked });
        SourceBatch { ops, bytes, ack, ..SourceBatch::default() }
    }

    /// Waits until it is known whether what was given out is done, and takes note of it.
    async fn acked(&mut self) {
        let Some(given) = &mut self.given else { return };
        let acked = (&mut given.acked).await;
        if acked.is_ok() {
            self.done();
        } else {
            // Progress past these ops would say that they are done.
            (self.given, self.keeper) = (None, None);
        }
    }

    fn done(&mut self) {
        let Some(Given { place, documents, last, .. }) = self.given.take() else { return };
        let Some(collection) = self.state.collections.get_mut(place.collection) else { return };
        let view = collection.view;
        let Some(range) = collection.ranges.get_mut(place.range) else { return };
        range.documents += documents;
        let last = last.filter(|_| !view).and_then(|last| Id::new(RawDocument::from_bytes(&last).ok()?));
        // One that cannot be kept leaves the place before it: some would be read again.
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
        if let Some(keeper) = &mut self.keeper {
            keeper.change();
        }
    }

    async fn save(&mut self) -> Result<(), SnapshotError> {
        match &mut self.keeper {
            Some(keeper) => keeper.save(&self.state).await,
            None => Ok(()),
        }
    }

    /// What the state says: after this it is counted on.
    fn so_far(&self) -> SnapshotProgress {
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
