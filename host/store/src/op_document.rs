//! Converts an op to a document and back without loss. Documents of the op are copied, never decoded.

use std::sync::Arc;

use bson::raw::{CStr, cstr};
use bson::spec::BinarySubtype;
use bson::{RawBinaryRef, RawBsonRef, RawDocumentBuf, rawdoc};
use bytes::Bytes;
use gtm_oplog::{Namespace, Op, OpPlace, OperationType, Origin, Timestamp, Transaction};

use super::StoreError;
use super::fields::StoredFields;

const ORIGINS: [(Origin, &str); 5] = [
    (Origin::Oplog, "oplog"),
    (Origin::ChangeStream, "change-stream"),
    (Origin::Snapshot, "snapshot"),
    (Origin::Replay, "replay"),
    (Origin::Timer, "timer"),
];

pub(super) fn encode(op: &Op) -> RawDocumentBuf {
    let mut document = rawdoc! {
        "timestamp": bson::Timestamp::from(op.timestamp),
        "operationType": op.operation_type.name(),
        "database": &*op.namespace.database,
        "collection": &*op.namespace.collection,
    };
    if let Some((_, origin)) = ORIGINS.iter().find(|(origin, _)| *origin == op.origin) {
        document.append(cstr!("origin"), *origin);
    }
    match &op.place {
        OpPlace::Index(index) => document.append(cstr!("place"), i64::from(*index)),
        OpPlace::Token(token) => document.append(cstr!("place"), &**token),
        OpPlace::Document => {}
    }
    if let Some(time) = op.wall_time {
        document.append(cstr!("wallTime"), bson::DateTime::from_millis(time.cast_signed()));
    }
    if let Some(Transaction { id, index }) = &op.transaction {
        document.append(cstr!("transaction"), rawdoc! { "id": &**id, "index": i64::from(*index) });
    }
    let parts: [(&CStr, _); 5] = [
        (cstr!("documentKey"), &op.document_key),
        (cstr!("fullDocument"), &op.full_document),
        (cstr!("fullDocumentBeforeChange"), &op.full_document_before_change),
        (cstr!("updateDescription"), &op.update_description),
        (cstr!("command"), &op.command),
    ];
    for (name, bytes) in parts {
        let Some(bytes) = bytes else { continue };
        match bson::RawDocument::from_bytes(bytes) {
            Ok(part) => document.append(name, part),
            // Not valid BSON, but what the plugin would get.
            Err(_) => document.append(name, RawBinaryRef { subtype: BinarySubtype::Generic, bytes }),
        }
    }
    document
}

pub(super) fn decode(fields: &StoredFields<'_>) -> Result<Op, StoreError> {
    let timestamp = fields.value("timestamp")?.as_timestamp();
    let origin = fields.text("origin")?;
    let bytes = |name: &str| {
        Ok(match fields.find(name)? {
            None => None,
            Some(RawBsonRef::Document(document)) => Some(Bytes::copy_from_slice(document.as_bytes())),
            Some(RawBsonRef::Binary(binary)) => Some(Bytes::copy_from_slice(binary.bytes)),
            Some(_) => return Err(fields.wrong(name, "a document")),
        })
    };
    let place = match fields.find("place")? {
        None => OpPlace::Document,
        Some(RawBsonRef::String(token)) => OpPlace::Token(token.into()),
        Some(_) => OpPlace::Index(u32_of(fields, "place")?),
    };
    let transaction = match fields.find("transaction")? {
        None => None,
        Some(value) => {
            let document = value.as_document().ok_or_else(|| fields.wrong("transaction", "a document"))?;
            let fields = StoredFields { document, what: fields.what.clone(), ..*fields };
            Some(Transaction { id: fields.text("id")?.into(), index: u32_of(&fields, "index")? })
        }
    };
    let wall_time = fields.find("wallTime")?.is_some().then(|| fields.date("wallTime")).transpose()?;
    Ok(Op {
        timestamp: Timestamp::from(timestamp.ok_or_else(|| fields.wrong("timestamp", "a timestamp"))?),
        place,
        origin: ORIGINS
            .iter()
            .find(|(_, name)| *name == origin)
            .map(|(origin, _)| *origin)
            .ok_or_else(|| fields.wrong("origin", "one of oplog, change-stream, snapshot, replay, timer"))?,
        operation_type: operation_of(fields)?,
        namespace: Arc::new(Namespace {
            database: fields.text("database")?.into(),
            collection: fields.text("collection")?.into(),
        }),
        wall_time: wall_time.map(|time| time.timestamp_millis().cast_unsigned()),
        document_key: bytes("documentKey")?,
        full_document: bytes("fullDocument")?,
        full_document_before_change: bytes("fullDocumentBeforeChange")?,
        update_description: bytes("updateDescription")?,
        command: bytes("command")?,
        transaction,
    })
}

/// Returns the type of a stored op, which may be a tick.
pub(super) fn operation_of(fields: &StoredFields<'_>) -> Result<OperationType, StoreError> {
    let named = OperationType::named(fields.text("operationType")?);
    named.ok_or_else(|| fields.wrong("operationType", "the name of an operation"))
}

pub(super) fn u32_of(fields: &StoredFields<'_>, name: &str) -> Result<u32, StoreError> {
    u32::try_from(fields.integer(name)?)
        .map_err(|_| fields.wrong(name, "a whole number from 0 to 4294967295"))
}
