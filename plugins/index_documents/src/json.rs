//! Documents as a search engine wants them: plain JSON.

use gtm_plugin::bson::{Bson, Document};
use serde_json::{Map, Value};

/// A document, with those in it.
pub(crate) fn nested(document: &Document) -> Map<String, Value> {
    document.iter().filter_map(|(name, value)| Some((name.clone(), plain(value)?))).collect()
}

/// A document in which those in it are flat: `address.city`. An array of documents becomes an array for each of their fields.
pub(crate) fn flat(document: &Document) -> Map<String, Value> {
    let mut fields = Map::new();
    flatten("", document, &mut fields);
    fields
}

fn flatten(prefix: &str, document: &Document, fields: &mut Map<String, Value>) {
    for (name, value) in document {
        let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        put(name, value, fields);
    }
}

fn put(name: String, value: &Bson, fields: &mut Map<String, Value>) {
    match value {
        Bson::Document(inner) => flatten(&name, inner, fields),
        Bson::Array(values) => {
            for value in values {
                match value {
                    Bson::Document(_) | Bson::Array(_) => put(name.clone(), value, fields),
                    _ => plain(value).into_iter().for_each(|value| add(&name, value, fields)),
                }
            }
        }
        _ => plain(value).into_iter().for_each(|value| add(&name, value, fields)),
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

/// A value. None: there is nothing to search for in it.
fn plain(value: &Bson) -> Option<Value> {
    Some(match value {
        Bson::String(text) | Bson::Symbol(text) => text.clone().into(),
        Bson::Boolean(flag) => (*flag).into(),
        Bson::Int32(number) => (*number).into(),
        Bson::Int64(number) => (*number).into(),
        // JSON has neither infinity nor what is no number.
        Bson::Double(number) => serde_json::Number::from_f64(*number)?.into(),
        Bson::Decimal128(number) => number.to_string().into(),
        Bson::ObjectId(id) => id.to_hex().into(),
        Bson::DateTime(at) => at.try_to_rfc3339_string().ok()?.into(),
        Bson::Document(document) => nested(document).into(),
        Bson::Array(values) => values.iter().filter_map(plain).collect::<Vec<_>>().into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use gtm_plugin::bson::{Binary, DateTime, doc, oid::ObjectId};

    use super::*;

    #[test]
    fn what_can_be_searched_for_is_plain() {
        let id = ObjectId::parse_str("6553f1000000000000000001").unwrap();
        let document = doc! {
            "id": id, "at": DateTime::from_millis(0), "n": 1, "x": 1.5, "odd": f64::NAN, "none": null, "text": "Grüße",
            "bytes": Binary { subtype: 0.into(), bytes: vec![1] }, "in": { "a": [1, "b", null] },
        };
        assert_eq!(
            Value::from(nested(&document)).to_string(),
            "{\"id\":\"6553f1000000000000000001\",\"at\":\"1970-01-01T00:00:00Z\",\"n\":1,\"x\":1.5,\"text\":\"Grüße\",\"in\":{\"a\":[1,\"b\"]}}"
        );
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
