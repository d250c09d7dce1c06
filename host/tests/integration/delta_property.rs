//! For any two documents: the delta between them, as a server writes it, made into an update description
//! and applied to the one, gives the other.

use std::collections::BTreeMap;

use bson::{Bson, Document, RawDocumentBuf, doc};
use gtm_oplog::entry::delta::update_description;

use crate::support::random;

/// A document or an array in which the order of fields does not count: a delta does not keep it.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Number(i32),
    Document(BTreeMap<String, Value>),
    Array(Vec<Value>),
}

fn any(state: &mut u64, depth: usize) -> Value {
    match random(state) % if depth == 0 { 1 } else { 4 } {
        0 | 1 => Value::Number(i32::try_from(random(state) % 5).unwrap()),
        2 => Value::Array((0..random(state) % 4).map(|_| any(state, depth - 1)).collect()),
        _ => Value::Document(fields(state, depth - 1)),
    }
}

fn fields(state: &mut u64, depth: usize) -> BTreeMap<String, Value> {
    let mut fields = BTreeMap::new();
    for _ in 0..random(state) % 5 {
        // Names of sections among them, which as fields of a section mean nothing.
        let name = ["a", "d", "i", "l", "s", "u", "sa"][random(state) % 7];
        fields.insert(name.to_owned(), any(state, depth));
    }
    fields
}

/// The like of a value, changed here and there.
fn changed(state: &mut u64, value: &Value, depth: usize) -> Value {
    match value {
        _ if random(state).is_multiple_of(6) => any(state, depth),
        Value::Number(number) => Value::Number(*number),
        Value::Document(old) => {
            let mut new: BTreeMap<_, _> = old
                .iter()
                .map(|(name, value)| (name.clone(), changed(state, value, depth.saturating_sub(1))))
                .collect();
            new.retain(|_, _| !random(state).is_multiple_of(5));
            new.extend(fields(state, depth.saturating_sub(2)));
            Value::Document(new)
        }
        Value::Array(old) => {
            let mut new: Vec<_> =
                old.iter().map(|value| changed(state, value, depth.saturating_sub(1))).collect();
            new.truncate(random(state) % 5);
            new.extend((0..random(state) % 2).map(|_| any(state, depth.saturating_sub(1))));
            Value::Array(new)
        }
    }
}

fn bson(value: &Value) -> Bson {
    match value {
        Value::Number(number) => (*number).into(),
        Value::Document(fields) => {
            Bson::Document(fields.iter().map(|(name, value)| (name.clone(), bson(value))).collect())
        }
        Value::Array(values) => Bson::Array(values.iter().map(bson).collect()),
    }
}

fn value(bson: &Bson) -> Value {
    match bson {
        Bson::Document(fields) => {
            Value::Document(fields.iter().map(|(name, field)| (name.clone(), value(field))).collect())
        }
        Bson::Array(values) => Value::Array(values.iter().map(value).collect()),
        number => Value::Number(number.as_i32().unwrap()),
    }
}

/// How a server writes what is different.
fn document_diff(old: &BTreeMap<String, Value>, new: &BTreeMap<String, Value>) -> Document {
    let (mut removed, mut updated, mut inserted, mut nested) = (doc! {}, doc! {}, doc! {}, doc! {});
    removed
        .extend(old.keys().filter(|name| !new.contains_key(*name)).map(|name| (name.clone(), false.into())));
    for (name, new) in new {
        match (old.get(name), new) {
            (None, new) => drop(inserted.insert(name, bson(new))),
            (Some(old), new) if old == new => {}
            (Some(Value::Document(old)), Value::Document(new)) => {
                drop(nested.insert(format!("s{name}"), document_diff(old, new)))
            }
            (Some(Value::Array(old)), Value::Array(new)) => {
                drop(nested.insert(format!("s{name}"), array_diff(old, new)))
            }
            (Some(_), new) => drop(updated.insert(name, bson(new))),
        }
    }
    let sections = [("d", removed), ("u", updated), ("i", inserted)];
    let mut diff: Document = sections
        .into_iter()
        .filter(|(_, fields)| !fields.is_empty())
        .map(|(name, fields)| (name.to_owned(), fields.into()))
        .collect();
    diff.extend(nested);
    diff
}

