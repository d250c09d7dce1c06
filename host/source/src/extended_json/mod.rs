//! Converts BSON to Extended JSON (v2) on one line, straight from its bytes, and back.
//!
//! The library writes most scalars; this module writes the dates and doubles for which it is wrong. It also walks the documents
//! itself: the library would keep only one of several fields with the same name (which an update description may have), and
//! cannot nest deeply. Text that is not UTF-8 gets replacement characters. A document that would be parsed as another value, such
//! as `{"$date": "…"}`, is written as `{"$document": {"$date": "…"}}`.

mod line;
mod op;
mod read;
mod wrapper;

use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use bson::raw::RawElement;
use bson::{Bson, RawBsonRef, RawDocument};
use humantime::{format_rfc3339_millis, format_rfc3339_seconds};
pub use line::read_op;
pub(crate) use line::{MAX_OP_SIZE, op_id, op_of, time};
pub use op::write_op;
pub(crate) use read::read;
pub use read::{MAX_SIZE, Unreadable, read_document};
use wrapper::is_ambiguous;

/// The form of numbers and dates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Without types if possible: `1`, `{"$date":"2026-01-31T12:00:00Z"}`.
    #[default]
    Relaxed,
    /// With types: `{"$numberInt":"1"}`.
    Canonical,
}

