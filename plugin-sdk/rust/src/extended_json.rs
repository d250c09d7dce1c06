//! BSON as Extended JSON (version 2), on one line, as `gtm-host tail` prints it: all fields of a document are there, also several with
//! the same name, which an update description can have.
//!
//! The host writes it. In a test, [`testing`](crate::testing) does.

use bson::raw::cstr;
use bson::{RawDocument, RawDocumentBuf, Timestamp, rawdoc};

#[cfg(target_family = "wasm")]
use crate::bindings::gtm::plugin::extended_json as host;
#[cfg(not(target_family = "wasm"))]
use crate::testing::extended_json as host;
use crate::{DecodeError, Error, Failure, Namespace, Op};

/// Returns a document as JSON has it where it can: `{"n":1,"at":{"$date":"2026-01-31T12:00:00Z"}}`.
///
/// # Errors
/// Its bytes are not BSON, or the text is too large for the host.
pub fn relaxed(document: &RawDocument) -> Result<String, Error> {
    host::encode(document.as_bytes()).map_err(Error::from)
}

/// Returns a document with the type of each value: `{"n":{"$numberInt":"1"}}`.
///
/// # Errors
/// Its bytes are not BSON, or the text is too large for the host.
pub fn canonical(document: &RawDocument) -> Result<String, Error> {
    host::encode_canonical(document.as_bytes()).map_err(Error::from)
}

/// Returns a change as one line of JSON with the names of MongoDB's change events: `_id` (`{"_data": …}`, with the op's id),
/// `operationType`, `clusterTime`, `wallTime`, `ns`, `documentKey`, `fullDocument`, `fullDocumentBeforeChange`, `updateDescription`, and
/// `command` for what change events do not have. All fields of a document are there, also several with the same name.
///
/// # Errors
/// A document of the op is not BSON.
pub fn change_event(op: &Op) -> Result<String, Failure> {
    let Namespace { database, collection } = op.namespace();
    let mut namespace = rawdoc! { "db": database };
    if !collection.is_empty() {
        namespace.append(cstr!("coll"), collection);
    }
    let crate::Timestamp { time, increment } = op.timestamp();
    let mut fields = rawdoc! {
        "_id": { "_data": op.id() },
        "operationType": op.operation_type().to_string(),
        "clusterTime": Timestamp { time, increment },
    };
    if let Some(time) = op.wall_time() {
        fields.append(cstr!("wallTime"), time);
    }
    fields.append(cstr!("ns"), namespace);
    event(&fields, op)
}

/// Returns these fields, and after them the documents that an op has, under their names in change events: `documentKey`,
/// `fullDocument`, `fullDocumentBeforeChange`, `updateDescription`, `command`.
///
/// # Errors
/// A document of the op is not BSON.
pub fn event(fields: &RawDocumentBuf, op: &Op) -> Result<String, Failure> {
    let mut event = relaxed(fields)?;
    event.pop();
    let parts = [
        ("documentKey", op.raw_document_key()),
        ("fullDocument", op.raw_document()),
        ("fullDocumentBeforeChange", op.raw_document_before_change()),
        ("updateDescription", op.raw_update_description()),
        ("command", op.raw_command()),
    ];
    for (name, part) in parts {
        let document = match part {
            Ok(document) => relaxed(document)?,
            Err(DecodeError::Missing(_)) => continue,
            Err(malformed) => return Err(malformed.into()),
        };
        let comma = if event.len() > 1 { "," } else { "" };
        event.push_str(&format!("{comma}\"{name}\":{document}"));
    }
    event.push('}');
    Ok(event)
}

#[cfg(test)]
mod tests {
    use bson::{DateTime, doc};

    use super::*;
    use crate::testing::insert;

    #[test]
    fn fields_of_the_same_name_are_all_there_in_the_order_they_have() {
        let mut inner = RawDocumentBuf::new();
        inner.append(cstr!("a.b"), 1);
        inner.append(cstr!("a.b"), 2_i64);
        let document = rawdoc! { "z": [inner], "a": "\"" };
        assert_eq!(relaxed(&document).unwrap(), r#"{"z":[{"a.b":1,"a.b":2}],"a":"\""}"#);
        let expected = r#"{"z":[{"a.b":{"$numberInt":"1"},"a.b":{"$numberLong":"2"}}],"a":"\""}"#;
        assert_eq!(canonical(&document).unwrap(), expected);
    }

    #[test]
    fn a_date_that_has_no_four_digits_of_a_year_is_a_number() {
        let date = |millis| relaxed(&rawdoc! { "d": DateTime::from_millis(millis) }).unwrap();
        assert_eq!(date(1_700_000_000_120), r#"{"d":{"$date":"2023-11-14T22:13:20.120Z"}}"#);
        assert_eq!(date(0), r#"{"d":{"$date":"1970-01-01T00:00:00Z"}}"#);
        assert_eq!(date(-1), r#"{"d":{"$date":{"$numberLong":"-1"}}}"#);
        assert_eq!(date(253_402_300_800_000), r#"{"d":{"$date":{"$numberLong":"253402300800000"}}}"#);
    }

    #[test]
    fn a_change_event_has_the_documents_of_its_op() {
        let op = insert("a.b", doc! { "_id": 1 });
        let expected = concat!(
            r#"{"_id":{"_data":"1700000000.1.0"},"operationType":"insert","clusterTime":{"$timestamp":{"t":1700000000,"i":1}},"#,
            r#""wallTime":{"$date":"2023-11-14T22:13:20Z"},"ns":{"db":"a","coll":"b"},"documentKey":{"_id":1},"fullDocument":{"_id":1}}"#
        );
        assert_eq!(change_event(&op).unwrap(), expected);
    }
}