fn array_diff(old: &[Value], new: &[Value]) -> Document {
    let mut diff = doc! { "a": true };
    if new.len() < old.len() {
        diff.insert("l", i32::try_from(new.len()).unwrap());
    }
    for (index, new) in new.iter().enumerate() {
        match (old.get(index), new) {
            (Some(old), new) if old == new => {}
            (Some(Value::Document(old)), Value::Document(new)) => {
                drop(diff.insert(format!("s{index}"), document_diff(old, new)))
            }
            (Some(Value::Array(old)), Value::Array(new)) => {
                drop(diff.insert(format!("s{index}"), array_diff(old, new)))
            }
            (_, new) => drop(diff.insert(format!("u{index}"), bson(new))),
        }
    }
    diff
}

/// Follows a path and does something at its end.
fn at(value: &mut Value, path: &str, end: &mut dyn FnMut(&mut Value, &str)) {
    match (path.split_once('.'), value) {
        (None, value) => end(value, path),
        (Some((first, rest)), Value::Document(fields)) => at(fields.get_mut(first).unwrap(), rest, end),
        (Some((first, rest)), Value::Array(values)) => {
            at(&mut values[first.parse::<usize>().unwrap()], rest, end)
        }
        (_, number) => panic!("{path} in {number:?}"),
    }
}

fn apply(mut document: Value, description: &Document) -> Value {
    for truncated in description.get_array("truncatedArrays").unwrap() {
        let truncated = truncated.as_document().unwrap();
        let size = usize::try_from(truncated.get_i32("newSize").unwrap()).unwrap();
        at(&mut document, truncated.get_str("field").unwrap(), &mut |parent, name| match parent {
            Value::Document(fields) => match fields.get_mut(name) {
                Some(Value::Array(values)) => values.truncate(size),
                other => panic!("{other:?} is no array"),
            },
            Value::Array(values) => match &mut values[name.parse::<usize>().unwrap()] {
                Value::Array(values) => values.truncate(size),
                other => panic!("{other:?} is no array"),
            },
            Value::Number(_) => panic!("{name} in a number"),
        });
    }
    for removed in description.get_array("removedFields").unwrap() {
        at(&mut document, removed.as_str().unwrap(), &mut |parent, name| match parent {
            Value::Document(fields) => drop(fields.remove(name).unwrap()),
            other => panic!("{name} in {other:?}"),
        });
    }
    for (path, new) in description.get_document("updatedFields").unwrap() {
        at(&mut document, path, &mut |parent, name| match parent {
            Value::Document(fields) => drop(fields.insert(name.to_owned(), value(new))),
            Value::Array(values) => {
                let index = name.parse::<usize>().unwrap();
                values.resize(values.len().max(index + 1), Value::Number(-1));
                values[index] = value(new);
            }
            Value::Number(_) => panic!("{name} in a number"),
        });
    }
    document
}

#[test]
fn a_delta_made_into_a_description_and_applied_gives_the_new_document() {
    let mut state = 42;
    let mut different = 0;
    for _ in 0..20_000 {
        let old = fields(&mut state, 4);
        let new = changed(&mut state, &Value::Document(old.clone()), 4);
        let Value::Document(fields) = &new else { continue };
        let diff = document_diff(&old, fields);
        different += usize::from(!diff.is_empty());
        let update = RawDocumentBuf::try_from(doc! { "$v": 2, "diff": diff.clone() }).unwrap();
        let description = Document::try_from(update_description(&update).unwrap()).unwrap();
        assert_eq!(apply(Value::Document(old.clone()), &description), new, "{old:?}\n{diff}\n{description}");
    }
    assert!(different > 10_000, "{different} of the pairs were different");
}
