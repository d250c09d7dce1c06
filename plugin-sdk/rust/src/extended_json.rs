//! BSON as Extended JSON (version 2), on one line, as `gtm-host tail` prints it: all fields of a document are there, also several with
//! the same name, which an update description can have.
//!
//! The host writes it. In a test, [`testing`](crate::testing) does.

use bson::{RawDocument, RawDocumentBuf};

#[cfg(target_family = "wasm")]
use crate::bindings::gtm::plugin::extended_json as host;
#[cfg(not(target_family = "wasm"))]
use crate::testing::extended_json as host;
use crate::{DecodeError, Failure, Op};

/// Bytes that are not BSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotBson(String);

/// What cannot be read now cannot be read later: reject.
impl From<NotBson> for Failure {
    fn from(error: NotBson) -> Self {
        Self::reject(error)
    }
}

/// Returns a document as JSON has it where it can: `{"n":1,"at":{"$date":"2026-01-31T12:00:00Z"}}`.
///
/// # Errors
/// Its bytes are not BSON.
pub fn relaxed(document: &RawDocument) -> Result<String, NotBson> {
    host::encode(document.as_bytes()).map_err(NotBson)
}

/// Returns a document with the type of each value: `{"n":{"$numberInt":"1"}}`.
///
/// # Errors
/// Its bytes are not BSON.
pub fn canonical(document: &RawDocument) -> Result<String, NotBson> {
    host::encode_canonical(document.as_bytes()).map_err(NotBson)
}

/// Returns `fields`, and after them the documents that an op has, under their names in change events: `documentKey`,
/// `fullDocument`, `fullDocumentBeforeChange`, `updateDescription`, `command`. Relaxed.
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
    use bson::raw::cstr;
    use bson::{DateTime, doc, rawdoc};

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
    fn an_event_has_the_documents_of_its_op() {
        let op = insert("a.b", doc! { "_id": 1 });
        let expected = r#"{"n":1,"documentKey":{"_id":1},"fullDocument":{"_id":1}}"#;
        assert_eq!(event(&rawdoc! { "n": 1 }, &op).unwrap(), expected);
        assert!(event(&RawDocumentBuf::new(), &op).unwrap().starts_with(r#"{"documentKey""#));
    }
}
