//! Why a document of an op cannot be decoded, with the field that is wrong.

use std::any::type_name;

use bson::error::{Error, ErrorKind, ValueAccessErrorKind};
use bson::spec::ElementType;
use bson::{Document, RawBsonRef, RawDocument};
use serde::Deserialize;
use serde_path_to_error::{Path, Segment};

/// Why a document of an op cannot be decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The op does not have it.
    #[error("this op has no {0}")]
    Missing(&'static str),
    /// It is not BSON, or does not fit the type.
    #[error("the {what} cannot be decoded: {reason}")]
    Malformed {
        /// The document of the op.
        what: &'static str,
        /// The wrong field, and the reason: `email: expected a string, found an object`.
        reason: String,
    },
}

impl DecodeError {
    pub(crate) fn malformed(what: &'static str, error: &Error) -> Self {
        Self::Malformed { what, reason: reason(error) }
    }

    /// Decodes again to find the wrong field. That takes longer, so it is done only after a failure.
    pub(crate) fn unfit<'a, T: Deserialize<'a>>(what: &'static str, bytes: &'a [u8], error: &Error) -> Self {
        // Any field fits there. The compiler leaves out what follows, by which a plugin would be twice as large.
        if type_name::<T>() == type_name::<Document>() {
            return Self::malformed(what, error);
        }
        let again = bson::RawDeserializer::new(bytes).map(serde_path_to_error::deserialize::<_, T>);
        let reason = match again {
            Ok(Err(tracked)) => at(tracked.path(), bytes, &reason(tracked.inner())),
            _ => reason(error),
        };
        Self::Malformed { what, reason }
    }
}

/// Returns the sentence of an error of the BSON library, without the words that the library adds.
pub(crate) fn reason(error: &Error) -> String {
    let key = error.key.as_deref().map(|key| format!("{key}: ")).unwrap_or_default();
    match (&error.kind, &error.message) {
        (
            ErrorKind::ValueAccess {
                kind: ValueAccessErrorKind::UnexpectedType { actual, expected, .. },
                ..
            },
            _,
        ) => {
            format!("{key}expected {}, found {}", named(*expected), named(*actual))
        }
        (ErrorKind::ValueAccess { kind: ValueAccessErrorKind::NotPresent { .. }, .. }, _) => {
            format!("{key}expected a value, found nothing")
        }
        (_, Some(message)) => format!("{key}{message}"),
        (kind, None) => format!("{key}{kind}"),
    }
}

/// Returns the same with the path of the field, and with the type of the value instead of the value.
fn at(path: &Path, bytes: &[u8], reason: &str) -> String {
    // As serde says it: "invalid type: map, expected a string".
    let mismatch = ["invalid type: ", "invalid value: "].iter().find_map(|kind| reason.strip_prefix(kind));
    let reason = match mismatch.and_then(|mismatch| mismatch.rsplit_once(", expected ")) {
        Some((serde, expected)) => {
            let found = RawDocument::from_bytes(bytes).ok().and_then(|document| type_at(document, path));
            let found = match found {
                Some(found) if reason.starts_with("invalid type") => named(found),
                _ => serde,
            };
            format!("expected {expected}, found {found}")
        }
        None => reason.to_owned(),
    };
    match path.iter().next() {
        Some(_) => format!("{path}: {reason}"),
        None => reason,
    }
}

/// Returns the type of the value at a path in a document.
fn type_at(document: &RawDocument, path: &Path) -> Option<ElementType> {
    let mut segments = path.iter();
    let mut value = RawBsonRef::Document(document);
    for segment in segments.by_ref() {
        value = match (segment, value) {
            (Segment::Map { key }, RawBsonRef::Document(document)) => document.get(key).ok()??,
            (Segment::Seq { index }, RawBsonRef::Array(array)) => array.get(*index).ok()??,
            _ => return None,
        };
    }
    Some(value.element_type())
}

/// Returns the name of a BSON type as it is used in a sentence.
fn named(element: ElementType) -> &'static str {
    match element {
        ElementType::Double => "a double",
        ElementType::String => "a string",
        ElementType::EmbeddedDocument => "an object",
        ElementType::Array => "an array",
        ElementType::Binary => "binary data",
        ElementType::Undefined => "undefined",
        ElementType::ObjectId => "an ObjectId",
        ElementType::Boolean => "a boolean",
        ElementType::DateTime => "a date",
        ElementType::Null => "null",
        ElementType::RegularExpression => "a regular expression",
        ElementType::DbPointer => "a DBPointer",
        ElementType::JavaScriptCode | ElementType::JavaScriptCodeWithScope => "JavaScript code",
        ElementType::Symbol => "a symbol",
        ElementType::Int32 | ElementType::Int64 => "an integer",
        ElementType::Timestamp => "a timestamp",
        ElementType::Decimal128 => "a Decimal128",
        ElementType::MaxKey => "the MaxKey",
        ElementType::MinKey => "the MinKey",
    }
}

#[cfg(test)]
mod tests {
    use bson::{doc, oid::ObjectId};

    use super::*;
    use crate::testing::insert;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "it is only decoded")]
    struct User<'a> {
        email: &'a str,
        #[serde(default)]
        age: Option<u8>,
        #[serde(default)]
        orders: Vec<Order>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "it is only decoded")]
    struct Order {
        price: f64,
    }

    #[test]
    fn the_field_at_fault_is_named_with_what_is_there() {
        for (document, reason) in [
            (
                doc! { "email": { "home": "ada@example.com" } },
                "email: expected a borrowed string, found an object",
            ),
            (doc! { "email": ObjectId::new() }, "email: expected a borrowed string, found an ObjectId"),
            (doc! { "email": 1 }, "email: expected a borrowed string, found an integer"),
            (doc! { "email": null }, "email: expected a borrowed string, found null"),
            (doc! { "name": "Ada" }, "missing field `email`"),
            (doc! { "email": "a", "age": 300 }, "age: expected u8, found integer `300`"),
            (
                doc! { "email": "a", "orders": [{ "price": 1.5 }, { "price": "secret" }] },
                "orders[1].price: expected f64, found a string",
            ),
            (doc! { "email": "a", "orders": [{}] }, "orders[0]: missing field `price`"),
        ] {
            let error = insert("app.users", document).document::<User<'_>>().unwrap_err();
            assert_eq!(error.to_string(), format!("the document cannot be decoded: {reason}"));
        }
    }

    #[test]
    fn an_access_to_a_field_names_it_too() {
        let op = insert("app.users", doc! { "email": {}, "orders": [] });
        let user: Document = op.document().unwrap();
        assert_eq!(reason(&user.get_str("email").unwrap_err()), "email: expected a string, found an object");
        assert_eq!(reason(&user.get_str("name").unwrap_err()), "name: expected a value, found nothing");
        let raw = op.raw_document().unwrap();
        assert_eq!(
            reason(&raw.get_i32("orders").unwrap_err()),
            "orders: expected an integer, found an array"
        );
    }

    #[test]
    fn bytes_that_are_not_bson_are_said_to_be_that() {
        let error = DecodeError::malformed("document", &RawDocument::from_bytes(b"no bson").unwrap_err());
        assert!(!error.to_string().contains("Kind"), "{error}");
    }
}
