//! Parses a line of `gtm-host tail` into an op.

use std::sync::Arc;

use bson::{RawBsonRef, RawDocument};
use bytes::Bytes;
use gtm_oplog::value::{integer, milliseconds};
use gtm_oplog::{Namespace, Op, OpPlace, OperationType, Origin, Reply, Timestamp, Transaction};

use super::read::{Unreadable, read};

/// The maximum size of an op that is parsed, in bytes. It has three documents of up to 16 MB each.
pub(crate) const MAX_OP_SIZE: usize = 64 << 20;

/// Parses an op that [`write_op`](super::write_op) wrote, or the line of an earlier host: `id`, `timestamp`, and `ns` as a string. Only
/// `operationType` and `ns` are required.
///
/// # Errors
/// The text is not such an op.
pub fn read_op(json: &str) -> Result<Op, Unreadable> {
    let reply = Reply::new(read(json, MAX_OP_SIZE)?.into());
    let line = reply.as_document().map_err(|error| Unreadable(error.to_string()))?;
    op_of(&reply, line)
}

/// Returns the op of a line. The line is `line` in `reply`.
pub(crate) fn op_of(reply: &Reply, line: &RawDocument) -> Result<Op, Unreadable> {
    let field = |name: &str| line.get(name).ok().flatten().filter(|value| *value != RawBsonRef::Null);
    let text = |name: &str| field(name).and_then(|value| value.as_str());
    let missing = |name: &str| Unreadable(format!("the op has no string {name}"));
    let operation_type: OperationType = text("operationType")
        .ok_or_else(|| missing("operationType"))?
        .parse()
        .map_err(|error| Unreadable(format!("operationType: {error}")))?;
    let namespace = field("ns").and_then(namespace).map(Arc::new);
    let namespace = namespace.ok_or_else(|| Unreadable("the op has no ns".to_owned()))?;
    let place = match op_id(line).or_else(|| text("id")).and_then(|id| id.splitn(3, '.').nth(2)) {
        Some(place) => place.parse().map_or_else(|_| OpPlace::Token(place.into()), OpPlace::Index),
        None => OpPlace::Index(0),
    };
    let transaction = field("transaction").and_then(|value| value.as_document());
    let transaction = transaction.map(|transaction| {
        let index = transaction.get("index").ok().flatten().and_then(integer);
        Ok(Transaction {
            id: transaction.get_str("id").map_err(|_| missing("transaction.id"))?.into(),
            index: index.and_then(|index| index.try_into().ok()).unwrap_or(0),
        })
    });
    let part = |name: &str| match field(name) {
        None => Ok(None),
        Some(RawBsonRef::Document(document)) => Ok(Some(reply.cut(document))),
        // A part that is not valid BSON is written as its bytes.
        Some(RawBsonRef::Binary(bytes)) => Ok(Some(Bytes::copy_from_slice(bytes.bytes))),
        Some(_) => Err(Unreadable(format!("{name} is not a document"))),
    };
    Ok(Op {
        place,
        operation_type,
        namespace,
        transaction: transaction.transpose()?,
        origin: Origin::Replay,
        document_key: part("documentKey")?,
        full_document: part("fullDocument")?,
        full_document_before_change: part("fullDocumentBeforeChange")?,
        update_description: part("updateDescription")?,
        command: part("command")?,
        timestamp: time(line),
        wall_time: field("wallTime").and_then(milliseconds),
    })
}

/// Returns the id of the op that a document describes. None: the document is not an op that [`write_op`](super::write_op) wrote. The token
/// of a server has no dots.
pub(crate) fn op_id(line: &RawDocument) -> Option<&str> {
    let id = line.get_document("_id").ok()?.get_str("_data").ok()?;
    let (time, rest) = id.split_once('.')?;
    let (increment, place) = rest.split_once('.')?;
    let is_number = |digits: &str| digits.parse::<u32>().is_ok();
    (is_number(time) && is_number(increment) && !place.is_empty()).then_some(id)
}

/// Returns the time of a change. Null: the event has no time.
pub(crate) fn time(event: &RawDocument) -> Timestamp {
    let time = ["clusterTime", "timestamp"].into_iter().find_map(|name| event.get_timestamp(name).ok());
    time.map(Timestamp::from).unwrap_or_default()
}

