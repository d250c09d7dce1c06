//! Ops, made by hand.

use bson::{Document, RawDocument, doc};

use crate::Op;
use crate::bindings::gtm::plugin::types::{self, OperationType, Origin, Timestamp};

/// An op, as it is made.
#[derive(Clone, Debug)]
#[must_use = "build makes the op"]
pub struct OpBuilder(types::Op);

/// A document that is new.
pub fn insert(namespace: &str, document: Document) -> Op {
    OpBuilder::new(namespace, OperationType::Insert).key_of(&document).document(&document).build()
}

/// A document in the place of another.
pub fn replace(namespace: &str, document: Document) -> Op {
    OpBuilder::new(namespace, OperationType::Replace).key_of(&document).document(&document).build()
}

/// A document of which some fields were changed: as it is now, and `{updatedFields, removedFields}`.
pub fn update(namespace: &str, document: Document, description: Document) -> Op {
    let op = OpBuilder::new(namespace, OperationType::Update).key_of(&document).document(&document);
    op.description(&description).build()
}

/// A document that was removed.
pub fn delete(namespace: &str, key: Document) -> Op {
    OpBuilder::new(namespace, OperationType::Delete).key(&key).build()
}

impl OpBuilder {
    /// An op of this type in `database.collection`.
    pub fn new(namespace: &str, operation_type: OperationType) -> Self {
        let (database, collection) = namespace.split_once('.').unwrap_or((namespace, ""));
        Self(types::Op {
            id: "1700000000.1.0".to_owned(),
            operation_type,
            database: database.to_owned(),
            collection: collection.to_owned(),
            timestamp: Timestamp { time: 1_700_000_000, increment: 1 },
            wall_time: Some(1_700_000_000_000),
            document_key: None,
            full_document: None,
            full_document_before_change: None,
            update_description: None,
            command: None,
            transaction: None,
            origin: Origin::Oplog,
            attempt: 1,
        })
    }

    /// With this id.
    pub fn id(mut self, id: &str) -> Self {
        self.0.id = id.to_owned();
        self
    }

    /// With this number of the attempt.
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.0.attempt = attempt;
        self
    }

    /// With this document key.
    pub fn key(mut self, key: &Document) -> Self {
        self.0.document_key = bytes(key);
        self
    }

    fn key_of(self, document: &Document) -> Self {
        let id = document.get("_id").cloned().unwrap_or_default();
        self.key(&doc! { "_id": id })
    }

    /// With this document after the change.
    pub fn document(mut self, document: &Document) -> Self {
        self.0.full_document = bytes(document);
        self
    }

    /// With this document before the change.
    pub fn before(mut self, document: &Document) -> Self {
        self.0.full_document_before_change = bytes(document);
        self
    }

    /// With this update description.
    pub fn description(mut self, description: &Document) -> Self {
        self.0.update_description = bytes(description);
        self
    }

    /// With this update description, in which several fields may have the same name.
    pub fn raw_description(mut self, description: &RawDocument) -> Self {
        self.0.update_description = Some(description.as_bytes().to_vec());
        self
    }

    /// Read there.
    pub fn origin(mut self, origin: Origin) -> Self {
        self.0.origin = origin;
        self
    }

    /// With this command.
    pub fn command(mut self, command: &Document) -> Self {
        self.0.command = bytes(command);
        self
    }

    /// The op.
    pub fn build(self) -> Op {
        Op::from(self.0)
    }
}

/// A document that a program holds can be written.
fn bytes(document: &Document) -> Option<Vec<u8>> {
    bson::serialize_to_vec(document).ok()
}
