//! A change, as a plugin sees it.

use std::fmt;

use bson::{DateTime, RawDocument};
use serde::Deserialize;

use crate::bindings::gtm::plugin::types;
pub use crate::bindings::gtm::plugin::types::{OperationType, Origin, Timestamp, Transaction};
use crate::decode_error::DecodeError;

/// One change in MongoDB.
///
/// Its documents are kept as the bytes that the server wrote. `document` and its relatives decode
/// one into a type of yours; `raw_document` and its relatives give access to single fields without
/// decoding the rest.
#[derive(Clone, Debug)]
pub struct Op(types::Op);

impl Op {
    /// The same each time this change is delivered, to whichever plugin: an idempotency key.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// What was done.
    pub fn operation_type(&self) -> OperationType {
        self.0.operation_type
    }

    /// A new document.
    pub fn is_insert(&self) -> bool {
        self.0.operation_type == OperationType::Insert
    }

    /// Some fields of a document were changed.
    pub fn is_update(&self) -> bool {
        self.0.operation_type == OperationType::Update
    }

    /// A document was replaced by another with the same key.
    pub fn is_replace(&self) -> bool {
        self.0.operation_type == OperationType::Replace
    }

    /// A document was removed.
    pub fn is_delete(&self) -> bool {
        self.0.operation_type == OperationType::Delete
    }

    /// Something was done to a collection, a database or an index, not to a document.
    pub fn is_command(&self) -> bool {
        !(self.is_insert() || self.is_update() || self.is_replace() || self.is_delete())
    }

    /// The database and collection.
    pub fn namespace(&self) -> Namespace<'_> {
        Namespace { database: &self.0.database, collection: &self.0.collection }
    }

    /// Where the op stands in the oplog.
    pub fn timestamp(&self) -> Timestamp {
        self.0.timestamp
    }

    /// When the server wrote it. Old servers do not say.
    pub fn wall_time(&self) -> Option<DateTime> {
        let millis = i64::try_from(self.0.wall_time?).ok()?;
        Some(DateTime::from_millis(millis))
    }

    /// The transaction it was part of.
    pub fn transaction(&self) -> Option<&Transaction> {
        self.0.transaction.as_ref()
    }

    /// Where the host read it.
    pub fn origin(&self) -> Origin {
        self.0.origin
    }

    /// 1 at the first delivery, then 2, 3, …
    pub fn attempt(&self) -> u32 {
        self.0.attempt
    }

    /// The document after the change, decoded. Of insert, replace and update; after an update it is
    /// the document as it was when the host looked, which can be later.
    ///
    /// # Errors
    /// The op has no document (a delete, or a document that was gone when the host looked), or it
    /// does not fit `T`.
    pub fn document<'a, T: Deserialize<'a>>(&'a self) -> Result<T, DecodeError> {
        decode("document", self.0.full_document.as_deref())
    }

    /// Like [`document`](Op::document), not decoded.
    ///
    /// # Errors
    /// As there, but for the type.
    pub fn raw_document(&self) -> Result<&RawDocument, DecodeError> {
        raw("document", self.0.full_document.as_deref())
    }

    /// The document before the change, decoded, where the server keeps it.
    ///
    /// # Errors
    /// It is not there, or does not fit `T`.
    pub fn document_before_change<'a, T: Deserialize<'a>>(&'a self) -> Result<T, DecodeError> {
        decode("document before the change", self.0.full_document_before_change.as_deref())
    }

    /// Like [`document_before_change`](Op::document_before_change), not decoded.
    ///
    /// # Errors
    /// As there, but for the type.
    pub fn raw_document_before_change(&self) -> Result<&RawDocument, DecodeError> {
        raw("document before the change", self.0.full_document_before_change.as_deref())
    }

    /// The `_id`, and the shard key where there is one, decoded. Of insert, update, replace, delete.
    ///
    /// # Errors
    /// The op is a command, or the key does not fit `T`.
    pub fn document_key<'a, T: Deserialize<'a>>(&'a self) -> Result<T, DecodeError> {
        decode("document key", self.0.document_key.as_deref())
    }

    /// Like [`document_key`](Op::document_key), not decoded.
    ///
    /// # Errors
    /// As there, but for the type.
    pub fn raw_document_key(&self) -> Result<&RawDocument, DecodeError> {
        raw("document key", self.0.document_key.as_deref())
    }

    /// `{updatedFields, removedFields, truncatedArrays}` of an update, decoded.
    ///
    /// # Errors
    /// The op is no update or its source does not give it, or it does not fit `T`.
    pub fn update_description<'a, T: Deserialize<'a>>(&'a self) -> Result<T, DecodeError> {
        decode("update description", self.0.update_description.as_deref())
    }

    /// Like [`update_description`](Op::update_description), not decoded.
    ///
    /// # Errors
    /// As there, but for the type.
    pub fn raw_update_description(&self) -> Result<&RawDocument, DecodeError> {
        raw("update description", self.0.update_description.as_deref())
    }

    /// What was done to the collection, database or index, as the server wrote it, decoded.
    ///
    /// # Errors
    /// The op is no command, or it does not fit `T`.
    pub fn command<'a, T: Deserialize<'a>>(&'a self) -> Result<T, DecodeError> {
        decode("command", self.0.command.as_deref())
    }

    /// Like [`command`](Op::command), not decoded.
    ///
    /// # Errors
    /// As there, but for the type.
    pub fn raw_command(&self) -> Result<&RawDocument, DecodeError> {
        raw("command", self.0.command.as_deref())
    }
}

