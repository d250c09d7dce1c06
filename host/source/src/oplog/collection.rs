//! Queries of the collection that is an oplog.

use bson::{Document, RawDocument, RawDocumentBuf, doc};
use bytes::Bytes;
use gtm_mongo::Backoff;
use gtm_mongo::server_error::{UNAUTHORIZED, command_code, sentence};
use gtm_mongo::wire::{MAX_AWAIT_TIME, timed, timed_for};
use gtm_oplog::{OplogEntry, Timestamp};
use mongodb::error::Error;
use mongodb::options::{CollectionOptions, CursorType, Hint, ReadConcern, ReadPreference, SelectionCriteria};
use mongodb::raw_batch_cursor::RawBatchCursor;
use mongodb::{Client, Collection, Namespace};

use super::error::OplogError;

const BAD_VALUE: i32 = 2;
/// The codes of errors that another attempt would meet, too: BadValue, Unauthorized, AuthenticationFailed, CommandNotFound,
/// InvalidNamespace, CommandNotSupported.
const FINAL: [i32; 6] = [BAD_VALUE, UNAUTHORIZED, 18, 59, 73, 115];

/// The collection that is tailed. A query that fails is retried without a limit, if it may succeed later.
pub(super) struct Oplog {
    pub(super) client: Client,
    collection: Collection<RawDocumentBuf>,
    pub(super) backoff: Backoff,
}

impl Oplog {
    pub(super) fn new(client: &Client, oplog: &Namespace) -> Self {
        // Always read from the primary, whatever the URI prefers: a member that lags may not have a position yet, which would
        // look like lost history.
        let primary = SelectionCriteria::ReadPreference(ReadPreference::Primary);
        let options = CollectionOptions::builder().selection_criteria(primary).build();
        let collection = client.database(&oplog.db).collection_with_options(&oplog.coll, options);
        Self { client: client.clone(), collection, backoff: Backoff::default() }
    }

    pub(super) fn namespace(&self) -> Namespace {
        self.collection.namespace()
    }

    /// Opens a cursor on the entries from `position` on, or on those that match `wanted`. A reply has at most `batch_size`
    /// entries.
    pub(super) async fn tail(
        &self,
        position: Timestamp,
        wanted: Option<&Document>,
        batch_size: u32,
    ) -> mongodb::error::Result<RawBatchCursor> {
        // `ts` at the top of the filter lets the server seek.
        let ts = bson::Timestamp::from(position);
        let mut filter = doc! { "ts": { "$gte": ts } };
        if let Some(wanted) = wanted {
            // The entry at the position must be read, wanted or not, to check that it is still there.
            filter.insert("$or", vec![doc! { "ts": ts }, wanted.clone()]);
        }
        let find = self
            .collection
            .find(filter)
            .cursor_type(CursorType::TailableAwait)
            .max_await_time(MAX_AWAIT_TIME);
        let find = find.batch_size(batch_size);
        timed_for(self.backoff.limit(), find.read_concern(ReadConcern::majority()).batch()).await
    }

    /// Returns the entry at a time, if there is one.
    pub(super) async fn entry_at(&mut self, timestamp: Timestamp) -> Result<Option<Bytes>, OplogError> {
        loop {
            let find = self.collection.find_one(doc! { "ts": bson::Timestamp::from(timestamp) });
            match timed(async { find.read_concern(ReadConcern::majority()).await }).await {
                Ok(entry) => return Ok(entry.map(|entry| entry.into_bytes().into())),
                Err(error) => self.retry("an entry of the oplog cannot be read", &error).await?,
            }
        }
    }

    /// Checks that the entry at `position`, which was read before, has not been lost.
    pub(super) async fn check_entry(&mut self, position: Timestamp) -> Result<(), OplogError> {
        match self.first_from(position).await? {
            Some(found) if found != position => Err(self.history_error(position, found).await),
            // A primary that was just elected may not have come to it yet.
            _ => Ok(()),
        }
    }

    /// Returns the reason why the next entry from `position` on is `found`, and not the entry that was read there.
    pub(super) async fn history_error(&mut self, position: Timestamp, found: Timestamp) -> OplogError {
        match self.oldest().await {
            Ok(Some(oldest)) if oldest <= position => OplogError::Diverged { position, found },
            Ok(oldest) => OplogError::HistoryLost { position, oldest: oldest.unwrap_or(found) },
            Err(error) => error,
        }
    }

    /// Returns the time of the first entry at a position or after it.
    async fn first_from(&mut self, position: Timestamp) -> Result<Option<Timestamp>, OplogError> {
        loop {
            let find = self.collection.find_one(doc! { "ts": { "$gte": bson::Timestamp::from(position) } });
            match timed(async { find.read_concern(ReadConcern::majority()).await }).await {
                Ok(entry) => return Ok(entry.and_then(|entry| time(&entry))),
                Err(error) => self.retry("an entry of the oplog cannot be read", &error).await?,
            }
        }
    }

