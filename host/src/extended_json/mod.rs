//! BSON as Extended JSON (v2), on one line, straight from its bytes; and back.
//!
//! The library writes scalars. Documents are walked here, as what it builds of them first keeps only one
//! of several fields with the same name (which an update description may have), and has no room for deep
//! nesting. Text that is not UTF-8 is written with replacement characters. A document that would be read as
//! another value, such as `{"$date": "…"}`, is written as `{"$document": {"$date": "…"}}`.

mod line;
mod op;
mod read;
mod wrapper;

use std::io::Write;

use bson::raw::RawElement;
use bson::{Bson, RawBsonRef, RawDocument};

use wrapper::is_ambiguous;

pub use line::read_op;
pub(crate) use line::{LARGEST_OP, op_of};
pub use op::write_op;
pub(crate) use read::read;
pub use read::{LARGEST, Unreadable, read_document};

/// How numbers and dates are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// As JSON has them where it can: `1`, `{"$date":"2026-01-31T12:00:00Z"}`.
    #[default]
    Relaxed,
    /// With their type: `{"$numberInt":"1"}`.
    Canonical,
}

/// A document whose bytes are no BSON.
#[derive(Debug, thiserror::Error)]
#[error("no BSON: {0}")]
pub struct Malformed(#[from] bson::error::Error);

/// Appends `document`.
///
/// # Errors
/// Its bytes are no BSON. Nothing is appended then.
pub fn write(document: &RawDocument, form: Form, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let start = out.len();
    walk(document, form, out).inspect_err(|_| out.truncate(start)).map_err(Malformed)
}

fn walk(document: &RawDocument, form: Form, out: &mut Vec<u8>) -> bson::error::Result<()> {
    let mut open = vec![Open::written(document, out)];
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
        open.extend(value(&element, form, out)?);
    }
    Ok(())
}

/// Appends a value whole, or begins one that has others in it.
fn value<'a>(
    element: &RawElement<'a>,
    form: Form,
    out: &mut Vec<u8>,
) -> bson::error::Result<Option<Open<'a>>> {
    match element.value() {
        Ok(RawBsonRef::Document(document)) => return Ok(Some(Open::written(document, out))),
        Ok(RawBsonRef::Array(array)) => {
            out.push(b'[');
            return Ok(Some(Open {
                keyed: false,
                close: b"]",
                ..Open::object(RawDocument::from_bytes(array.as_bytes())?)
            }));
        }
        Ok(RawBsonRef::JavaScriptCodeWithScope(code)) => {
            out.extend_from_slice(br#"{"$code":"#);
            text(code.code, out);
            out.extend_from_slice(br#","$scope":"#);
            let scope = Open::written(code.scope, out);
            return Ok(Some(Open { close: if scope.close == b"}" { b"}}" } else { b"}}}" }, ..scope }));
        }
        Ok(RawBsonRef::String(string)) => text(string, out),
        Ok(scalar) => json(scalar.try_into()?, form, out),
        Err(_) => json(element.value_utf8_lossy()?.try_into()?, form, out),
    }
    Ok(None)
}

/// A document or array that is being written.
struct Open<'a> {
    elements: bson::raw::RawIter<'a>,
    keyed: bool,
    first: bool,
    close: &'static [u8],
}

impl<'a> Open<'a> {
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
    let json = match form {
        Form::Relaxed => scalar.into_relaxed_extjson(),
        Form::Canonical => scalar.into_canonical_extjson(),
    };
    let _ = write!(out, "{json}");
}

#[cfg(test)]
mod tests {
    use bson::{RawDocumentBuf, doc};

    use super::*;

    fn line(document: &RawDocument, form: Form) -> String {
        let mut out = Vec::new();
        write(document, form, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_type_is_as_the_library_writes_it() {
        let document = doc! {
            "int": 1, "long": 2_i64, "double": 0.5, "nan": f64::NAN, "text": "a\"b\\\n\u{1}é", "null": Bson::Null,
            "nested": { "array": [1, [2, {}], {}, []] }, "oid": bson::oid::ObjectId::from_bytes([1; 12]),
            "date": bson::DateTime::from_millis(1_700_000_000_123), "old": bson::DateTime::from_millis(-1),
            "ts": bson::Timestamp { time: 1, increment: 2 }, "uuid": bson::Uuid::from_bytes([3; 16]),
            "regex": Bson::RegularExpression(bson::Regex { pattern: "^a".try_into().unwrap(), options: "i".try_into().unwrap() }),
            "code": Bson::JavaScriptCode("f()".into()), "min": Bson::MinKey, "max": Bson::MaxKey,
            "scope": Bson::JavaScriptCodeWithScope(bson::JavaScriptCodeWithScope { code: "f".into(), scope: doc! { "x": [1] } }),
            "decimal": "1.5".parse::<bson::Decimal128>().unwrap(), "symbol": Bson::Symbol("s".into()),
            "undefined": Bson::Undefined,
        };
        let raw = RawDocumentBuf::try_from(document.clone()).unwrap();
        let expected = Bson::Document(document.clone()).into_relaxed_extjson().to_string();
        assert_eq!(line(&raw, Form::Relaxed), expected);
        let expected = Bson::Document(document).into_canonical_extjson().to_string();
        assert_eq!(line(&raw, Form::Canonical), expected);
    }

    #[test]
    fn fields_of_the_same_name_are_all_there() {
        let mut raw = RawDocumentBuf::new();
        raw.append(bson::raw::cstr!("a.b"), 1);
        raw.append(bson::raw::cstr!("a.b"), 2);
        assert_eq!(line(&raw, Form::Relaxed), r#"{"a.b":1,"a.b":2}"#);
    }

    #[test]
    fn text_that_is_not_utf_8_is_replaced_and_no_bson_refused() {
        let raw = RawDocumentBuf::try_from(doc! { "text": "a?b" }).unwrap();
        let mut bytes = raw.into_bytes();
        let at = bytes.iter().position(|byte| *byte == b'?').unwrap();
        bytes[at] = 0xff;
        assert_eq!(
            line(RawDocument::from_bytes(&bytes).unwrap(), Form::Relaxed),
            "{\"text\":\"a\u{fffd}b\"}"
        );
        bytes[4] = 0x44;
        let mut out = b"kept".to_vec();
        assert!(write(RawDocument::from_bytes(&bytes).unwrap(), Form::Relaxed, &mut out).is_err());
        assert_eq!(out, b"kept");
    }

    #[test]
    fn nesting_has_no_end() {
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
}
