//! Reads one change event from its bytes into a borrowed view, without copying a document.
//!
//! Fields are found by name: servers differ in their order, and a `rename` does not begin with `_id`.

use bson::RawDocument;

use crate::op::{OperationType, Timestamp};
use crate::reply::Malformed;
use crate::value::{integer, milliseconds, string, subdocument};

/// The fields that identify an event. Its documents are not decoded. If the server split an event, each fragment has
/// some of the fields.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ChangeEvent<'a> {
    /// `_id._data`
    pub(super) token: &'a str,
    /// `operationType`
    pub(super) kind: &'a str,
    /// `clusterTime`
    pub(super) timestamp: Timestamp,
    /// `wallTime`: milliseconds since 1970-01-01 UTC.
    pub(super) wall_time: Option<u64>,
    /// `ns.db`
    pub(super) database: &'a str,
    /// `ns.coll`. Empty if the event affects the whole database.
    pub(super) collection: &'a str,
    /// `to`: the new name of a collection.
    pub(super) to: Option<&'a RawDocument>,
    /// `documentKey`
    pub(super) document_key: Option<&'a RawDocument>,
    /// `fullDocument`
    pub(super) full_document: Option<&'a RawDocument>,
    /// `fullDocumentBeforeChange`
    pub(super) full_document_before_change: Option<&'a RawDocument>,
    /// `updateDescription`
    pub(super) update_description: Option<&'a RawDocument>,
    /// `operationDescription`, of an event that is not a change to a document.
    pub(super) operation_description: Option<&'a RawDocument>,
    /// `lsid`: the session of the event's transaction.
    pub(super) session: Option<&'a RawDocument>,
    /// `txnNumber`: the number of the transaction in its session.
    pub(super) transaction_number: Option<i64>,
    /// `splitEvent`
    pub(super) split: Option<Split>,
}

/// The number of a fragment, from 1, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Split {
    /// `fragment`
    pub(super) fragment: i64,
    /// `of`
    pub(super) of: i64,
}

impl<'a> ChangeEvent<'a> {
    /// Returns `database.collection`, the new name of a renamed collection.
    pub(super) fn renamed_to(&self) -> Option<String> {
        let to = self.to?;
        Some(format!("{}.{}", to.get_str("db").ok()?, to.get_str("coll").ok()?))
    }

    /// Reads the fields of one event or of a fragment.
    ///
    /// # Errors
    /// The document is not valid BSON, or lacks `_id._data`.
    pub(super) fn parse(document: &'a RawDocument) -> Result<Self, Malformed> {
        let event = Self::parse_from_file(document)?;
        if event.token.is_empty() { Err(Malformed::Missing("_id._data")) } else { Ok(event) }
    }

    /// Reads the fields of an event in a file, which may have lost its token.
    ///
    /// # Errors
    /// The document is not valid BSON.
    pub(super) fn parse_from_file(document: &'a RawDocument) -> Result<Self, Malformed> {
        let mut event = Self::default();
        for element in document.iter_elements() {
            let element = element?;
            let name = element.key().as_str();
            match name {
                "_id"
                | "ns"
                | "to"
                | "documentKey"
                | "fullDocument"
                | "fullDocumentBeforeChange"
                | "updateDescription"
                | "operationDescription"
                | "lsid"
                | "splitEvent" => {
                    // Servers write null for a missing value.
                    if let Some(value) = subdocument(element.value()?) {
                        event.set(name, value);
                    }
                }
                "operationType" => event.kind = string(element.value()?).unwrap_or_default(),
                "clusterTime" => {
                    event.timestamp =
                        element.value()?.as_timestamp().map(Timestamp::from).unwrap_or_default();
                }
                "wallTime" => event.wall_time = milliseconds(element.value()?),
                "txnNumber" => event.transaction_number = integer(element.value()?),
                _ => {}
            }
        }
        Ok(event)
    }

    fn set(&mut self, name: &str, value: &'a RawDocument) {
        let text = |field| value.get_str(field).unwrap_or_default();
        let whole = |field| value.get(field).ok().flatten().and_then(integer);
        match name {
            "_id" => self.token = text("_data"),
            "ns" => (self.database, self.collection) = (text("db"), text("coll")),
            "to" => self.to = Some(value),
            "documentKey" => self.document_key = Some(value),
            "fullDocument" => self.full_document = Some(value),
            "fullDocumentBeforeChange" => self.full_document_before_change = Some(value),
            "updateDescription" => self.update_description = Some(value),
            "operationDescription" => self.operation_description = Some(value),
            "lsid" => self.session = Some(value),
            _ => {
                if let (Some(fragment), Some(of)) = (whole("fragment"), whole("of")) {
                    self.split = Some(Split { fragment, of });
                }
            }
        }
    }

    /// Checks that the event has what every event from a server has.
    ///
    /// # Errors
    /// It lacks `clusterTime`, `operationType` or `ns.db`.
    pub(super) fn complete(self) -> Result<Self, Malformed> {
        if self.timestamp == Timestamp::default() {
            Err(Malformed::Missing("clusterTime"))
        } else {
            self.named()
        }
    }

    /// Checks that the event names its operation and its database.
    ///
    /// # Errors
    /// It lacks `operationType` or `ns.db`.
    pub(super) fn named(self) -> Result<Self, Malformed> {
        if self.kind.is_empty() {
            Err(Malformed::Missing("operationType"))
        } else if self.database.is_empty() && self.operation() != OperationType::Other {
            Err(Malformed::Missing("ns.db"))
        } else {
            Ok(self)
        }
    }

    /// Returns the operation. `shardCollection`, `reshardCollection`, `refineCollectionShardKey` and the operations of
    /// later servers are [`OperationType::Other`].
    pub(super) fn operation(&self) -> OperationType {
        match self.kind {
            "insert" => OperationType::Insert,
            "update" => OperationType::Update,
            "replace" => OperationType::Replace,
            "delete" => OperationType::Delete,
            "create" => OperationType::Create,
            "drop" => OperationType::Drop,
            "rename" => OperationType::Rename,
            "dropDatabase" => OperationType::DropDatabase,
            "createIndexes" => OperationType::CreateIndexes,
            "dropIndexes" => OperationType::DropIndexes,
            "modify" => OperationType::Modify,
            _ => OperationType::Other,
        }
    }
}
