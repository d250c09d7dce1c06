//! Writes an op as a change event on one line.

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, RawDocument};
use gtm_oplog::{Namespace, Op, Origin, Timestamp};

use super::{Form, json, text, write};

/// Appends `op` to `out` as a change event: with the names that MongoDB's change events have, and `command`, `transaction` and `origin`
/// for what those lack. Unknown parts are left out. A part that is not valid BSON is written as the binary value of its bytes.
///
/// The event is the same each time the op is delivered. `docs/reference/change-event.md` describes it.
pub fn write_op(op: &Op, form: Form, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"_id":{"_data":"#);
    text(&op.id().to_string(), out);
    out.push(b'}');
    field("operationType", out);
    text(op.operation_type.name(), out);
    if op.timestamp != Timestamp::default() {
        field("clusterTime", out);
        json(Bson::Timestamp(op.timestamp.into()), form, out);
    }
    if let Some(millis) = op.wall_time.and_then(|millis| i64::try_from(millis).ok()) {
        field("wallTime", out);
        json(Bson::DateTime(DateTime::from_millis(millis)), form, out);
    }
    namespace(&op.namespace, out);
    for (name, document) in op.documents() {
        let Some(bytes) = document else { continue };
        field(name, out);
        let written = RawDocument::from_bytes(bytes).is_ok_and(|document| write(document, form, out).is_ok());
        if !written {
            let binary = Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() };
            json(Bson::Binary(binary), form, out);
        }
    }
    if let Some(transaction) = &op.transaction {
        field("transaction", out);
        out.extend_from_slice(br#"{"id":"#);
        text(&transaction.id, out);
        field("index", out);
        json(Bson::Int64(transaction.index.into()), form, out);
        out.push(b'}');
    }
    field("origin", out);
    let origin = match op.origin {
        Origin::Oplog => "oplog",
        Origin::ChangeStream => "change-stream",
        Origin::Snapshot => "snapshot",
        Origin::Replay => "replay",
        Origin::Timer => "timer",
    };
    text(origin, out);
    out.push(b'}');
}

/// Appends `ns`: `{"db": …, "coll": …}`, without `coll` if the change affects a whole database.
fn namespace(namespace: &Namespace, out: &mut Vec<u8>) {
    field("ns", out);
    out.extend_from_slice(br#"{"db":"#);
    text(&namespace.database, out);
    if !namespace.collection.is_empty() {
        field("coll", out);
        text(&namespace.collection, out);
    }
    out.push(b'}');
}

fn field(name: &str, out: &mut Vec<u8>) {
    out.push(b',');
    text(name, out);
    out.push(b':');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gtm_oplog::{OpPlace, OperationType, Transaction};

    use super::*;

    #[test]
    fn a_line_has_every_part_of_an_op() {
        let document = |document: bson::Document| Some(bson::serialize_to_vec(&document).unwrap().into());
        let op = Op {
            timestamp: Timestamp { time: 17, increment: 3 },
            place: OpPlace::Index(1),
            origin: Origin::Replay,
            operation_type: OperationType::DropDatabase,
            namespace: Arc::new(Namespace { database: "a".into(), collection: "".into() }),
            wall_time: Some(1),
            document_key: document(bson::doc! { "_id": 1 }),
            full_document: Some(vec![5, 0, 0, 0, 1].into()),
            full_document_before_change: None,
            update_description: None,
            command: document(bson::doc! { "dropDatabase": 1 }),
            transaction: Some(Transaction { id: "t".into(), index: 1 }),
        };
        let mut line = Vec::new();
        write_op(&op, Form::Canonical, &mut line);
        let expected = concat!(
            r#"{"_id":{"_data":"17.3.1"},"operationType":"dropDatabase","clusterTime":{"$timestamp":{"t":17,"i":3}},"#,
            r#""wallTime":{"$date":{"$numberLong":"1"}},"ns":{"db":"a"},"documentKey":{"_id":{"$numberInt":"1"}},"#,
            r#""fullDocument":{"$binary":{"base64":"BQAAAAE=","subType":"00"}},"#,
            r#""command":{"dropDatabase":{"$numberInt":"1"}},"transaction":{"id":"t","index":{"$numberLong":"1"}},"origin":"replay"}"#,
        );
        assert_eq!(String::from_utf8(line).unwrap(), expected);
    }
}
