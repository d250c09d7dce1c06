//! The op: one change, as sources produce it and plugins receive it.

use std::fmt::{self, Write};
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

/// One change. Its documents are slices of the batch that it arrived in, kept alive by reference count, so cloning an
/// op copies no document.
#[derive(Clone, Debug)]
pub struct Op {
    /// The time when the change became visible, by the server's logical clock. Null for a document from a file that
    /// does not contain the time.
    pub timestamp: Timestamp,
    /// The part of the identity that distinguishes ops of the same timestamp.
    pub place: OpPlace,
    /// The kind of source that the op was read from.
    pub origin: Origin,
    /// The operation.
    pub operation_type: OperationType,
    /// The changed collection or database.
    pub namespace: Arc<Namespace>,
    /// The time when the server wrote the change, in milliseconds since 1970-01-01 UTC.
    pub wall_time: Option<u64>,
    /// The `_id`, and the shard key if there is one. Only for insert, update, replace and delete.
    pub document_key: Option<Bytes>,
    /// The document after the change.
    pub full_document: Option<Bytes>,
    /// The document before the change, if the server keeps it.
    pub full_document_before_change: Option<Bytes>,
    /// `{updatedFields, removedFields, truncatedArrays}` of an update.
    pub update_description: Option<Bytes>,
    /// The command as the server wrote it, or as its change event describes it, for an op that is not a change to a
    /// document. For an update without a description, the delta that could not be read.
    pub command: Option<Bytes>,
    /// The transaction that the change was part of.
    pub transaction: Option<Transaction>,
}

/// The place of an op in a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The id of the transaction, the same for each of its ops.
    pub id: Arc<str>,
    /// The index of the op in the transaction, from 0.
    pub index: u32,
}

impl Op {
    /// Creates the op of a document that was found instead of written: an insert of which nothing else is known.
    pub fn from_document(
        origin: Origin,
        timestamp: Timestamp,
        namespace: Arc<Namespace>,
        document_key: Option<Bytes>,
        full_document: Bytes,
    ) -> Self {
        Self {
            timestamp,
            place: OpPlace::Document,
            origin,
            operation_type: OperationType::Insert,
            namespace,
            wall_time: None,
            document_key,
            full_document: Some(full_document),
            full_document_before_change: None,
            update_description: None,
            command: None,
            transaction: None,
        }
    }

    /// Creates the op of a tick: the namespace holds the name of the timer, and the timestamp the second at which it is due.
    pub fn from_tick(timer: &str, at: u32) -> Self {
        Self {
            timestamp: Timestamp { time: at, increment: 0 },
            place: OpPlace::Token(format!("tick-{timer}").into()),
            origin: Origin::Timer,
            operation_type: OperationType::Tick,
            namespace: Arc::new(Namespace { database: timer.into(), collection: "".into() }),
            wall_time: Some(u64::from(at) * 1000),
            document_key: None,
            full_document: None,
            full_document_before_change: None,
            update_description: None,
            command: None,
            transaction: None,
        }
    }

    /// Returns whether the op is a tick, as [`from_tick`](Self::from_tick) creates it.
    pub fn is_tick(&self) -> bool {
        self.origin == Origin::Timer
    }

    /// Returns the identity of the op, the same each time it is read from the same source. It is displayed as
    /// `SECONDS.INCREMENT.PLACE`, which is a valid atom in a Message-ID (RFC 5322).
    pub fn id(&self) -> OpId<'_> {
        OpId(self)
    }

    /// Replaces the content of `out` with the [`id`](Self::id). In the usual case this takes a third of the time of
    /// displaying it, which matters because it happens once per op.
    pub fn write_id(&self, out: &mut String) {
        out.clear();
        let OpPlace::Index(index) = self.place else {
            let _ = write!(out, "{}", self.id());
            return;
        };
        let mut digits = itoa::Buffer::new();
        for (number, end) in [(self.timestamp.time, "."), (self.timestamp.increment, "."), (index, "")] {
            out.push_str(digits.format(number));
            out.push_str(end);
        }
    }

    /// Returns the size of the op's documents in bytes.
    pub fn size(&self) -> usize {
        self.documents().into_iter().filter_map(|(_, document)| document).map(Bytes::len).sum()
    }

    /// Returns the op's documents with the names of their fields in a printed op.
    pub fn documents(&self) -> [(&'static str, Option<&Bytes>); 5] {
        [
            ("documentKey", self.document_key.as_ref()),
            ("fullDocument", self.full_document.as_ref()),
            ("fullDocumentBeforeChange", self.full_document_before_change.as_ref()),
            ("updateDescription", self.update_description.as_ref()),
            ("command", self.command.as_ref()),
        ]
    }

    /// Returns the op's documents for changing them.
    pub(crate) fn documents_mut(&mut self) -> impl Iterator<Item = &mut Bytes> {
        let documents = [
            &mut self.document_key,
            &mut self.full_document,
            &mut self.full_document_before_change,
            &mut self.update_description,
            &mut self.command,
        ];
        documents.into_iter().flatten()
    }
}

