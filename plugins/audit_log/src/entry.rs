//! A change as a document of the log.

use gtm_plugin::bson::{Bson, DateTime, Document, doc};
use gtm_plugin::{DecodeError, Failure, Op, config};

pub(crate) fn entry(op: &Op) -> Result<Document, Failure> {
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
    let field = config::get("actor_field").unwrap_or_else(|| "updatedBy".to_owned());
    let description = present(op.update_description::<Document>())?;
    // What the update says itself is of this change; the document may be of a later one, or gone.
    let updated = description.as_ref().and_then(|description| description.get_document("updatedFields").ok());
    let actor = updated.and_then(|updated| updated.get(&field));
    if let Some(actor) = actor.or_else(|| at_path(document.as_ref()?, &field)) {
        entry.insert("by", actor.clone());
    }
    if let Some(description) = &description {
        entry.insert("changed", changed(description));
    } else if let Some(document) = document.filter(|_| config::get("documents").as_deref() != Some("false")) {
        entry.insert("document", document);
    }
    if let Some(command) = present(op.command::<Document>())? {
        // Names of its fields may begin with a dollar sign, which a field that is stored may not everywhere.
        entry.insert("command", Bson::Document(command).into_relaxed_extjson().to_string());
    }
    if let Some(transaction) = op.transaction() {
        entry.insert("transaction", doc! { "id": &*transaction.id, "index": i64::from(transaction.index) });
    }
    Ok(entry)
}

/// The fields of an update as a list, as there may be dots in their names: `address.city` is no name of a field.
fn changed(description: &Document) -> Vec<Bson> {
    let updated = description.get_document("updatedFields").into_iter().flatten();
    let updated = updated.map(|(field, value)| doc! { "field": field, "value": value.clone() });
    let removed = description.get_array("removedFields").into_iter().flatten();
    let removed = removed.map(|field| doc! { "field": field.clone(), "removed": true });
    let truncated = description.get_array("truncatedArrays").into_iter().flatten();
    let truncated = truncated.filter_map(Bson::as_document).map(|array| {
        doc! { "field": array.get("field").cloned(), "truncatedTo": array.get("newSize").cloned() }
    });
    updated.chain(removed).chain(truncated).map(Bson::from).collect()
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
