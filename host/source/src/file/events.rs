//! Recognizes change events in files. Pure.

use bson::{RawBsonRef, RawDocument};
use bytes::Bytes;
use gtm_oplog::{OperationType, Reply};

use crate::extended_json::{MAX_OP_SIZE, op_id, read};

/// The form in which an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventForm {
    /// The line of an op, as `gtm-host tail` prints it.
    Line,
    /// The event of a server.
    Event,
}

/// Returns the form of an event. None: the document is not an event.
pub(super) fn form(document: &RawDocument) -> Option<EventForm> {
    let field = |name: &str| document.get(name).ok().flatten();
    let has_token = field("_id").and_then(|id| id.as_document()?.get("_data").ok()?).is_some();
    let Some(RawBsonRef::String(operation)) = field("operationType") else {
        // A later fragment of an event that the server split.
        return (has_token && field("splitEvent").is_some()).then_some(EventForm::Event);
    };
    match field("ns") {
        // The form of earlier hosts.
        Some(RawBsonRef::String(_))
            if field("_id").is_none() && operation.parse::<OperationType>().is_ok() =>
        {
            Some(EventForm::Line)
        }
        Some(RawBsonRef::Document(namespace)) if has_token || field("_id").is_none() => {
            let form = if op_id(document).is_some() { EventForm::Line } else { EventForm::Event };
            namespace.get_str("db").is_ok().then_some(form)
        }
        // The end of a stream.
        None if has_token => Some(EventForm::Event),
        _ => None,
    }
}

/// Returns the document in the `payload` of a Kafka message, which may be its text. None: the document is not such a
/// message.
///
/// # Errors
/// The text is not a document.
pub(super) fn payload(document: &RawDocument, reply: &Reply) -> Option<Result<Bytes, String>> {
    match document.get("payload").ok()?? {
        _ if document.get("operationType").is_ok_and(|there| there.is_some()) => None,
        RawBsonRef::Document(payload) => Some(Ok(reply.cut(payload))),
        RawBsonRef::String(text) if text.trim_start().starts_with('{') => {
            Some(read(text, MAX_OP_SIZE).map(Bytes::from).map_err(|error| error.to_string()))
        }
        _ => None,
    }
}

/// Returns whether a document is an event, or a message that contains one.
pub(super) fn is_event(document: &RawDocument, reply: &Reply) -> bool {
    let within = |payload: Result<Bytes, String>| {
        let payload = payload.ok()?;
        form(RawDocument::from_bytes(&payload).ok()?)
    };
    form(document).is_some() || payload(document, reply).and_then(within).is_some()
}

#[cfg(test)]
mod tests {
    use bson::{Document, RawDocumentBuf, doc};

    use super::*;

    fn form_of(document: Document) -> Option<EventForm> {
        form(&RawDocumentBuf::try_from(document).unwrap())
    }

    #[test]
    fn events_are_recognized_by_their_fields() {
        let (id, ns) = (doc! { "_data": "82" }, doc! { "db": "a", "coll": "b" });
        for (document, expected) in [
            (doc! { "_id": &id, "operationType": "insert", "ns": &ns }, Some(EventForm::Event)),
            (doc! { "operationType": "delete", "ns": &ns }, Some(EventForm::Event)),
            (doc! { "_id": &id, "operationType": "invalidate" }, Some(EventForm::Event)),
            (doc! { "_id": &id, "splitEvent": { "fragment": 2, "of": 2 } }, Some(EventForm::Event)),
            (
                doc! { "_id": { "_data": "7.1.0" }, "operationType": "insert", "ns": &ns },
                Some(EventForm::Line),
            ),
            (
                doc! { "_id": { "_data": "7.1.82ab" }, "operationType": "other", "ns": { "db": "a" } },
                Some(EventForm::Line),
            ),
            (
                doc! { "_id": { "_data": "82.ab" }, "operationType": "insert", "ns": &ns },
                Some(EventForm::Event),
            ),
            (doc! { "operationType": "insert", "ns": "a.b" }, Some(EventForm::Line)),
            // Documents of users.
            (doc! { "_id": 1, "operationType": "insert", "ns": "a.b" }, None),
            (doc! { "_id": 1, "operationType": "insert", "ns": &ns }, None),
            (doc! { "_id": 1, "operationType": 3 }, None),
            (doc! { "operationType": "sale", "ns": "a.b" }, None),
            (doc! { "_id": &id }, None),
        ] {
            assert_eq!(form_of(document.clone()), expected, "{document}");
        }
    }
}
