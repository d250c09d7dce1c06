//! A change as JSON, with the names of MongoDB's change events.

use gtm_plugin::bson::{Bson, Document, RawDocument, Timestamp, doc};
use gtm_plugin::{DecodeError, Failure, Op};
use serde_json::Value;

pub(crate) fn of(op: &Op) -> Result<Value, Failure> {
    let namespace = op.namespace();
    let gtm_plugin::Timestamp { time, increment } = op.timestamp();
    let mut event = doc! {
        "id": op.id(),
        "operationType": op.operation_type().to_string(),
        "ns": { "db": namespace.database, "coll": namespace.collection },
        "clusterTime": Timestamp { time, increment },
    };
    if let Some(at) = op.wall_time() {
        event.insert("wallTime", at);
    }
    let parts = [
        ("documentKey", op.raw_document_key()),
        ("fullDocument", op.raw_document()),
        ("fullDocumentBeforeChange", op.raw_document_before_change()),
        ("updateDescription", op.raw_update_description()),
        ("command", op.raw_command()),
    ];
    for (name, part) in parts {
        if let Some(document) = present(part)? {
            event.insert(name, document);
        }
    }
    event.insert("attempt", i64::from(op.attempt()));
    Ok(Bson::Document(event).into_relaxed_extjson())
}

fn present(part: Result<&RawDocument, DecodeError>) -> Result<Option<Document>, Failure> {
    match part {
        Ok(raw) => Document::try_from(raw).map(Some).map_err(Failure::reject),
        Err(DecodeError::Missing(_)) => Ok(None),
        Err(malformed) => Err(malformed.into()),
    }
}
