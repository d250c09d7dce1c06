//! What a change is. No I/O, no WebAssembly, no driver: sources make ops, plugins get them.

use std::fmt::{self, Write};
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

/// One change. Its documents are slices of the batch that it came in, kept alive by reference
/// count: cloning an op copies no document.
#[derive(Clone, Debug)]
pub struct Op {
    /// When the change became visible, by the server's logical clock. Null where a document was found in
    /// a file that says nothing of it.
    pub timestamp: Timestamp,
    /// What tells it from other ops of the same timestamp.
    pub place: OpPlace,
    /// Where it was read.
    pub origin: Origin,
    /// What was done.
    pub operation_type: OperationType,
    /// To which collection or database.
    pub namespace: Arc<Namespace>,
    /// When the server wrote it: milliseconds since 1970-01-01 UTC.
    pub wall_time: Option<u64>,
    /// `_id`, and the shard key where there is one. Of insert, update, replace, delete.
    pub document_key: Option<Bytes>,
    /// The document after the change.
    pub full_document: Option<Bytes>,
    /// The document before the change, where the server keeps it.
    pub full_document_before_change: Option<Bytes>,
    /// `{updatedFields, removedFields, truncatedArrays}` of an update.
    pub update_description: Option<Bytes>,
    /// Of everything that is no change to a document: the command as the server wrote it, or as its change
    /// event tells it. Of an update that has no description because its delta could not be read: that.
    pub command: Option<Bytes>,
    /// The transaction that it was part of.
    pub transaction: Option<Transaction>,
}

/// The place of an op in a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The same for every op of one transaction.
    pub id: Arc<str>,
    /// From 0.
    pub index: u32,
}

impl Op {
    /// A document as it was found, not as it was written: an insert that nothing more is known of.
    pub fn found(
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

    /// Its identity, the same each time it is read from the same source: to be displayed, as
    /// `SECONDS.INCREMENT.PLACE`, which is an atom in a Message-ID (RFC 5322) as it is.
    pub fn id(&self) -> OpId<'_> {
        OpId(self)
    }

    /// Writes [`id`](Self::id) in the place of what is in `out`: in the usual case in a third of the time that its display takes, which
    /// counts where it is done for each op.
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

    /// The bytes that its documents take.
    pub fn size(&self) -> usize {
        self.documents().into_iter().filter_map(|(_, document)| document).map(Bytes::len).sum()
    }

    /// Returns its documents by the names of their fields in an op that is printed.
    pub fn documents(&self) -> [(&'static str, Option<&Bytes>); 5] {
        [
            ("documentKey", self.document_key.as_ref()),
            ("fullDocument", self.full_document.as_ref()),
            ("fullDocumentBeforeChange", self.full_document_before_change.as_ref()),
            ("updateDescription", self.update_description.as_ref()),
            ("command", self.command.as_ref()),
        ]
    }

    /// Its documents.
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

/// What tells an op from others of the same timestamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpPlace {
    /// Which of the ops of its oplog entry or transaction, from 0.
    Index(u32),
    /// The resume token of its change event, in hexadecimal.
    Token(Arc<str>),
    /// It is a document as it was found: its namespace and document key tell it from others, or the whole
    /// document where it has no key, as in a view.
    Document,
}

/// Where an op was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The oplog of a replica set.
    Oplog,
    /// A change stream.
    ChangeStream,
    /// A document that was there before the stream began.
    Snapshot,
    /// A file.
    Replay,
}

/// The identity of an op, as [`Op::id`] says it.
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
                // What no token begins with, so that nobody takes it for a place to go on from.
                f.write_str("document-")?;
                // Keys have any length and form; half of this hash has none that two of them share.
                let mut hash = Sha256::new();
                hash.update(namespace.database.as_bytes());
                hash.update(b".");
                hash.update(namespace.collection.as_bytes());
                hash.update(b"\0");
                hash.update(document_key.as_ref().or(full_document.as_ref()).map_or(&[][..], |bytes| bytes));
                hash.finalize().iter().take(16).try_for_each(|byte| write!(f, "{byte:02x}"))
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

/// Prints as it is typed: `SECONDS.INCREMENT`.
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
    /// The collection; empty where the change is to the whole database.
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

/// What was done. The names are those of MongoDB's change events.
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
}

impl OperationType {
    /// Each of them once.
    pub const ALL: [Self; 12] = [
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
    ];

    /// As MongoDB's change events have it: `dropDatabase`. It is the name that is parsed, too.
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
        }
    }
}

/// Not an operation type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one of {}", OperationType::ALL.map(OperationType::name).join(", "))]
pub struct NoOperationType;

impl FromStr for OperationType {
    type Err = NoOperationType;

    fn from_str(name: &str) -> Result<Self, NoOperationType> {
        Self::ALL.into_iter().find(|operation| operation.name() == name).ok_or(NoOperationType)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_as_it_is_displayed() {
        let namespace = Arc::new(Namespace { database: "a".into(), collection: "b".into() });
        let timestamp = Timestamp { time: u32::MAX, increment: 0 };
        let mut op = Op::found(Origin::Replay, timestamp, namespace, None, Bytes::new());
        let mut id = "what was there".to_owned();
        for place in [OpPlace::Index(7), OpPlace::Token("82ab".into()), OpPlace::Document] {
            op.place = place;
            op.write_id(&mut id);
            assert_eq!(id, op.id().to_string());
        }
    }
}
