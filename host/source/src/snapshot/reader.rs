//! Reads ranges, one after another, and makes ops of their documents.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bson::{RawDocument, RawDocumentBuf, cstr, rawdoc};
use bytes::Bytes;
use futures_util::StreamExt;
use gtm_mongo::Backoff;
use gtm_mongo::server_error::is_retryable;
use gtm_mongo::wire::{reply, timed};
use gtm_oplog::reply::{document, id_of};
use gtm_oplog::{Malformed, Namespace, Op, Origin, Reply, Timestamp};
use mongodb::Client;
use mongodb::error::{Error, Result};
use mongodb::raw_batch_cursor::{RawBatch, RawBatchCursor};
use tokio::sync::mpsc::Sender;

use super::collections::{is_there, refusal};
use super::id::Id;
use super::state::{RangeEnd, RangePlace, SnapshotCollection};

/// Documents in a reply, if they are small: a reply has 16 MB at most. Large enough that the way to the server
/// and back does not count, small enough that not much is repeated after a crash.
const BATCH: u32 = 1_000;

/// What is to be read.
#[derive(Debug)]
pub(super) struct Job {
    place: RangePlace,
    namespace: Arc<Namespace>,
    uuid: Option<String>,
    view: bool,
    from: Option<Id>,
    to: Option<Id>,
    /// `{_id}` of the last document that needs not be read again.
    last: Option<Bytes>,
}

impl Job {
    /// The ranges of a collection that are not at their end.
    pub(super) fn of(index: usize, collection: &SnapshotCollection) -> impl Iterator<Item = Self> {
        let namespace = collection.namespace();
        let open = collection.ranges.iter().enumerate().filter(|(_, range)| range.ended.is_none());
        open.map(move |(range, bounds)| Self {
            place: RangePlace { collection: index, range },
            namespace: Arc::clone(&namespace),
            uuid: collection.uuid.clone(),
            view: collection.view,
            from: bounds.from.clone(),
            to: bounds.to.clone(),
            last: bounds.last.as_ref().map(|id| Bytes::copy_from_slice(id.as_raw().as_bytes())),
        })
    }
}

/// What a reader has to tell.
#[derive(Debug)]
pub(super) enum CollectionEvent {
    /// The next ops of a range, of one reply; never none.
    Ops(RangePlace, Vec<Op>),
    /// Nothing more comes of this range.
    End(RangePlace, RangeEnd),
    /// Nothing more comes of this range, for a reason that the server gives.
    Refused(RangePlace, String),
}

/// The work of one of the readers that share `jobs`.
#[derive(Clone)]
pub(super) struct CollectionReader {
    pub(super) client: Client,
    pub(super) at: Timestamp,
    pub(super) jobs: Arc<Mutex<VecDeque<Job>>>,
    /// Bounded: a reader whose ops nobody takes waits, with one reply in its hand.
    pub(super) events: Sender<CollectionEvent>,
}

/// Why a range is not read on now.
enum RangeStop {
    Error(Error),
    /// Nobody takes the ops any more.
    Unwanted,
}

impl From<Error> for RangeStop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl CollectionReader {
    /// Reads until there is no job left.
    pub(super) async fn run(self) {
        while let Some(job) = self.next_job() {
            let Some(end) = self.read(job).await else { return };
            if self.events.send(end).await.is_err() {
                return;
            }
        }
    }

    fn next_job(&self) -> Option<Job> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Reads a range to its end, however often the server is lost meanwhile. None: nobody wants it.
    async fn read(&self, mut job: Job) -> Option<CollectionEvent> {
        let mut patience = Backoff::default();
        loop {
            match self.read_on(&mut job, &mut patience).await {
                Ok(ended) => return Some(CollectionEvent::End(job.place, ended)),
                Err(RangeStop::Unwanted) => return None,
                Err(RangeStop::Error(error)) if is_retryable(&error) => {
                    patience
                        .pause("snapshot.read_failed", &format!("{} cannot be read", job.namespace), &error)
                        .await;
                }
                Err(RangeStop::Error(error)) => return Some(self.refused(&job, &error).await),
            }
        }
    }

