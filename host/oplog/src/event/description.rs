//! Converts the description of an update into exactly the form that the oplog source produces.

use bson::raw::cstr;
use bson::{RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf};
use bytes::Bytes;

use crate::reply::{Malformed, Reply};

/// Returns the `{updatedFields, removedFields, truncatedArrays}` of an `updateDescription` in `reply`. It copies the
/// description only if the server omitted a part (`truncatedArrays` before 4.7) or added one (`disambiguatedPaths`,
/// with expanded events).
///
/// # Errors
/// The description is not valid BSON, or its updated or removed fields have another type.
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
