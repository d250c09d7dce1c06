//! What is asked of the oplog's collection.

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
/// The server's answers that no second try mends: BadValue, Unauthorized, AuthenticationFailed,
/// CommandNotFound, InvalidNamespace, CommandNotSupported.
const FINAL: [i32; 6] = [BAD_VALUE, UNAUTHORIZED, 18, 59, 73, 115];

/// The collection that is tailed. What cannot be read now is asked again, without end.
pub(super) struct Oplog {
    pub(super) client: Client,
    collection: Collection<RawDocumentBuf>,
    pub(super) patience: Backoff,
}

impl Oplog {
    pub(super) fn new(client: &Client, oplog: &Namespace) -> Self {
        // All from the same member, whatever the URI prefers: one that lags would take a place that it has not come
        // to yet for one that is lost, or passed.
        let primary = SelectionCriteria::ReadPreference(ReadPreference::Primary);
        let options = CollectionOptions::builder().selection_criteria(primary).build();
        let collection = client.database(&oplog.db).collection_with_options(&oplog.coll, options);
        Self { client: client.clone(), collection, patience: Backoff::default() }
    }

    pub(super) fn namespace(&self) -> Namespace {
        self.collection.namespace()
    }

    /// A cursor on the entries from `position` on: on all of them, or on those for which `wanted` holds; so many in
    /// a reply.
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
            // The entry at the position must come, wanted or not, as the sign that it is still there.
            filter.insert("$or", vec![doc! { "ts": ts }, wanted.clone()]);
        }
        let find = self
            .collection
            .find(filter)
            .cursor_type(CursorType::TailableAwait)
            .max_await_time(MAX_AWAIT_TIME);
        let find = find.batch_size(batch_size);
        timed_for(self.patience.limit(), find.read_concern(ReadConcern::majority()).batch()).await
    }

    /// The entry at a place, if there is one.
    pub(super) async fn entry_at(&mut self, timestamp: Timestamp) -> Result<Option<Bytes>, OplogError> {
        loop {
            let find = self.collection.find_one(doc! { "ts": bson::Timestamp::from(timestamp) });
            match timed(async { find.read_concern(ReadConcern::majority()).await }).await {
                Ok(entry) => return Ok(entry.map(|entry| entry.into_bytes().into())),
                Err(error) => self.again("an entry of the oplog cannot be read", &error).await?,
            }
        }
    }

    /// The oldest entry.
    pub(super) async fn oldest(&mut self) -> Result<Option<Timestamp>, OplogError> {
        self.edge(1).await
    }

    /// The oldest entry, if others were rolled off that came after `start`.
    pub(super) async fn rolled_off(&mut self, start: Timestamp) -> Result<Option<Timestamp>, OplogError> {
        match self.oldest().await? {
            Some(oldest) if oldest > start && !self.is_first_ever(oldest).await? => Ok(Some(oldest)),
            _ => Ok(None),
        }
    }

    /// Up to where a majority has the oplog: nothing before it is still to come, and nothing of it can be
    /// rolled back. None: it is empty.
    pub(super) async fn newest(&mut self) -> Result<Option<Timestamp>, OplogError> {
        loop {
            match timed(self.ask_newest()).await {
                Ok(newest) => return Ok(newest),
                Err(error) => self.again("the newest entry of the oplog cannot be read", &error).await?,
            }
        }
    }

    async fn ask_newest(&self) -> mongodb::error::Result<Option<Timestamp>> {
        let oplog = self.namespace();
        // The server's own time of the last write says nothing of another collection.
        if (oplog.db.as_str(), oplog.coll.as_str()) == ("local", "oplog.rs") {
            let hello = self.client.database("admin").run_command(doc! { "hello": 1 }).await?;
            if let Some(majority) = majority(&hello) {
                return Ok(Some(majority));
            }
        }
        self.ask_edge(-1).await
    }

    /// Whether `oldest` is the first entry that the replica set ever wrote: nothing was before it.
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
                Err(error) => self.again("an end of the oplog cannot be read", &error).await?,
            }
        }
    }

    async fn ask_edge(&self, direction: i32) -> mongodb::error::Result<Option<Timestamp>> {
        // As a hint: the test server passes over the same as a sort.
        let natural = Hint::Keys(doc! { "$natural": direction });
        let find = self.collection.find_one(doc! {}).hint(natural);
        let entry = find.projection(doc! { "ts": 1 }).read_concern(ReadConcern::majority()).await?;
        Ok(entry.and_then(|entry| entry.get_timestamp("ts").ok()).map(Timestamp::from))
    }

    /// Waits before `what` is tried again.
    ///
    /// # Errors
    /// It would fail again.
    pub(super) async fn again(&mut self, what: &str, error: &Error) -> Result<(), OplogError> {
        if command_code(error).is_some_and(|code| FINAL.contains(&code)) {
            return Err(self.refusal(error));
        }
        self.patience.pause(what, error).await;
        Ok(())
    }

    fn refusal(&self, error: &Error) -> OplogError {
        let remedy = match command_code(error) {
            Some(BAD_VALUE) => "--source-oplog takes local.oplog.rs or another capped collection",
            Some(UNAUTHORIZED) => "Give the user the role read on that database",
            _ => "Is the server well? Then this is for its log to say",
        };
        OplogError::Refused { oplog: self.namespace(), reason: sentence(error), remedy }
    }
}

/// Returns up to where a majority has this oplog, without a second try. None: it is empty.
pub(crate) async fn newest_entry(
    client: &Client,
    oplog: &Namespace,
) -> mongodb::error::Result<Option<Timestamp>> {
    Oplog::new(client, oplog).ask_newest().await
}

/// Returns up to where a majority has the oplog, as the server's `hello` says.
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
    fn the_newest_is_what_a_majority_has() {
        let at = |time| doc! { "ts": bson::Timestamp { time, increment: 1 }, "t": 1_i64 };
        let hello = doc! { "lastWrite": { "opTime": at(9), "majorityOpTime": at(7) } };
        assert_eq!(majority(&hello), Some(Timestamp { time: 7, increment: 1 }));
        assert_eq!(majority(&doc! {}), None);
    }
}
