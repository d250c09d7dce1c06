//! Reads ranges one after another, and turns their documents into ops.

use std::collections::VecDeque;
use std::sync::Arc;

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
use parking_lot::Mutex;
use tokio::sync::mpsc::Sender;

use super::collections::{is_there, refusal};
use super::id::Id;
use super::state::{RangeEnd, RangePlace, SnapshotCollection};
use crate::fewer_entries::fewer_entries;

/// The maximum number of documents per reply, which has at most 16 MB. It is large enough that round trips do not matter, and small
/// enough that little is repeated after a crash.
const MAX_DOCUMENTS: u32 = 1_000;

/// A range to read.
#[derive(Debug)]
pub(super) struct Job {
    place: RangePlace,
    namespace: Arc<Namespace>,
    uuid: Option<String>,
    view: bool,
    from: Option<Id>,
    to: Option<Id>,
    /// `{_id}` of the last document that was read.
    last: Option<Bytes>,
    /// The number of documents to ask for per reply.
    documents: u32,
}

impl Job {
    /// Returns the ranges of a collection that are not complete.
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
            documents: MAX_DOCUMENTS,
        })
    }
}

/// An event of a reader.
#[derive(Debug)]
pub(super) enum CollectionEvent {
    /// The next ops of a range, all from one reply. There is at least one.
    Ops(RangePlace, Vec<Op>),
    /// The range has ended.
    End(RangePlace, RangeEnd),
    /// The server refuses to read the range, for this reason.
    Refused(RangePlace, String),
}

/// One of the readers that share `jobs`.
#[derive(Clone)]
pub(super) struct CollectionReader {
    pub(super) client: Client,
    pub(super) at: Timestamp,
    pub(super) jobs: Arc<Mutex<VecDeque<Job>>>,
    /// Bounded: a reader waits with one reply until its ops are received.
    pub(super) events: Sender<CollectionEvent>,
}

/// The reason to stop reading a range.
enum RangeStop {
    Error(Error),
    /// The receiver was dropped.
    Unwanted,
}

impl From<Error> for RangeStop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl CollectionReader {
    /// Reads until no job is left.
    pub(super) async fn run(self) {
        while let Some(job) = self.next_job() {
            let Some(end) = self.read(job).await else { return };
            if self.events.send(end).await.is_err() {
                return;
            }
        }
    }

    fn next_job(&self) -> Option<Job> {
        self.jobs.lock().pop_front()
    }

    /// Reads a range to its end, however often the connection fails. None: the receiver was dropped.
    async fn read(&self, mut job: Job) -> Option<CollectionEvent> {
        let mut backoff = Backoff::default();
        loop {
            match self.read_rest(&mut job, &mut backoff).await {
                Ok(ended) => return Some(CollectionEvent::End(job.place, ended)),
                Err(RangeStop::Unwanted) => return None,
                Err(RangeStop::Error(error)) => {
                    let fewer = fewer_entries(job.documents, &error);
                    if fewer.is_none() && !is_retryable(&error) {
                        return Some(self.refused(&job, &error).await);
                    }
                    job.documents = fewer.unwrap_or(job.documents);
                    let what = format!("{} cannot be read", job.namespace);
                    backoff.pause("snapshot.read_failed", &what, &error).await;
                }
            }
        }
    }

    /// Reads the rest of a range with a new cursor.
    async fn read_rest(
        &self,
        job: &mut Job,
        backoff: &mut Backoff,
    ) -> std::result::Result<RangeEnd, RangeStop> {
        let database = self.client.database(&job.namespace.database);
        // From the primary, by default: another member may not have everything yet that was there when the stream began.
        let find = database.run_raw_cursor_command(self.find(job)?).batch_size(job.documents).batch();
        let mut cursor = limited(job, find).await?;
        let mut empty = true;
        while let Some(batch) = limited(job, next(&mut cursor)).await? {
            if backoff.recovered() {
                tracing::info!(
                    event = "snapshot.recover", namespace = %job.namespace,
                    "reading the collection again, from where it was"
                );
            }
            let reply = reply(batch);
            let (ops, found) = self.ops(job, &reply).map_err(Error::custom)?;
            empty &= !found;
            if let Some(last) = ops.last() {
                // A view has no order, so it cannot resume after a document.
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

    /// Returns the query. It is raw, so that the server gets an `_id` that is not UTF-8 as it is.
    fn find(&self, job: &Job) -> Result<RawDocumentBuf> {
        let mut concern = rawdoc! { "level": "majority" };
        if self.at != Timestamp::default() {
            // A primary that was just elected may not know yet that a majority has everything from before the stream.
            concern.append(cstr!("afterClusterTime"), bson::Timestamp::from(self.at));
        }
        let mut find = rawdoc! { "find": &*job.namespace.collection, "filter": {}, "readConcern": concern };
        find.append(cstr!("batchSize"), i64::from(job.documents));
        if job.view {
            return Ok(find);
        }
        find.append(cstr!("sort"), rawdoc! { "_id": 1 });
        find.append(cstr!("hint"), rawdoc! { "_id": 1 });
        // The bounds of an index scan compare keys of any type. `max` is exclusive.
        let last = job.last.as_deref().map(RawDocument::from_bytes).transpose().map_err(Error::custom)?;
        if let Some(from) = last.or(job.from.as_ref().map(Id::as_raw)) {
            find.append(cstr!("min"), from);
        }
        if let Some(to) = job.to.as_ref() {
            find.append(cstr!("max"), to.as_raw());
        }
        Ok(find)
    }

    /// Returns the ops of a reply, and whether it has a document.
    fn ops(&self, job: &Job, reply: &Reply) -> std::result::Result<(Vec<Op>, bool), Malformed> {
        let (mut ops, mut found) = (Vec::new(), false);
        for value in reply.documents()? {
            let document = document(value?)?;
            let key = id_of(document).map(|key| Bytes::from(key.into_bytes()));
            // `min` is inclusive: the last document of the read before comes again, if it still exists.
            let again = !std::mem::replace(&mut found, true) && key.is_some() && key == job.last;
            if !again {
                let namespace = Arc::clone(&job.namespace);
                ops.push(Op::from_document(Origin::Snapshot, self.at, namespace, key, reply.cut(document)));
            }
        }
        Ok((ops, found))
    }

    /// Returns the event for an error that another attempt would meet, too.
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

/// Limits the time of a read. A view has no limit, as it may take long before its first document; then only TCP notices a dead
/// connection.
async fn limited<T>(job: &Job, work: impl Future<Output = Result<T>>) -> Result<T> {
    if job.view { work.await } else { timed(work).await }
}