#[doc(hidden)]
impl From<types::Op> for Op {
    fn from(op: types::Op) -> Self {
        Self(op)
    }
}

/// Prints as in MongoDB's change events: `insert`, `dropDatabase`, ….
impl fmt::Display for OperationType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
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
        })
    }
}

/// A database and a collection in it. Compares with `"users.users"`, prints as that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Namespace<'a> {
    /// The database.
    pub database: &'a str,
    /// The collection; empty where the change is to the whole database.
    pub collection: &'a str,
}

impl Namespace<'_> {
    /// Whether it is like one of these patterns, which stand between commas; in each, `*` stands for any characters:
    /// `shop.*, users.users`.
    pub fn matches(&self, patterns: &str) -> bool {
        let name = self.to_string();
        patterns.split(',').any(|pattern| is_like(pattern.trim(), &name))
    }
}

/// Returns whether a text is like a pattern, in which `*` stands for any characters.
pub(crate) fn is_like(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let mut parts: Vec<_> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        // The first place is as good as any: a star comes after it.
        let Some(at) = text.find(part) else { return false };
        text = text.get(at + part.len()..).unwrap_or_default();
    }
    text.ends_with(end)
}

impl fmt::Display for Namespace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.database)?;
        if !self.collection.is_empty() {
            write!(f, ".{}", self.collection)?;
        }
        Ok(())
    }
}

impl PartialEq<str> for Namespace<'_> {
    fn eq(&self, other: &str) -> bool {
        match other.split_once('.') {
            Some((database, collection)) => self.database == database && self.collection == collection,
            None => self.database == other && self.collection.is_empty(),
        }
    }
}

impl PartialEq<&str> for Namespace<'_> {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

fn raw<'a>(what: &'static str, bytes: Option<&'a [u8]>) -> Result<&'a RawDocument, DecodeError> {
    let bytes = bytes.ok_or(DecodeError::Missing(what))?;
    RawDocument::from_bytes(bytes).map_err(|error| DecodeError::malformed(what, &error))
}

fn decode<'a, T: Deserialize<'a>>(what: &'static str, bytes: Option<&'a [u8]>) -> Result<T, DecodeError> {
    let bytes = bytes.ok_or(DecodeError::Missing(what))?;
    bson::deserialize_from_slice(bytes).map_err(|error| DecodeError::unfit::<T>(what, bytes, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(document: Option<Vec<u8>>) -> Op {
        Op(types::Op {
            id: "1.1.0".into(),
            operation_type: OperationType::Insert,
            database: "shop".into(),
            collection: "orders.2026".into(),
            timestamp: Timestamp { time: 1, increment: 1 },
            wall_time: Some(1_000),
            document_key: None,
            full_document: document,
            full_document_before_change: None,
            update_description: None,
            command: None,
            transaction: None,
            origin: Origin::Oplog,
            attempt: 1,
        })
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Order<'a> {
        #[serde(borrow)]
        item: &'a str,
    }

    #[test]
    fn a_document_is_decoded_without_copying_its_strings() {
        let op = insert(Some(bson::serialize_to_vec(&bson::doc! { "item": "pen" }).unwrap()));
        assert_eq!(op.document::<Order<'_>>().unwrap(), Order { item: "pen" });
        assert_eq!(op.raw_document().unwrap().get_str("item").unwrap(), "pen");
    }

    #[test]
    fn what_is_missing_and_what_does_not_fit_are_told_apart() {
        let missing = insert(None).document::<Order<'_>>().unwrap_err();
        assert_eq!(missing.to_string(), "this op has no document");
        let garbage = insert(Some(b"no bson".to_vec()));
        assert!(matches!(garbage.document::<Order<'_>>(), Err(DecodeError::Malformed { .. })));
        assert!(matches!(garbage.raw_document(), Err(DecodeError::Malformed { .. })));
    }

    #[test]
    fn a_namespace_is_like_a_pattern_or_not() {
        let orders = Namespace { database: "shop", collection: "orders.2026" };
        for patterns in
            ["*", "shop.*", "*.orders.*", "users.users, shop.orders.2026", "s*p.o*2*6", "shop.orders.2026*"]
        {
            assert!(orders.matches(patterns), "{patterns}");
        }
        for patterns in ["", "shop", "shop.orders", "*orders", "shop.*7", "orders.*", "shop.orders.2026*6"] {
            assert!(!orders.matches(patterns), "{patterns}");
        }
    }

    #[test]
    fn a_namespace_is_split_at_its_first_dot() {
        let op = insert(None);
        assert_eq!(op.namespace(), "shop.orders.2026");
        assert!(op.namespace() != "shop.orders");
        assert_eq!(op.namespace().to_string(), "shop.orders.2026");
    }
}