    /// Returns the time of the oldest entry. None: the oplog is empty.
    pub(super) async fn oldest(&mut self) -> Result<Option<Timestamp>, OplogError> {
        self.edge(1).await
    }

    /// Returns the time of the oldest entry if entries after `start` were rolled off.
    pub(super) async fn rolled_off(&mut self, start: Timestamp) -> Result<Option<Timestamp>, OplogError> {
        match self.oldest().await? {
            Some(oldest) if oldest > start && !self.is_first_ever(oldest).await? => Ok(Some(oldest)),
            _ => Ok(None),
        }
    }

    /// Returns the time up to which a majority has the oplog: no earlier entry can still appear, and none can be rolled back.
    /// None: the oplog is empty.
    pub(super) async fn newest(&mut self) -> Result<Option<Timestamp>, OplogError> {
        loop {
            match timed(self.ask_newest()).await {
                Ok(newest) => return Ok(newest),
                Err(error) => self.retry("the newest entry of the oplog cannot be read", &error).await?,
            }
        }
    }

    async fn ask_newest(&self) -> mongodb::error::Result<Option<Timestamp>> {
        let oplog = self.namespace();
        // The server's time of the last write is not that of another collection.
        if (oplog.db.as_str(), oplog.coll.as_str()) == ("local", "oplog.rs") {
            let hello = self.client.database("admin").run_command(doc! { "hello": 1 }).await?;
            if let Some(majority) = majority(&hello) {
                return Ok(Some(majority));
            }
        }
        self.ask_edge(-1).await
    }

    /// Returns whether `oldest` is the first entry that the replica set ever wrote.
    pub(super) async fn is_first_ever(&mut self, oldest: Timestamp) -> Result<bool, OplogError> {
        let entry = self.entry_at(oldest).await?;
        let entry =
            entry.as_ref().and_then(|entry| OplogEntry::parse(RawDocument::from_bytes(entry).ok()?).ok());
        Ok(entry.and_then(|entry| entry.object?.get_str("msg").ok()) == Some("initiating set"))
    }

    async fn edge(&mut self, direction: i32) -> Result<Option<Timestamp>, OplogError> {
        loop {
            match timed(self.ask_edge(direction)).await {
                Ok(edge) => return Ok(edge),
                Err(error) => self.retry("an end of the oplog cannot be read", &error).await?,
            }
        }
    }

    async fn ask_edge(&self, direction: i32) -> mongodb::error::Result<Option<Timestamp>> {
        // As a hint, because the test server ignores such a sort.
        let natural = Hint::Keys(doc! { "$natural": direction });
        let find = self.collection.find_one(doc! {}).hint(natural);
        let entry = find.projection(doc! { "ts": 1 }).read_concern(ReadConcern::majority()).await?;
        Ok(entry.and_then(|entry| time(&entry)))
    }

    /// Waits before another attempt. `what` is a clause that describes the failure.
    ///
    /// # Errors
    /// Another attempt would fail, too.
    pub(super) async fn retry(&mut self, what: &str, error: &Error) -> Result<(), OplogError> {
        if command_code(error).is_some_and(|code| FINAL.contains(&code)) {
            return Err(self.refusal(error));
        }
        self.backoff.pause("source.read_failed", what, error).await;
        Ok(())
    }

    fn refusal(&self, error: &Error) -> OplogError {
        let (oplog, reason) = (self.namespace(), sentence(error));
        match command_code(error) {
            Some(BAD_VALUE) => OplogError::NotTailable { oplog, reason },
            Some(UNAUTHORIZED) => OplogError::Unauthorized { oplog, reason },
            _ => OplogError::Refused { oplog, reason },
        }
    }
}

fn time(entry: &RawDocument) -> Option<Timestamp> {
    entry.get_timestamp("ts").ok().map(Timestamp::from)
}

/// Returns the time up to which a majority has this oplog, without a retry. None: the oplog is empty.
pub(crate) async fn newest_entry(
    client: &Client,
    oplog: &Namespace,
) -> mongodb::error::Result<Option<Timestamp>> {
    Oplog::new(client, oplog).ask_newest().await
}

/// Returns the time up to which a majority has the oplog, according to the server's `hello`.
pub(crate) fn majority(hello: &Document) -> Option<Timestamp> {
    let last_write = hello.get_document("lastWrite").ok()?;
    let time =
        last_write.get_document("majorityOpTime").or_else(|_| last_write.get_document("opTime")).ok()?;
    time.get_timestamp("ts").ok().map(Timestamp::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_entry_is_the_newest_that_a_majority_has() {
        let at = |time| doc! { "ts": bson::Timestamp { time, increment: 1 }, "t": 1_i64 };
        let hello = doc! { "lastWrite": { "opTime": at(9), "majorityOpTime": at(7) } };
        assert_eq!(majority(&hello), Some(Timestamp { time: 7, increment: 1 }));
        assert_eq!(majority(&doc! {}), None);
    }
}