/// The error of a document whose bytes are not valid BSON.
#[derive(Debug, thiserror::Error)]
#[error("not valid BSON: {0}")]
pub struct InvalidBson(#[from] bson::error::Error);

/// Appends `document` to `out`.
///
/// # Errors
/// The document is not valid BSON. Nothing is appended.
pub fn write(document: &RawDocument, form: Form, out: &mut Vec<u8>) -> Result<(), InvalidBson> {
    match write_within(document, form, out, usize::MAX) {
        Err(Unwritten::Malformed(malformed)) => Err(malformed),
        // No text is as long as the limit.
        Ok(()) | Err(Unwritten::TooLong(_)) => Ok(()),
    }
}

/// The reason why a document is not written.
#[derive(Debug, thiserror::Error)]
pub enum Unwritten {
    /// The document is not valid BSON.
    #[error(transparent)]
    Malformed(#[from] InvalidBson),
    /// The text would be longer than the limit: at least this many bytes.
    #[error("the text has {0} bytes or more")]
    TooLong(usize),
}

impl From<bson::error::Error> for Unwritten {
    fn from(error: bson::error::Error) -> Self {
        Self::Malformed(InvalidBson(error))
    }
}

/// Appends `document` to `out` if its text has at most `max_length` bytes.
///
/// # Errors
/// The document is not valid BSON, or its text would be longer. Nothing is appended.
pub fn write_within(
    document: &RawDocument,
    form: Form,
    out: &mut Vec<u8>,
    max_length: usize,
) -> Result<(), Unwritten> {
    let start = out.len();
    walk(document, form, out, start.saturating_add(max_length)).inspect_err(|_| out.truncate(start))
}

/// The length of strings that are measured before they are written, in bytes.
const MIN_MEASURED_LENGTH: usize = 64 << 10;

/// Writes a document without recursion. `end` is the maximum length of `out`.
fn walk(document: &RawDocument, form: Form, out: &mut Vec<u8>, end: usize) -> Result<(), Unwritten> {
    let start = out.len();
    let mut open = vec![OpenDocument::written(document, out)];
    while let Some(around) = open.last_mut() {
        let Some(element) = around.elements.next() else {
            out.extend_from_slice(around.close);
            open.pop();
            continue;
        };
        let element = element?;
        if !std::mem::replace(&mut around.first, false) {
            out.push(b',');
        }
        if around.keyed {
            text(element.key().as_str(), out);
            out.push(b':');
        }
        if let Ok(RawBsonRef::String(string)) = element.value()
            && string.len() > MIN_MEASURED_LENGTH
            && end < usize::MAX
        {
            let length = out.len() - start + written_length(string);
            if start + length > end {
                return Err(Unwritten::TooLong(length));
            }
        }
        open.extend(value(&element, form, out)?);
        if out.len() > end {
            return Err(Unwritten::TooLong(out.len() - start));
        }
    }
    Ok(())
}

/// Returns the maximum length of a string as JSON, in bytes.
fn written_length(string: &str) -> usize {
    let escapes = string.bytes().map(|byte| match byte {
        ..0x20 => 5,
        b'"' | b'\\' => 1,
        _ => 0,
    });
    2 + string.len() + escapes.sum::<usize>()
}

/// Appends a scalar, or begins a document or array.
fn value<'a>(
    element: &RawElement<'a>,
    form: Form,
    out: &mut Vec<u8>,
) -> bson::error::Result<Option<OpenDocument<'a>>> {
    match element.value() {
        Ok(RawBsonRef::Document(document)) => return Ok(Some(OpenDocument::written(document, out))),
        Ok(RawBsonRef::Array(array)) => {
            out.push(b'[');
            return Ok(Some(OpenDocument {
                keyed: false,
                close: b"]",
                ..OpenDocument::object(RawDocument::from_bytes(array.as_bytes())?)
            }));
        }
        Ok(RawBsonRef::JavaScriptCodeWithScope(code)) => {
            out.extend_from_slice(br#"{"$code":"#);
            text(code.code, out);
            out.extend_from_slice(br#","$scope":"#);
            let scope = OpenDocument::written(code.scope, out);
            return Ok(Some(OpenDocument {
                close: if scope.close == b"}" { b"}}" } else { b"}}}" },
                ..scope
            }));
        }
        Ok(RawBsonRef::String(string)) => text(string, out),
        Ok(scalar) => json(scalar.try_into()?, form, out),
        Err(_) => json(element.value_utf8_lossy()?.try_into()?, form, out),
    }
    Ok(None)
}

/// A document or array that is being written.
struct OpenDocument<'a> {
    elements: bson::raw::RawIter<'a>,
    keyed: bool,
    first: bool,
    close: &'static [u8],
}

impl<'a> OpenDocument<'a> {
    fn object(document: &'a RawDocument) -> Self {
        Self { elements: document.iter_elements(), keyed: true, first: true, close: b"}" }
    }

    /// Begins to write a document.
    fn written(document: &'a RawDocument, out: &mut Vec<u8>) -> Self {
        if is_ambiguous(document) {
            out.extend_from_slice(br#"{"$document":{"#);
            return Self { close: b"}}", ..Self::object(document) };
        }
        out.push(b'{');
        Self::object(document)
    }
}

fn text(string: &str, out: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(out, string);
}

fn json(scalar: Bson, form: Form, out: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = match (scalar, form) {
        (Bson::DateTime(at), Form::Relaxed) => date(at.timestamp_millis(), out),
        // With as few digits as distinguish it from all other doubles, subnormal ones too.
        (Bson::Double(number), Form::Canonical) if number.is_finite() => {
            write!(out, r#"{{"$numberDouble":"{number:?}"}}"#)
        }
        (scalar, Form::Relaxed) => write!(out, "{}", scalar.into_relaxed_extjson()),
        (scalar, Form::Canonical) => write!(out, "{}", scalar.into_canonical_extjson()),
    };
}

/// The first millisecond of the year 10000.
const YEAR_10000: u64 = 253_402_300_800_000;

/// Writes a date of the years 1970 to 9999 as text, with milliseconds if there are any, and other dates as a number.
fn date(millis: i64, out: &mut Vec<u8>) -> std::io::Result<()> {
    match u64::try_from(millis) {
        Ok(since) if since < YEAR_10000 => {
            let at = UNIX_EPOCH + Duration::from_millis(since);
            let seconds = since.is_multiple_of(1000);
            let at = if seconds { format_rfc3339_seconds(at) } else { format_rfc3339_millis(at) };
            write!(out, r#"{{"$date":"{at}"}}"#)
        }
        _ => write!(out, r#"{{"$date":{{"$numberLong":"{millis}"}}}}"#),
    }
}

#[cfg(test)]
mod tests {
    use bson::{Document, RawDocumentBuf, doc};
    use gtm_oplog::fields::check;

    use super::*;

    fn line(document: &RawDocument, form: Form) -> String {
        let mut out = Vec::new();
        write(document, form, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// Returns a document with a field of each type.
    fn of_all_types() -> Document {
        doc! {
            "int": 1, "long": 2_i64, "double": 0.5, "nan": f64::NAN, "text": "a\"b\\\n\u{1}é", "null": Bson::Null,
            "nested": { "array": [1, [2, {}], {}, []] }, "oid": bson::oid::ObjectId::from_bytes([1; 12]),
            "date": bson::DateTime::from_millis(1_700_000_000_123), "old": bson::DateTime::from_millis(-1),
            "ts": bson::Timestamp { time: 1, increment: 2 }, "uuid": bson::Uuid::from_bytes([3; 16]),
            "regex": Bson::RegularExpression(bson::Regex { pattern: "^a".try_into().unwrap(), options: "i".try_into().unwrap() }),
            "code": Bson::JavaScriptCode("f()".into()), "min": Bson::MinKey, "max": Bson::MaxKey,
            "scope": Bson::JavaScriptCodeWithScope(bson::JavaScriptCodeWithScope { code: "f".into(), scope: doc! { "x": [1] } }),
            "decimal": "1.5".parse::<bson::Decimal128>().unwrap(), "symbol": Bson::Symbol("s".into()),
            "undefined": Bson::Undefined, "true": true,
        }
    }

    #[test]
    fn every_type_is_written_as_the_library_does() {
        let document = of_all_types();
        let raw = RawDocumentBuf::try_from(document.clone()).unwrap();
        let expected = Bson::Document(document.clone()).into_relaxed_extjson().to_string();
        assert_eq!(line(&raw, Form::Relaxed), expected);
        let expected = Bson::Document(document).into_canonical_extjson().to_string();
        assert_eq!(line(&raw, Form::Canonical), expected);
    }

    #[test]
    fn a_document_can_be_written_if_the_decoder_accepts_it() {
        let all = of_all_types;
        let nested = doc! { "deep": [all(), { "scope": all() }], "last": 1 };
        let bytes = RawDocumentBuf::try_from(nested).unwrap().into_bytes();
        let (mut whole, mut broken) = (0, 0);
        for at in 4..bytes.len() {
            for value in [0, 1, 2, 4, 5, 0x7f, 0x80, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] = value;
                let Ok(document) = RawDocument::from_bytes(&bytes) else { continue };
                let written = write(document, Form::Relaxed, &mut Vec::new());
                assert_eq!(check(document).is_ok(), written.is_ok(), "byte {at} as {value}: {written:?}");
                *(if written.is_ok() { &mut whole } else { &mut broken }) += 1;
            }
        }
        assert!(whole > 1000 && broken > 1000, "{whole} whole, {broken} broken");
    }

    #[test]
    fn dates_of_years_with_four_digits_are_readable_and_the_others_numbers() {
        let dates = [
            (0, r#""1970-01-01T00:00:00Z""#),
            (1_700_000_000_120, r#""2023-11-14T22:13:20.120Z""#),
            (1_700_000_000_001, r#""2023-11-14T22:13:20.001Z""#),
            (253_402_300_799_999, r#""9999-12-31T23:59:59.999Z""#),
            (253_402_300_800_000, r#"{"$numberLong":"253402300800000"}"#),
            (8_640_000_000_000_000, r#"{"$numberLong":"8640000000000000"}"#),
            (i64::MAX, r#"{"$numberLong":"9223372036854775807"}"#),
            (-1, r#"{"$numberLong":"-1"}"#),
            (i64::MIN, r#"{"$numberLong":"-9223372036854775808"}"#),
        ];
        for (millis, expected) in dates {
            let raw = bson::rawdoc! { "at": bson::DateTime::from_millis(millis) };
            assert_eq!(line(&raw, Form::Relaxed), format!(r#"{{"at":{{"$date":{expected}}}}}"#));
            let canonical = format!(r#"{{"at":{{"$date":{{"$numberLong":"{millis}"}}}}}}"#);
            assert_eq!(line(&raw, Form::Canonical), canonical);
            assert_eq!(read_document(&line(&raw, Form::Relaxed)).unwrap(), raw);
        }
    }

    #[test]
    fn doubles_have_their_type_and_every_digit_that_counts() {
        let doubles = [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (5e-324, "5e-324"),
            (2.225_073_858_507_201e-308, "2.225073858507201e-308"),
            (f64::MAX, "1.7976931348623157e308"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::NAN, "NaN"),
        ];
        for (double, expected) in doubles {
            let canonical = line(&bson::rawdoc! { "n": double }, Form::Canonical);
            assert_eq!(canonical, format!(r#"{{"n":{{"$numberDouble":"{expected}"}}}}"#));
            let back = read_document(&canonical).unwrap().get_f64("n").unwrap();
            assert_eq!(back.to_bits(), double.to_bits(), "{expected}");
        }
    }

    #[test]
    fn all_fields_with_the_same_name_are_written() {
        let mut raw = RawDocumentBuf::new();
        raw.append(bson::raw::cstr!("a.b"), 1);
        raw.append(bson::raw::cstr!("a.b"), 2);
        assert_eq!(line(&raw, Form::Relaxed), r#"{"a.b":1,"a.b":2}"#);
    }

    #[test]
    fn text_that_is_not_utf_8_is_replaced_and_invalid_bson_refused() {
        let raw = RawDocumentBuf::try_from(doc! { "text": "a?b" }).unwrap();
        let mut bytes = raw.into_bytes();
        let at = bytes.iter().position(|byte| *byte == b'?').unwrap();
        bytes[at] = 0xff;
        assert_eq!(
            line(RawDocument::from_bytes(&bytes).unwrap(), Form::Relaxed),
            "{\"text\":\"a\u{fffd}b\"}"
        );
        bytes[4] = 0x44;
        let mut out = b"before".to_vec();
        assert!(write(RawDocument::from_bytes(&bytes).unwrap(), Form::Relaxed, &mut out).is_err());
        assert_eq!(out, b"before");
    }

    #[test]
    fn nesting_is_not_limited() {
        // By hand: the library's own nesting is bounded by the stack.
        const DEPTH: usize = 100_000;
        let mut bytes = Vec::new();
        for inside in (0..DEPTH).rev() {
            bytes.extend_from_slice(&i32::try_from(5 + 8 * (inside + 1)).unwrap().to_le_bytes());
            bytes.extend_from_slice(b"\x03a\0");
        }
        bytes.extend_from_slice(&[5, 0, 0, 0, 0]);
        bytes.resize(bytes.len() + DEPTH, 0);
        let deep = line(RawDocument::from_bytes(&bytes).unwrap(), Form::Relaxed);
        assert_eq!(deep.matches("{\"a\":").count(), DEPTH);
    }

    #[test]
    fn every_type_is_written_as_in_each_sdk() {
        let cases = include_str!("../../../../plugin-sdk/conformance/extended_json.jsonl");
        for case in cases.lines() {
            let case: serde_json::Value = serde_json::from_str(case).unwrap();
            let bytes = hex::decode(case["bson"].as_str().unwrap()).unwrap();
            let raw = RawDocument::from_bytes(&bytes).unwrap();
            assert_eq!(line(raw, Form::Relaxed), case["relaxed"].as_str().unwrap());
            assert_eq!(line(raw, Form::Canonical), case["canonical"].as_str().unwrap());
            assert_eq!(read_document(&line(raw, Form::Canonical)).unwrap().as_bytes(), bytes, "{case}");
        }
        assert!(cases.lines().count() > 50);
    }
}
