//! Change events that were written to a file: what a document is. Pure.

use bson::{RawBsonRef, RawDocument};
use bytes::Bytes;
use gtm_oplog::{OperationType, Reply, Timestamp};

use crate::extended_json::{LARGEST_OP, read};

/// How an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// As `gtm-host tail` prints ops.
    Line,
    /// As a server sends it.
    Event,
}

/// How an event is written. None: it is not an event.
pub(super) fn shape(document: &RawDocument) -> Option<Shape> {
    let field = |name: &str| document.get(name).ok().flatten();
    let has_token = field("_id").and_then(|id| id.as_document()?.get("_data").ok()?).is_some();
    let Some(RawBsonRef::String(operation)) = field("operationType") else {
        // A later fragment of an event that the server split.
        return (has_token && field("splitEvent").is_some()).then_some(Shape::Event);
    };
    match field("ns") {
        Some(RawBsonRef::String(_))
            if field("_id").is_none() && operation.parse::<OperationType>().is_ok() =>
        {
            Some(Shape::Line)
        }
        Some(RawBsonRef::Document(namespace)) if has_token || field("_id").is_none() => {
            namespace.get_str("db").is_ok().then_some(Shape::Event)
        }
        // The end of a stream.
        None if has_token => Some(Shape::Event),
        _ => None,
    }
}

/// The document that a message of Kafka has in its `payload`, as a document or as the text of one. None: it is not such a
/// message.
///
/// # Errors
/// The text is not a document.
pub(super) fn payload(document: &RawDocument, reply: &Reply) -> Option<Result<Bytes, String>> {
    match document.get("payload").ok()?? {
        _ if document.get("operationType").is_ok_and(|there| there.is_some()) => None,
        RawBsonRef::Document(payload) => Some(Ok(reply.cut(payload))),
        RawBsonRef::String(text) if text.trim_start().starts_with('{') => {
            Some(read(text, LARGEST_OP).map(Bytes::from).map_err(|error| error.to_string()))
        }
        _ => None,
    }
}

/// Whether a document is an event, or a message that has one in it.
pub(super) fn is_event(document: &RawDocument, reply: &Reply) -> bool {
    let within = |payload: Result<Bytes, String>| {
        let payload = payload.ok()?;
        shape(RawDocument::from_bytes(&payload).ok()?)
    };
    shape(document).is_some() || payload(document, reply).and_then(within).is_some()
}

/// When the change became visible. Null: the event does not say it.
pub(super) fn time(event: &RawDocument) -> Timestamp {
    let time = ["clusterTime", "timestamp"].into_iter().find_map(|name| event.get_timestamp(name).ok());
    time.map(Timestamp::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use bson::{Document, RawDocumentBuf, doc};

    use super::*;

    fn shape_of(document: Document) -> Option<Shape> {
        shape(&RawDocumentBuf::try_from(document).unwrap())
    }

    #[test]
    fn events_are_known_by_what_each_has() {
        let (id, ns) = (doc! { "_data": "82" }, doc! { "db": "a", "coll": "b" });
        for (document, expected) in [
            (doc! { "_id": &id, "operationType": "insert", "ns": &ns }, Some(Shape::Event)),
            (doc! { "operationType": "delete", "ns": &ns }, Some(Shape::Event)),
            (doc! { "_id": &id, "operationType": "invalidate" }, Some(Shape::Event)),
            (doc! { "_id": &id, "splitEvent": { "fragment": 2, "of": 2 } }, Some(Shape::Event)),
            (doc! { "operationType": "insert", "ns": "a.b" }, Some(Shape::Line)),
            // Documents of users.
            (doc! { "_id": 1, "operationType": "insert", "ns": "a.b" }, None),
            (doc! { "_id": 1, "operationType": "insert", "ns": &ns }, None),
            (doc! { "_id": 1, "operationType": 3 }, None),
            (doc! { "operationType": "sale", "ns": "a.b" }, None),
            (doc! { "_id": &id }, None),
        ] {
            assert_eq!(shape_of(document.clone()), expected, "{document}");
        }
    }
}
