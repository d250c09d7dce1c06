//! Entries as MongoDB 8 writes them.
#![allow(dead_code, clippy::indexing_slicing, reason = "not each benchmark needs all of it")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use bson::spec::BinarySubtype;
use bson::{Document, RawDocumentBuf, doc};

/// Returns a document of `size` bytes: 18, or enough for some text.
pub(crate) fn document(size: usize) -> Document {
    if size == 18 {
        return doc! { "_id": 1_i64 };
    }
    let rest = size - bson::serialize_to_vec(&doc! { "_id": 1_i64, "text": "" }).unwrap().len();
    doc! { "_id": 1_i64, "text": "x".repeat(rest) }
}

/// Returns the insert of such a document, which is 282 bytes larger.
pub(crate) fn insert(size: usize) -> RawDocumentBuf {
    change("i", size)
}

/// Returns an entry with such a document: an insert (`i`), or a replacement (`u`).
pub(crate) fn change(op: &str, size: usize) -> RawDocumentBuf {
    let entry = doc! {
        "lsid": { "id": bson::Uuid::from_bytes([7; 16]), "uid": bson::Binary { subtype: BinarySubtype::Generic, bytes: vec![1; 32] } },
        "txnNumber": 1_i64,
        "op": op,
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

/// Writes `count` of these entries of 300 bytes to a file, like a dump of an oplog.
pub(crate) fn write(path: &Path, op: &str, count: u32) {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    let mut entry = change(op, 18).into_bytes();
    assert_eq!(entry.len(), 300);
    let at = entry.windows(4).position(|four| four == b"\x11ts\0").unwrap() + 4;
    for increment in 1..=count {
        entry[at..at + 4].copy_from_slice(&increment.to_le_bytes());
        file.write_all(&entry).unwrap();
    }
    file.flush().unwrap();
}

/// Returns the median.
pub(crate) fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
