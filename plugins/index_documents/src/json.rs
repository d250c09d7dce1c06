//! Documents as a search engine wants them: plain JSON.

use std::sync::atomic::{AtomicBool, Ordering};

use gtm_plugin::bson::spec::BinarySubtype;
use gtm_plugin::bson::{Binary, Bson, DateTime, Document, Uuid};
use gtm_plugin::{log, metrics};
use serde_json::{Map, Number, Value};

use crate::date;

/// A document, with those in it. A date whose year has not four digits is the number of its milliseconds.
pub(crate) fn nested(document: &Document) -> Map<String, Value> {
    let plain = |(name, value): (&String, &Bson)| Some((name.clone(), nested_value(name, value)?));
    document.iter().filter_map(plain).collect()
}

fn nested_value(name: &str, value: &Bson) -> Option<Value> {
    match value {
        Bson::Document(document) => Some(nested(document).into()),
        Bson::Array(values) => {
            Some(values.iter().filter_map(|value| nested_value(name, value)).collect::<Vec<_>>().into())
        }
        scalar => plain(name, scalar, |at| at.timestamp_millis().into()),
    }
}

/// A document in which those in it are flat: `address.city`. An array of documents becomes an array for each of their fields. A date
/// whose year has not four digits is a text with a sign.
pub(crate) fn flat(document: &Document) -> Map<String, Value> {
    let mut fields = Map::new();
    flatten("", document, &mut fields);
    fields
}

fn flatten(prefix: &str, document: &Document, fields: &mut Map<String, Value>) {
    for (name, value) in document {
        let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        put(&name, value, fields);
    }
}

fn put(name: &str, value: &Bson, fields: &mut Map<String, Value>) {
    match value {
        Bson::Document(inner) => flatten(name, inner, fields),
        Bson::Array(values) => values.iter().for_each(|value| put(name, value, fields)),
        scalar => {
            if let Some(value) = plain(name, scalar, |at| date::signed(at).into()) {
                add(name, value, fields);
            }
        }
    }
}

/// A field that is there several times has all values.
fn add(name: &str, value: Value, fields: &mut Map<String, Value>) {
    match fields.get_mut(name) {
        None => drop(fields.insert(name.to_owned(), value)),
        Some(Value::Array(values)) => values.push(value),
        Some(one) => *one = Value::Array(vec![one.take(), value]),
    }
}

/// A value that has no others in it; `far` is how the engine takes a date whose year has not four digits. None: there is nothing
/// to search for in it, or no way to say it, which is counted.
fn plain(name: &str, value: &Bson, far: impl Fn(DateTime) -> Value) -> Option<Value> {
    Some(match value {
        Bson::Null | Bson::Undefined => return None,
        Bson::String(text) | Bson::Symbol(text) | Bson::JavaScriptCode(text) => text.clone().into(),
        Bson::RegularExpression(regex) => {
            format!("/{}/{}", regex.pattern.as_str(), regex.options.as_str()).into()
        }
        Bson::Boolean(flag) => (*flag).into(),
        Bson::Int32(number) => (*number).into(),
        Bson::Int64(number) => (*number).into(),
        // Engines hold a number with decimal places as a double, whatever it is written as.
        Bson::Double(_) | Bson::Decimal128(_) => match number(value) {
            Some(number) => number.into(),
            None => return left_out(name, "a number that is not finite"),
        },
        Bson::ObjectId(id) => id.to_hex().into(),
        Bson::DateTime(at) => date::text(*at).map_or_else(|| far(*at), Value::from),
        Bson::Timestamp(at) => date::text(DateTime::from_millis(i64::from(at.time) * 1000))?.into(),
        Bson::Binary(binary) => match uuid(binary) {
            Some(uuid) => uuid.to_string().into(),
            None => return left_out(name, "binary data"),
        },
        _ => return left_out(name, "of a type that JSON does not have"),
    })
}

fn number(value: &Bson) -> Option<Number> {
    match value {
        Bson::Decimal128(decimal) => Number::from_f64(decimal.to_string().parse().ok()?),
        value => Number::from_f64(value.as_f64()?),
    }
}

/// One of the old subtype is read in the order of its bytes.
fn uuid(binary: &Binary) -> Option<Uuid> {
    matches!(binary.subtype, BinarySubtype::Uuid | BinarySubtype::UuidOld)
        .then(|| binary.bytes.as_slice().try_into().ok().map(Uuid::from_bytes))
        .flatten()
}

/// Counts a value that is not indexed; the first is logged.
fn left_out(name: &str, what: &str) -> Option<Value> {
    static SAID: AtomicBool = AtomicBool::new(false);
    metrics::count("left_out", 1);
    if !SAID.swap(true, Ordering::Relaxed) {
        log::warn!(
            "the value of {name} is {what}: it is left out of the index. The counter left_out counts such values"
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use gtm_plugin::bson::{Regex, Timestamp, doc, oid::ObjectId};

    use super::*;

    const FAR: DateTime = DateTime::from_millis(253_402_300_800_000);

    #[test]
    fn what_can_be_searched_for_is_plain() {
        let id = ObjectId::parse_str("6553f1000000000000000001").unwrap();
        let decimal = |text: &str| Bson::Decimal128(text.parse().unwrap());
        let regex = Regex { pattern: "^a".try_into().unwrap(), options: "i".try_into().unwrap() };
        let document = doc! {
            "id": id, "at": DateTime::from_millis(0), "old": DateTime::from_millis(-1), "n": 1, "x": 1.5, "odd": f64::NAN, "none": null,
            "text": "Grüße", "bytes": Binary { subtype: 0.into(), bytes: vec![1] }, "in": { "a": [1, "b", null] },
            "price": decimal("19.990"), "whole": decimal("2"), "huge": decimal("1E+6000"), "uuid": Uuid::from_bytes([0xab; 16]),
            "far": FAR, "ts": Timestamp { time: 1, increment: 2 }, "like": regex, "min": Bson::MinKey,
        };
        assert_eq!(
            Value::from(nested(&document)).to_string(),
            concat!(
                r#"{"id":"6553f1000000000000000001","at":"1970-01-01T00:00:00Z","old":"1969-12-31T23:59:59.999Z","n":1,"x":1.5,"#,
                r#""text":"Grüße","in":{"a":[1,"b"]},"price":19.99,"whole":2.0,"uuid":"abababab-abab-abab-abab-abababababab","#,
                r#""far":253402300800000,"ts":"1970-01-01T00:00:01Z","like":"/^a/i"}"#
            )
        );
        assert_eq!(Value::from(flat(&doc! { "d": [FAR] })).to_string(), r#"{"d":"+10000-01-01T00:00:00Z"}"#);
    }

    #[test]
    fn what_is_nested_becomes_flat() {
        let document = doc! { "a": { "b": { "c": 1 } }, "items": [ { "sku": "x", "n": 1 }, { "sku": "y" } ], "tags": ["p", "q"] };
        assert_eq!(
            Value::from(flat(&document)).to_string(),
            "{\"a.b.c\":1,\"items.sku\":[\"x\",\"y\"],\"items.n\":1,\"tags\":[\"p\",\"q\"]}"
        );
    }
}
