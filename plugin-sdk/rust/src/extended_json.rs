//! BSON as Extended JSON (version 2), on one line, as `gtm-host tail` prints it: all fields of a document are there, also several with
//! the same name, which an update description can have.
//!
//! The host writes it. In a test, [`testing`](crate::testing) does.

use bson::RawDocument;

use crate::Error;
#[cfg(target_family = "wasm")]
use crate::bindings::gtm::plugin::extended_json as host;
#[cfg(not(target_family = "wasm"))]
use crate::testing::extended_json as host;

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

#[cfg(test)]
mod tests {
    use bson::raw::cstr;
    use bson::{DateTime, RawDocumentBuf, rawdoc};

    use super::*;

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
}
