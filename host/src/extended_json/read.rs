//! Extended JSON as BSON, and a line of `gtm-host tail` as an op.

use std::sync::Arc;

use bson::{Bson, Document};
use bytes::Bytes;
use serde_json::{Map, Value};

use crate::op::{Namespace, Op, OperationType, Origin, Place, Timestamp, Transaction};

/// A text that is not what it should be.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

/// A document of Extended JSON, in either form. It may have 128 levels, as serde_json takes no more.
///
/// # Errors
/// It is none.
pub fn read_document(json: &str) -> Result<Document, Unreadable> {
    let value = serde_json::from_str(json).map_err(|error| Unreadable(format!("no JSON: {error}")))?;
    document(value)
}

fn document(value: Value) -> Result<Document, Unreadable> {
    match Bson::try_from(value) {
        Ok(Bson::Document(document)) => Ok(document),
        Ok(_) => Err(Unreadable("no document: it should begin with { and hold fields".to_owned())),
        Err(error) => Err(Unreadable(format!("no Extended JSON: {error}"))),
    }
}

/// An op, as [`write_op`](super::write_op) writes it. What is left out is none, but for `operationType` and `ns`.
///
/// # Errors
/// It is none.
pub fn read_op(json: &str) -> Result<Op, Unreadable> {
    let value = serde_json::from_str(json).map_err(|error| Unreadable(format!("no JSON: {error}")))?;
    let Value::Object(mut fields) = value else {
        return Err(Unreadable("no JSON object".to_owned()));
    };
    let needed = |name: &str| Unreadable(format!("it has no text {name}"));
    let operation = fields.get("operationType").and_then(Value::as_str);
    let operation_type: OperationType = operation
        .ok_or_else(|| needed("operationType"))?
        .parse()
        .map_err(|error| Unreadable(format!("operationType: {error}")))?;
    let namespace = fields.get("ns").and_then(Value::as_str).ok_or_else(|| needed("ns"))?;
    let (database, collection) = namespace.split_once('.').unwrap_or((namespace, ""));
    let namespace = Arc::new(Namespace { database: database.into(), collection: collection.into() });
    let place = match fields.get("id").and_then(Value::as_str).and_then(|id| id.splitn(3, '.').nth(2)) {
        Some(place) => place.parse().map_or_else(|_| Place::Token(place.into()), Place::Index),
        None => Place::Index(0),
    };
    let transaction = match fields.remove("transaction") {
        Some(Value::Object(transaction)) => Some(Transaction {
            id: transaction.get("id").and_then(Value::as_str).ok_or_else(|| needed("transaction.id"))?.into(),
            index: transaction
                .get("index")
                .and_then(Value::as_u64)
                .and_then(|index| index.try_into().ok())
                .unwrap_or(0),
        }),
        _ => None,
    };
    let mut part = |name: &str| bytes(&mut fields, name);
    Ok(Op {
        place,
        operation_type,
        namespace,
        transaction,
        origin: Origin::Replay,
        document_key: part("documentKey")?,
        full_document: part("fullDocument")?,
        full_document_before_change: part("fullDocumentBeforeChange")?,
        update_description: part("updateDescription")?,
        command: part("command")?,
        timestamp: match scalar(&mut fields, "timestamp")? {
            Some(Bson::Timestamp(timestamp)) => {
                Timestamp { time: timestamp.time, increment: timestamp.increment }
            }
            _ => Timestamp::default(),
        },
        wall_time: match scalar(&mut fields, "wallTime")? {
            Some(Bson::DateTime(at)) => u64::try_from(at.timestamp_millis()).ok(),
            _ => None,
        },
    })
}

fn scalar(fields: &mut Map<String, Value>, name: &str) -> Result<Option<Bson>, Unreadable> {
    let value = fields.remove(name).filter(|value| !value.is_null());
    let value = value.map(Bson::try_from).transpose();
    value.map_err(|error| Unreadable(format!("{name} is no Extended JSON: {error}")))
}

fn bytes(fields: &mut Map<String, Value>, name: &str) -> Result<Option<Bytes>, Unreadable> {
    let Some(value) = fields.remove(name).filter(|value| !value.is_null()) else { return Ok(None) };
    let document = document(value).map_err(|error| Unreadable(format!("{name} is {error}")))?;
    let bytes = bson::serialize_to_vec(&document).map_err(|error| Unreadable(error.to_string()))?;
    Ok(Some(bytes.into()))
}

#[cfg(test)]
mod tests {
    use super::super::{Form, write_op};
    use super::*;

    #[test]
    fn what_is_written_is_read_the_same() {
        let line = concat!(
            r#"{"id":"7.2.3","operationType":"update","ns":"shop.orders.old","timestamp":{"$timestamp":{"t":7,"i":2}},"#,
            r#""wallTime":{"$date":"2026-01-31T12:00:00Z"},"documentKey":{"_id":1},"fullDocument":{"_id":1,"text":"Grüße"},"#,
            r#""updateDescription":{"updatedFields":{"text":"Grüße"}},"transaction":{"id":"t","index":4},"origin":"replay"}"#
        );
        let mut written = Vec::new();
        write_op(&read_op(line).unwrap(), Form::Relaxed, &mut written);
        assert_eq!(String::from_utf8(written).unwrap(), line);
    }

    #[test]
    fn what_is_no_op_is_said() {
        let said = |line: &str| read_op(line).unwrap_err().to_string();
        assert!(said("{").starts_with("no JSON: "));
        assert_eq!(said("[]"), "no JSON object");
        assert_eq!(said("{}"), "it has no text operationType");
        assert!(said(r#"{"operationType":"insrt","ns":"a.b"}"#).starts_with("operationType: "));
        assert_eq!(said(r#"{"operationType":"insert"}"#), "it has no text ns");
        assert!(
            said(r#"{"operationType":"insert","ns":"a.b","fullDocument":3}"#)
                .starts_with("fullDocument is no document")
        );
        assert!(
            said(r#"{"operationType":"insert","ns":"a.b","documentKey":{"a":{"$oid":"x"}}}"#)
                .contains("no Extended JSON")
        );
    }
}