/// The part of an op's identity that distinguishes ops of the same timestamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpPlace {
    /// The index of the op in its oplog entry or transaction, from 0.
    Index(u32),
    /// The resume token of the op's change event, in hexadecimal.
    Token(Arc<str>),
    /// The op is a document as it was found. Its namespace and document key distinguish it, or the whole document if it
    /// has no key, as in a view.
    Document,
}

/// The kind of source that an op was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The oplog of a replica set.
    Oplog,
    /// A change stream.
    ChangeStream,
    /// A snapshot: the document existed before the stream began.
    Snapshot,
    /// A file.
    Replay,
    /// A timer of the plugin: the op is a tick.
    Timer,
}

/// The identity of an op, as [`Op::id`] returns it.
#[derive(Clone, Copy, Debug)]
pub struct OpId<'a>(&'a Op);

impl fmt::Display for OpId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Op {
            timestamp: Timestamp { time, increment },
            place,
            namespace,
            document_key,
            full_document,
            ..
        } = self.0;
        write!(f, "{time}.{increment}.")?;
        match place {
            OpPlace::Index(index) => index.fmt(f),
            OpPlace::Token(token) => token.fmt(f),
            OpPlace::Document => {
                // No token begins with this, so that nobody mistakes it for a position to resume from.
                f.write_str("document-")?;
                // Keys have any length and form; half of this hash is short, plain and unique.
                let mut hash = Sha256::new();
                hash.update(namespace.database.as_bytes());
                hash.update(b".");
                hash.update(namespace.collection.as_bytes());
                hash.update(b"\0");
                hash.update(document_key.as_ref().or(full_document.as_ref()).map_or(&[][..], |bytes| bytes));
                f.write_str(&hex::encode(hash.finalize().get(..16).unwrap_or_default()))
            }
        }
    }
}

/// A BSON timestamp: unique and increasing in the oplog of one replica set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Seconds since 1970-01-01 UTC.
    pub time: u32,
    /// The ordinal within that second, from 1.
    pub increment: u32,
}

/// Displays a timestamp as users type it: `SECONDS.INCREMENT`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.time, self.increment)
    }
}

impl From<bson::Timestamp> for Timestamp {
    fn from(bson::Timestamp { time, increment }: bson::Timestamp) -> Self {
        Self { time, increment }
    }
}

impl From<Timestamp> for bson::Timestamp {
    fn from(Timestamp { time, increment }: Timestamp) -> Self {
        Self { time, increment }
    }
}

/// A database and a collection in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace {
    /// The database.
    pub database: Box<str>,
    /// The collection. Empty if the change affects the whole database.
    pub collection: Box<str>,
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.database)?;
        if !self.collection.is_empty() {
            write!(f, ".{}", self.collection)?;
        }
        Ok(())
    }
}

/// The operation of a change. The names are those of MongoDB's change events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names say it, and wit/types.wit in full")]
pub enum OperationType {
    Insert,
    Update,
    Replace,
    Delete,
    Create,
    Drop,
    Rename,
    DropDatabase,
    CreateIndexes,
    DropIndexes,
    Modify,
    Other,
    /// A timer was due. No source has it.
    Tick,
}

impl OperationType {
    /// All operation types.
    pub const ALL: [Self; 13] = [
        Self::Insert,
        Self::Update,
        Self::Replace,
        Self::Delete,
        Self::Create,
        Self::Drop,
        Self::Rename,
        Self::DropDatabase,
        Self::CreateIndexes,
        Self::DropIndexes,
        Self::Modify,
        Self::Other,
        Self::Tick,
    ];

