//! Converts an `_id` to bytes that are the same for all values that MongoDB considers equal: `1`, `NumberLong(1)` and `1.0`.

use std::hash::Hasher;

use bson::RawDocument;
use bson::spec::ElementType;
use gtm_oplog::{Field, Fields};

use super::number::Number;

const DOCUMENT: u8 = ElementType::EmbeddedDocument as u8;
const ARRAY: u8 = ElementType::Array as u8;
const STRING: u8 = ElementType::String as u8;
const SYMBOL: u8 = ElementType::Symbol as u8;
/// The type of all numbers: not a type of BSON.
const NUMBER: u8 = 0;

/// Hashes the `_id` of a document key. It ignores other fields: a shard key may change, and does not identify the document.
pub(super) fn hash_id<H: Hasher>(key: &RawDocument, state: &mut H) {
    let Some(id) = Fields::new(key).map_while(Result::ok).find(|field| field.name == b"_id") else { return };
    let Some(fields) = hash_value(&id, state) else { return };
    // Documents are compared field by field, at any depth.
    let mut open = vec![fields];
    while let Some(fields) = open.last_mut() {
        match fields.next() {
            Some(Ok(field)) => {
                state.write(field.name);
                state.write(&[0]);
                open.extend(hash_value(&field, state));
            }
            Some(Err(_)) | None => {
                state.write(&[ElementType::MinKey as u8]);
                open.pop();
            }
        }
    }
}

/// Hashes a value with its type. For a document, it hashes only the type, and returns the fields.
fn hash_value<'a, H: Hasher>(field: &Field<'a>, state: &mut H) -> Option<Fields<'a>> {
    if let Some(number) = Number::of(field) {
        state.write(&[NUMBER]);
        match number {
            Number::Whole(number) => state.write(&number.to_le_bytes()),
            Number::Other(number) => state.write(&number.to_bits().to_le_bytes()),
        }
        return None;
    }
    match field.kind {
        DOCUMENT | ARRAY => {
            state.write(&[field.kind]);
            return RawDocument::from_bytes(field.value).ok().map(Fields::new);
        }
        // The same text is the same `_id`.
        STRING | SYMBOL => state.write(&[STRING]),
        kind => state.write(&[kind]),
    }
    state.write(field.value);
    None
}
