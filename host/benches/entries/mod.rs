//! What is measured: entries as MongoDB 8 writes them.

use bson::spec::BinarySubtype;
use bson::{Document, RawDocumentBuf, doc};

/// A document of `size` bytes: 18, or enough for some text.
pub(crate) fn document(size: usize) -> Document {
    if size == 18 {
        return doc! { "_id": 1_i64 };
    }
    let rest = size - bson::serialize_to_vec(&doc! { "_id": 1_i64, "text": "" }).unwrap().len();
    doc! { "_id": 1_i64, "text": "x".repeat(rest) }
}

/// The insert of such a document: 282 bytes more.
pub(crate) fn insert(size: usize) -> RawDocumentBuf {
    let entry = doc! {
        "lsid": { "id": bson::Uuid::from_bytes([7; 16]), "uid": bson::Binary { subtype: BinarySubtype::Generic, bytes: vec![1; 32] } },
        "txnNumber": 1_i64,
        "op": "i",
        "ns": "users.users",
        "ui": bson::Uuid::from_bytes([9; 16]),
        "o": document(size),
        "o2": { "_id": 1_i64 },
        "stmtId": 0,
        "ts": bson::Timestamp { time: 1_700_000_000, increment: 1 },
        "t": 1_i64,
        "v": 2_i64,
        "wall": bson::DateTime::from_millis(1_700_000_000_123),
        "prevOpTime": { "ts": bson::Timestamp { time: 0, increment: 0 }, "t": -1_i64 },
    };
    RawDocumentBuf::try_from(entry).unwrap()
}