    /// Returns the types that a change can have: all but [`Tick`](Self::Tick).
    pub fn changes() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|operation| *operation != Self::Tick)
    }

    /// Returns the type with this name, which may be that of a tick.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }

    /// Returns the name in MongoDB's change events, such as `dropDatabase`. Parsing accepts the name of a change.
    pub fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Replace => "replace",
            Self::Delete => "delete",
            Self::Create => "create",
            Self::Drop => "drop",
            Self::Rename => "rename",
            Self::DropDatabase => "dropDatabase",
            Self::CreateIndexes => "createIndexes",
            Self::DropIndexes => "dropIndexes",
            Self::Modify => "modify",
            Self::Other => "other",
            Self::Tick => "tick",
        }
    }
}

/// The error of a text that is not the name of a change's operation type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one of {}", OperationType::changes().map(OperationType::name).collect::<Vec<_>>().join(", "))]
pub struct ParseOperationTypeError;

impl FromStr for OperationType {
    type Err = ParseOperationTypeError;

    fn from_str(name: &str) -> Result<Self, ParseOperationTypeError> {
        Self::changes().find(|operation| operation.name() == name).ok_or(ParseOperationTypeError)
    }
}

#[cfg(test)]
mod tests {
    use bson::{Bson, RawDocumentBuf};

    use super::*;

    #[test]
    fn a_tick_is_not_the_type_of_a_change() {
        for operation in OperationType::changes() {
            assert_eq!(operation.name().parse(), Ok(operation));
        }
        let refused = "tick".parse::<OperationType>().unwrap_err();
        assert!(!refused.to_string().contains("tick"), "{refused}");
        assert_eq!(OperationType::named("tick"), Some(OperationType::Tick));
    }

    #[test]
    fn an_id_is_written_as_it_is_displayed() {
        let namespace = Arc::new(Namespace { database: "a".into(), collection: "b".into() });
        let timestamp = Timestamp { time: u32::MAX, increment: 0 };
        let mut op = Op::from_document(Origin::Replay, timestamp, namespace, None, Bytes::new());
        let mut id = "what was there".to_owned();
        for place in [OpPlace::Index(7), OpPlace::Token("82ab".into()), OpPlace::Document] {
            op.place = place;
            op.write_id(&mut id);
            assert_eq!(id, op.id().to_string());
        }
    }

    #[test]
    fn ids_are_those_of_each_sdk() {
        let cases = include_str!("../../../plugin-sdk/conformance/ids.jsonl");
        for case in cases.lines() {
            let case: serde_json::Value = serde_json::from_str(case).unwrap();
            let number = |value: &serde_json::Value| u32::try_from(value.as_u64().unwrap()).unwrap();
            let op = match case["timer"].as_str() {
                Some(timer) => {
                    Op::from_tick(timer, u32::try_from(case["at"].as_u64().unwrap() / 1000).unwrap())
                }
                None => {
                    let (database, collection) = case["namespace"]
                        .as_str()
                        .and_then(|name| name.split_once('.'))
                        .unwrap_or(("a", "b"));
                    let namespace = Namespace { database: database.into(), collection: collection.into() };
                    let key = case["documentKey"].as_object().map(|key| {
                        let Bson::Document(key) = Bson::try_from(key.clone()).unwrap() else {
                            panic!("{case}")
                        };
                        Bytes::from(RawDocumentBuf::try_from(key).unwrap().into_bytes())
                    });
                    let time = &case["timestamp"];
                    let timestamp =
                        Timestamp { time: number(&time["time"]), increment: number(&time["increment"]) };
                    let origin = Origin::Oplog;
                    let mut op = Op::from_document(origin, timestamp, Arc::new(namespace), key, Bytes::new());
                    if let Some(token) = case["token"].as_str() {
                        op.place = OpPlace::Token(token.into());
                    } else if case.get("index").is_some() {
                        op.place = OpPlace::Index(number(&case["index"]));
                    }
                    op
                }
            };
            assert_eq!(op.id().to_string(), case["id"].as_str().unwrap());
            assert!(
                regex::Regex::new(case["form"].as_str().unwrap()).unwrap().is_match(&op.id().to_string())
            );
        }
        assert!(cases.lines().count() > 5);
    }
}
