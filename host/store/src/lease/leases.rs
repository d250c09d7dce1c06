//! Reads and writes a lease on the server, each with one command.

use std::time::Duration;

use bson::{DateTime, Document, RawDocumentBuf, doc};
use gtm_mongo::server_error::{UNAUTHORIZED, command_code, is_retryable, sentence};
use gtm_mongo::wire::timed_for;
use gtm_oplog::own_database::own_database;
use mongodb::error::{Error, ErrorKind, WriteFailure};
use mongodb::options::{CollectionOptions, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern};
use mongodb::{Client, Collection};

use super::document::{LeaseState, StoredLease, VERSION};
use super::hold::LeaseHolder;
use super::{LeaseError, LeaseKey};

const COLLECTION: &str = "leases";
const DUPLICATE_KEY: i32 = 11000;

/// One lease on the server, for one host.
#[derive(Clone, Debug)]
pub(super) struct Leases {
    collection: Collection<RawDocumentBuf>,
    pub(super) key: LeaseKey,
    pub(super) holder: LeaseHolder,
}

/// How a command failed.
pub(super) enum CommandFailure {
    /// A retry may succeed. It is not known whether the command was executed.
    Now(Error),
    /// No retry succeeds.
    Always(LeaseError),
}

impl CommandFailure {
    /// Describes the reason.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Now(error) => sentence(error),
            Self::Always(error) => error.to_string(),
        }
    }
}

impl Leases {
    pub(super) fn new(client: &Client, key: LeaseKey, holder: LeaseHolder) -> Self {
        // The compare-and-set decides, so the latest document is read. A write counts only with a majority, as an old primary that does not
        // know of the new one accepts writes, too.
        let options = CollectionOptions::builder()
            .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
            .read_concern(ReadConcern::local())
            .write_concern(WriteConcern::majority())
            .build();
        let collection = client.database(own_database()).collection_with_options(COLLECTION, options);
        Self { collection, key, holder }
    }

    /// Reads the lease.
    pub(super) async fn read(&self, limit: Duration) -> Result<Option<StoredLease>, CommandFailure> {
        let find = self.collection.find_one(doc! { "_id": self.key.id() });
        let document = timed_for(limit, find.into_future()).await.map_err(|error| self.failed(error))?;
        document
            .map(|document| StoredLease::read(&document, &self.key))
            .transpose()
            .map_err(CommandFailure::Always)
    }

    /// Creates the lease, held by this host. Returns false if it exists.
    pub(super) async fn create(&self, limit: Duration) -> Result<bool, CommandFailure> {
        let mut lease = doc! { "_id": self.key.id(), "version": VERSION };
        lease.extend(self.held(LeaseState { epoch: 1, renewals: 0 }));
        let lease = RawDocumentBuf::try_from(lease).map_err(|error| self.failed(Error::custom(error)))?;
        match timed_for(limit, self.collection.insert_one(lease).into_future()).await {
            Ok(_) => Ok(true),
            Err(error) if is_duplicate(&error) => Ok(false),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Takes the lease if it is unchanged since it was `seen`. Returns the new epoch.
    pub(super) async fn take(
        &self,
        seen: LeaseState,
        limit: Duration,
    ) -> Result<Option<i64>, CommandFailure> {
        let epoch = seen.epoch.checked_add(1).ok_or_else(|| {
            let reason = "its epoch is the last possible one".to_owned();
            CommandFailure::Always(LeaseError::Invalid { key: self.key.to_string(), reason })
        })?;
        let held = self.held(LeaseState { epoch, renewals: 0 });
        let seen = doc! { "epoch": seen.epoch, "renewals": seen.renewals };
        let taken = self.update(seen, doc! { "$set": held }, limit).await?;
        Ok(taken.then_some(epoch))
    }

    /// Renews the lease. Returns false if this host no longer holds it.
    pub(super) async fn renew(&self, epoch: i64, limit: Duration) -> Result<bool, CommandFailure> {
        let mine = doc! { "holder": self.holder.name(), "epoch": epoch, "released": false };
        let update = doc! { "$inc": { "renewals": 1_i64 }, "$set": { "time": DateTime::now() } };
        self.update(mine, update, limit).await
    }

    /// Releases the lease.
    pub(super) async fn release(&self, epoch: i64, limit: Duration) -> Result<bool, CommandFailure> {
        let mine = doc! { "holder": self.holder.name(), "epoch": epoch };
        let released = doc! { "released": true, "time": DateTime::now() };
        self.update(mine, doc! { "$inc": { "renewals": 1_i64 }, "$set": released }, limit).await
    }

    /// Updates the lease if it is as `expected`.
    async fn update(
        &self,
        expected: Document,
        update: Document,
        limit: Duration,
    ) -> Result<bool, CommandFailure> {
        let mut query = doc! { "_id": self.key.id(), "version": VERSION };
        query.extend(expected);
        let update = self.collection.update_one(query, update);
        let done = timed_for(limit, update.into_future()).await.map_err(|error| self.failed(error))?;
        Ok(done.matched_count == 1)
    }

    /// Returns the document of a lease that this host holds.
    fn held(&self, LeaseState { epoch, renewals }: LeaseState) -> Document {
        let (holder, time) = (self.holder.name(), DateTime::now());
        let process = self.holder.process();
        doc! { "holder": holder, "process": process, "epoch": epoch, "renewals": renewals, "released": false, "time": time }
    }

    fn failed(&self, error: Error) -> CommandFailure {
        // The write has not reached a majority, and perhaps never will.
        let unsure = matches!(&*error.kind, ErrorKind::Write(WriteFailure::WriteConcernError(_)));
        if unsure || is_retryable(&error) || error.contains_label("RetryableWriteError") {
            return CommandFailure::Now(error);
        }
        let reason = sentence(&error);
        CommandFailure::Always(match command_code(&error) {
            Some(UNAUTHORIZED) => LeaseError::Unauthorized { reason },
            _ => LeaseError::Server { key: self.key.to_string(), reason },
        })
    }
}

fn is_duplicate(error: &Error) -> bool {
    matches!(&*error.kind, ErrorKind::Write(WriteFailure::WriteError(error)) if error.code == DUPLICATE_KEY)
}