/// Returns the namespace in `ns`: `{db, coll}`, or a string.
fn namespace(value: RawBsonRef<'_>) -> Option<Namespace> {
    let (database, collection) = match value {
        RawBsonRef::Document(parts) => (parts.get_str("db").ok()?, parts.get_str("coll").unwrap_or_default()),
        value => {
            let name = value.as_str()?;
            name.split_once('.').unwrap_or((name, ""))
        }
    };
    Some(Namespace { database: database.into(), collection: collection.into() })
}

#[cfg(test)]
mod tests {
    use super::super::{Form, write_op};
    use super::*;

    #[test]
    fn an_op_that_is_written_is_parsed_again() {
        for line in [
            concat!(
                r#"{"_id":{"_data":"7.2.3"},"operationType":"update","clusterTime":{"$timestamp":{"t":7,"i":2}},"#,
                r#""wallTime":{"$date":"2026-01-31T12:00:00Z"},"ns":{"db":"shop","coll":"orders.old"},"documentKey":{"_id":1},"fullDocument":{"_id":1,"text":"Grüße"},"#,
                r#""updateDescription":{"updatedFields":{"text":"Grüße"}},"transaction":{"id":"t","index":4},"origin":"replay"}"#
            ),
            concat!(
                r#"{"_id":{"_data":"0.0.document-cf8a"},"operationType":"insert","ns":{"db":"shop","coll":"orders"},"#,
                r#""documentKey":{"_id":{"$document":{"$oid":"no id"}}},"fullDocument":{"$binary":{"base64":"BQAAAAE=","subType":"00"}},"#,
                r#""updateDescription":{"updatedFields":{"a.b":1,"a.b":2}},"origin":"replay"}"#
            ),
        ] {
            let mut written = Vec::new();
            write_op(&read_op(line).unwrap(), Form::Relaxed, &mut written);
            assert_eq!(String::from_utf8(written).unwrap(), line);
        }
    }

    #[test]
    fn change_events_are_those_of_each_sdk() {
        let cases = include_str!("../../../../plugin-sdk/conformance/change_events.jsonl");
        for case in cases.lines() {
            let case: serde_json::Value = serde_json::from_str(case).unwrap();
            let mut op = read_op(case["canonical"].as_str().unwrap()).unwrap();
            op.origin = match case["op"]["origin"].as_str().unwrap() {
                "oplog" => Origin::Oplog,
                "change-stream" => Origin::ChangeStream,
                "snapshot" => Origin::Snapshot,
                _ => Origin::Replay,
            };
            for (form, name) in [(Form::Relaxed, "relaxed"), (Form::Canonical, "canonical")] {
                let mut written = Vec::new();
                write_op(&op, form, &mut written);
                assert_eq!(String::from_utf8(written).unwrap(), case[name].as_str().unwrap());
            }
        }
        assert!(cases.lines().count() > 5);
    }

    #[test]
    fn a_line_of_an_earlier_host_is_parsed() {
        let line = concat!(
            r#"{"id":"7.2.3","operationType":"drop","ns":"shop.orders.old","timestamp":{"$timestamp":{"t":7,"i":2}},"#,
            r#""command":{"drop":"orders.old"},"transaction":{"id":"t","index":4},"origin":"oplog"}"#
        );
        let mut written = Vec::new();
        write_op(&read_op(line).unwrap(), Form::Relaxed, &mut written);
        let expected = concat!(
            r#"{"_id":{"_data":"7.2.3"},"operationType":"drop","clusterTime":{"$timestamp":{"t":7,"i":2}},"#,
            r#""ns":{"db":"shop","coll":"orders.old"},"command":{"drop":"orders.old"},"transaction":{"id":"t","index":4},"origin":"replay"}"#
        );
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }

    #[test]
    fn a_text_that_is_not_an_op_is_refused_with_the_reason() {
        let said = |line: &str| read_op(line).unwrap_err().to_string();
        assert!(said("{").starts_with("not valid JSON at byte 1: "));
        assert!(said("[]").starts_with("not a document: "));
        assert_eq!(said("{}"), "the op has no string operationType");
        assert!(said(r#"{"operationType":"insrt","ns":"a.b"}"#).starts_with("operationType: "));
        assert_eq!(said(r#"{"operationType":"insert"}"#), "the op has no ns");
        assert_eq!(
            said(r#"{"operationType":"insert","ns":"a.b","fullDocument":3}"#),
            "fullDocument is not a document"
        );
        assert!(
            said(r#"{"operationType":"insert","ns":"a.b","documentKey":{"a":{"$oid":"x"}}}"#)
                .contains("$oid has a value that is not valid")
        );
    }
}
