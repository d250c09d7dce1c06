//! Makes ops for tests.

use std::cell::Cell;

use bson::{Document, RawDocument, doc};

use crate::Op;
use crate::bindings::gtm::plugin::types::{self, OperationType, Origin, Timestamp};

thread_local! {
    /// The number of ops that were made on this thread, on which a test runs alone.
    static MADE: Cell<u32> = const { Cell::new(0) };
}

/// The time of all ops, in seconds since 1970.
const TIME: u32 = 1_700_000_000;

/// Makes an op step by step. Each op has an id of its own, in the form that a host gives to ops of this source: for the oplog
/// `1700000000.1.0`, then `1700000000.2.0`, … in each test.
#[derive(Clone, Debug)]
#[must_use = "build makes the op"]
pub struct OpBuilder {
    op: types::Op,
    /// The number of the op, from which its id is made.
    number: u32,
}

/// Makes an insert of this document.
pub fn insert(namespace: &str, document: Document) -> Op {
    OpBuilder::new(namespace, OperationType::Insert).key_of(&document).document(&document).build()
}

/// Makes a replacement by this document.
pub fn replace(namespace: &str, document: Document) -> Op {
    OpBuilder::new(namespace, OperationType::Replace).key_of(&document).document(&document).build()
}

/// Makes an update with the document after the change, and with its description: `{updatedFields, removedFields}`.
pub fn update(namespace: &str, document: Document, description: Document) -> Op {
    let op = OpBuilder::new(namespace, OperationType::Update).key_of(&document).document(&document);
    op.description(&description).build()
}

/// Makes a delete of the document with this key.
pub fn delete(namespace: &str, key: Document) -> Op {
    OpBuilder::new(namespace, OperationType::Delete).key(&key).build()
}

impl OpBuilder {
    /// Begins an op of this type in `database.collection`.
    pub fn new(namespace: &str, operation_type: OperationType) -> Self {
        let (database, collection) = namespace.split_once('.').unwrap_or((namespace, ""));
        let increment = MADE.get() + 1;
        MADE.set(increment);
        let op = types::Op {
            id: String::new(),
            operation_type,
            database: database.to_owned(),
            collection: collection.to_owned(),
            timestamp: Timestamp { time: TIME, increment },
            wall_time: Some(u64::from(TIME) * 1000),
            document_key: None,
            full_document: None,
            full_document_before_change: None,
            update_description: None,
            command: None,
            transaction: None,
            origin: Origin::Oplog,
            attempt: 1,
        };
        Self { op, number: increment }
    }

    /// Sets the id.
    pub fn id(mut self, id: &str) -> Self {
        self.op.id = id.to_owned();
        self
    }

    /// Sets the number of the attempt.
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.op.attempt = attempt;
        self
    }

    /// Sets the document key.
    pub fn key(mut self, key: &Document) -> Self {
        self.op.document_key = bytes(key);
        self
    }

    fn key_of(self, document: &Document) -> Self {
        let id = document.get("_id").cloned().unwrap_or_default();
        self.key(&doc! { "_id": id })
    }

    /// Sets the document after the change.
    pub fn document(mut self, document: &Document) -> Self {
        self.op.full_document = bytes(document);
        self
    }

    /// Sets the document before the change.
    pub fn before(mut self, document: &Document) -> Self {
        self.op.full_document_before_change = bytes(document);
        self
    }

    /// Sets the update description.
    pub fn description(mut self, description: &Document) -> Self {
        self.op.update_description = bytes(description);
        self
    }

    /// Sets the update description, in which several fields may have the same name.
    pub fn raw_description(mut self, description: &RawDocument) -> Self {
        self.op.update_description = Some(description.as_bytes().to_vec());
        self
    }

    /// Sets the timestamp.
    pub fn timestamp(mut self, timestamp: Timestamp) -> Self {
        self.op.timestamp = timestamp;
        self
    }

    /// Sets the time at which the server wrote it, in milliseconds since 1970. None: the server does not report it.
    pub fn wall_time(mut self, millis: Option<u64>) -> Self {
        self.op.wall_time = millis;
        self
    }

    /// Sets the place in a transaction.
    pub fn transaction(mut self, id: &str, index: u32) -> Self {
        self.op.transaction = Some(types::Transaction { id: id.to_owned(), index });
        self
    }

    /// Sets the source.
    pub fn origin(mut self, origin: Origin) -> Self {
        self.op.origin = origin;
        self
    }

    /// Sets the command.
    pub fn command(mut self, command: &Document) -> Self {
        self.op.command = bytes(command);
        self
    }

    /// Returns the op.
    pub fn build(mut self) -> Op {
        if self.op.id.is_empty() {
            self.op.id = id(self.number, self.op.origin);
        }
        Op::from(self.op)
    }
}

/// Returns the id of the op with this number, as a host gives it to an op of this source.
fn id(number: u32, origin: Origin) -> String {
    match origin {
        Origin::Oplog | Origin::Replay => format!("{TIME}.{number}.0"),
        // A token begins with the timestamp.
        Origin::ChangeStream => format!("{TIME}.{number}.82{TIME:08X}{number:08X}"),
        Origin::Snapshot => format!("{TIME}.{number}.document-{number:032x}"),
    }
}

/// Encodes a document.
fn bytes(document: &Document) -> Option<Vec<u8>> {
    bson::serialize_to_vec(document).ok()
}
