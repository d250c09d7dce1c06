//! A change as a document of the log: its change event, and who made the change.

use gtm_plugin::bson::raw::cstr;
use gtm_plugin::bson::{DateTime, RawBsonRef, RawDocument, RawDocumentBuf};
use gtm_plugin::{DecodeError, Failure, Op, extended_json};

use crate::AuditSettings;

pub(crate) fn entry(op: &Op, settings: &AuditSettings) -> Result<RawDocumentBuf, Failure> {
    let document = present(op.raw_document())?;
    let description = present(op.raw_update_description())?;
    let mut entry = RawDocumentBuf::new();
    for field in &op.to_raw_change_event()? {
        let (name, value) = field.map_err(Failure::reject)?;
        match (name.as_str(), value) {
            ("fullDocument", _) if description.is_some() || !settings.documents => {}
            ("fullDocumentBeforeChange", _) => {}
            // Names of its fields may begin with a dollar sign, which servers before 5.0 do not store.
            ("command", RawBsonRef::Document(command)) => {
                entry.append(name, extended_json::relaxed(command)?);
            }
            _ => entry.append(name, value),
        }
    }
    if op.wall_time().is_none() {
        // An index on it removes old entries, so each entry has it.
        let seconds = i64::from(op.timestamp().time);
        entry.append(cstr!("wallTime"), DateTime::from_millis(seconds * 1000));
    }
    // The description is of this change. The document may be of a later one, or gone.
    let updated = description.and_then(|description| description.get_document("updatedFields").ok());
    let field = &settings.actor_field;
    let actor = match updated.and_then(|updated| updated.get(field).ok().flatten()) {
        Some(actor) => Some(actor),
        None => document.and_then(|document| at_path(document, field)),
    };
    if let Some(actor) = actor {
        entry.append(cstr!("by"), actor);
    }
    Ok(entry)
}

/// The value of `a.b`, in documents within documents.
fn at_path<'a>(document: &'a RawDocument, path: &str) -> Option<RawBsonRef<'a>> {
    match path.split_once('.') {
        Some((first, rest)) => at_path(document.get_document(first).ok()?, rest),
        None => document.get(path).ok().flatten(),
    }
}

fn present<T>(part: Result<T, DecodeError>) -> Result<Option<T>, Failure> {
    match part {
        Ok(part) => Ok(Some(part)),
        Err(DecodeError::Missing(_)) => Ok(None),
        Err(malformed) => Err(malformed.into()),
    }
}
