//! What an update changed, in exactly the form that the oplog source gives. Pure.

use bson::raw::cstr;
use bson::{RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf};
use bytes::Bytes;

use crate::reply::{Malformed, Reply};

/// `{updatedFields, removedFields, truncatedArrays}` of an `updateDescription` in `reply`. It is copied where
/// the server left something out (`truncatedArrays` before 4.7) or added something (`disambiguatedPaths`,
/// with expanded events).
///
/// # Errors
/// It is not BSON, or what was updated or removed is of another type.
pub(super) fn update_description(reply: &Reply, description: &RawDocument) -> Result<Bytes, Malformed> {
    let (mut updated, mut removed, mut truncated) = (None, None, None);
    let mut exact = true;
    for (place, element) in description.iter_elements().enumerate() {
        let element = element?;
        let expected = match (element.key().as_str(), element.value()?) {
            ("updatedFields", RawBsonRef::Document(fields)) => {
                updated = Some(fields);
                0
            }
            ("removedFields", RawBsonRef::Array(fields)) => {
                removed = Some(fields);
                1
            }
            ("truncatedArrays", RawBsonRef::Array(arrays)) => {
                truncated = Some(arrays);
                2
            }
            _ => usize::MAX,
        };
        exact &= place == expected;
    }
    let updated = updated.ok_or(Malformed::Missing("updatedFields"))?;
    let removed = removed.ok_or(Malformed::Missing("removedFields"))?;
    if exact && truncated.is_some() {
        return Ok(reply.cut(description));
    }
    let mut description = RawDocumentBuf::new();
    description.append(cstr!("updatedFields"), updated);
    description.append(cstr!("removedFields"), removed);
    match truncated {
        Some(truncated) => description.append(cstr!("truncatedArrays"), truncated),
        None => description.append(cstr!("truncatedArrays"), RawArrayBuf::new()),
    }
    Ok(description.into_bytes().into())
}
