//! A change as a document of the log.

use gtm_plugin::bson::{self, Bson, DateTime, Document, RawBsonRef, RawDocument, doc};
use gtm_plugin::{DecodeError, Failure, Op, extended_json};

use crate::AuditSettings;

pub(crate) fn entry(op: &Op, settings: &AuditSettings) -> Result<Document, Failure> {
    let gtm_plugin::Timestamp { time, .. } = op.timestamp();
    let at = op.wall_time().unwrap_or_else(|| DateTime::from_millis(i64::from(time) * 1000));
    let mut entry = doc! {
        "_id": op.id(),
        "at": at,
        "ns": op.namespace().to_string(),
        "operation": op.operation_type().to_string(),
    };
    if let Some(key) = present(op.document_key::<Document>())? {
        entry.insert("key", key);
    }
    let document = present(op.document::<Document>())?;
    let field = &settings.actor_field;
    let description = present(op.raw_update_description())?;
    // What the update says itself is of this change; the document may be of a later one, or gone.
    let updated = description.and_then(|description| description.get_document("updatedFields").ok());
    let actor = match updated.and_then(|updated| updated.get(field).ok().flatten()) {
        Some(actor) => Some(Bson::try_from(actor).map_err(Failure::reject)?),
        None => document.as_ref().and_then(|document| at_path(document, field)).cloned(),
    };
    if let Some(actor) = actor {
        entry.insert("by", actor);
    }
    if let Some(description) = description {
        entry.insert("changed", changed(description).map_err(Failure::reject)?);
    } else if let Some(document) = document.filter(|_| settings.documents) {
        entry.insert("document", document);
    }
    if let Some(command) = present(op.raw_command())? {
        // Names of its fields may begin with a dollar sign, which a field that is stored may not everywhere.
        entry.insert("command", extended_json::relaxed(command)?);
    }
    if let Some(transaction) = op.transaction() {
        entry.insert("transaction", doc! { "id": &*transaction.id, "index": i64::from(transaction.index) });
    }
    Ok(entry)
}

/// The fields of an update as a list, as there may be dots in their names: `address.city` is no name of a field. Two of them may look
/// the same, so the description is read as it stands.
fn changed(description: &RawDocument) -> Result<Vec<Bson>, bson::error::Error> {
    let mut changed = Vec::new();
    for part in description {
        let (name, part) = part?;
        match (name.as_str(), part) {
            ("updatedFields", RawBsonRef::Document(updated)) => {
                for field in updated {
                    let (field, value) = field?;
                    changed.push(doc! { "field": field.as_str(), "value": Bson::try_from(value)? }.into());
                }
            }
            ("removedFields", RawBsonRef::Array(removed)) => {
                for field in removed {
                    changed.push(doc! { "field": Bson::try_from(field?)?, "removed": true }.into());
                }
            }
            ("truncatedArrays", RawBsonRef::Array(truncated)) => {
                for array in truncated {
                    let Bson::Document(array) = Bson::try_from(array?)? else { continue };
                    let (field, size) = (array.get("field").cloned(), array.get("newSize").cloned());
                    changed.push(doc! { "field": field, "truncatedTo": size }.into());
                }
            }
            _ => {}
        }
    }
    Ok(changed)
}

/// The value of `a.b`, in documents within documents.
fn at_path<'a>(document: &'a Document, path: &str) -> Option<&'a Bson> {
    match path.split_once('.') {
        Some((first, rest)) => at_path(document.get_document(first).ok()?, rest),
        None => document.get(path),
    }
}

fn present<T>(part: Result<T, DecodeError>) -> Result<Option<T>, Failure> {
    match part {
        Ok(part) => Ok(Some(part)),
        Err(DecodeError::Missing(_)) => Ok(None),
        Err(malformed) => Err(malformed.into()),
    }
}