    /// Reads from where the range was left, by a new cursor.
    async fn read_on(
        &self,
        job: &mut Job,
        patience: &mut Backoff,
    ) -> std::result::Result<RangeEnd, RangeStop> {
        let database = self.client.database(&job.namespace.database);
        // From the primary, as nothing else is said: no other member need have yet what was there when the
        // stream began.
        let find = database.run_raw_cursor_command(self.find(job)?).batch_size(BATCH).batch();
        let mut cursor = limited(job, find).await?;
        let mut empty = true;
        while let Some(batch) = limited(job, next(&mut cursor)).await? {
            if patience.recovered() {
                tracing::info!(
                    event = "snapshot.recover", namespace = %job.namespace,
                    "reading the collection again, from where it was"
                );
            }
            let reply = reply(batch);
            let (ops, found) = self.ops(job, &reply).map_err(Error::custom)?;
            empty &= !found;
            if let Some(last) = ops.last() {
                // Of a view there is no place to go on from: it has no order.
                job.last = last.document_key.clone().filter(|_| !job.view);
                let sent = self.events.send(CollectionEvent::Ops(job.place, ops)).await;
                sent.map_err(|_| RangeStop::Unwanted)?;
            }
        }
        if empty && !is_there(&self.client, &job.namespace, job.uuid.as_deref()).await? {
            return Ok(RangeEnd::Gone);
        }
        Ok(RangeEnd::Read)
    }

    /// Raw, so that an `_id` which is not UTF-8 is the server's to judge.
    fn find(&self, job: &Job) -> Result<RawDocumentBuf> {
        let mut concern = rawdoc! { "level": "majority" };
        if self.at != Timestamp::default() {
            // A primary just elected may not know yet that a majority has what was there when the stream began.
            concern.append(cstr!("afterClusterTime"), bson::Timestamp::from(self.at));
        }
        let mut find = rawdoc! { "find": &*job.namespace.collection, "filter": {}, "readConcern": concern };
        find.append(cstr!("batchSize"), i64::from(BATCH));
        if job.view {
            return Ok(find);
        }
        find.append(cstr!("sort"), rawdoc! { "_id": 1 });
        find.append(cstr!("hint"), rawdoc! { "_id": 1 });
        // As an index is scanned, from one key to another of any type. `max` is exclusive.
        let last = job.last.as_deref().map(RawDocument::from_bytes).transpose().map_err(Error::custom)?;
        if let Some(from) = last.or(job.from.as_ref().map(Id::as_raw)) {
            find.append(cstr!("min"), from);
        }
        if let Some(to) = job.to.as_ref() {
            find.append(cstr!("max"), to.as_raw());
        }
        Ok(find)
    }

    /// The ops of a reply, and whether a document was in it.
    fn ops(&self, job: &Job, reply: &Reply) -> std::result::Result<(Vec<Op>, bool), Malformed> {
        let (mut ops, mut found) = (Vec::new(), false);
        for value in reply.documents()? {
            let document = document(value?)?;
            let key = id_of(document).map(|key| Bytes::from(key.into_bytes()));
            // `min` is inclusive: what was read last comes first again, if it is still there.
            let again = !std::mem::replace(&mut found, true) && key.is_some() && key == job.last;
            if !again {
                let namespace = Arc::clone(&job.namespace);
                ops.push(Op::from_document(Origin::Snapshot, self.at, namespace, key, reply.cut(document)));
            }
        }
        Ok((ops, found))
    }

    /// What an error that no second try mends means.
    async fn refused(&self, job: &Job, error: &Error) -> CollectionEvent {
        match is_there(&self.client, &job.namespace, job.uuid.as_deref()).await {
            Ok(false) => CollectionEvent::End(job.place, RangeEnd::Gone),
            _ => CollectionEvent::Refused(job.place, refusal(error, &job.namespace.database)),
        }
    }
}

async fn next(cursor: &mut RawBatchCursor) -> Result<Option<RawBatch>> {
    cursor.next().await.transpose()
}

/// A view may have to work for long before its first document; a connection that died is noticed by TCP alone then.
async fn limited<T>(job: &Job, work: impl Future<Output = Result<T>>) -> Result<T> {
    if job.view { work.await } else { timed(work).await }
}
