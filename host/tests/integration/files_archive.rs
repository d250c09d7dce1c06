//! Archives of `mongodump --archive` as a source, whole, cut off and damaged.

use bson::{Document, doc};
use crc::{CRC_64_XZ, Crc};
use gtm_oplog::{OpPlace, OperationType, Timestamp};
use gtm_source::{FileContents, FileError};

use crate::files::{Outcome, at, dump, gzip, insert, read_bytes};

const TERMINATOR: [u8; 4] = [0xff; 4];

fn bytes(document: Document) -> Vec<u8> {
    bson::serialize_to_vec(&document).unwrap()
}

fn header(database: &str, collection: &str, ended: Option<u64>) -> Vec<u8> {
    let checksum = i64::from_le_bytes(ended.unwrap_or_default().to_le_bytes());
    bytes(doc! { "db": database, "collection": collection, "EOF": ended.is_some(), "CRC": checksum })
}

fn block(database: &str, collection: &str, documents: &[Document]) -> Vec<u8> {
    [header(database, collection, None), dump(documents), TERMINATOR.to_vec()].concat()
}

fn end(database: &str, collection: &str, documents: &[Document]) -> Vec<u8> {
    let checksum = Crc::<u64>::new(&CRC_64_XZ).checksum(&dump(documents));
    [header(database, collection, Some(checksum)), TERMINATOR.to_vec()].concat()
}

/// What an archive begins with, where it has these collections.
fn prelude(collections: &[(&str, &str)]) -> Vec<u8> {
    let mark = [0x6d, 0xe2, 0x99, 0x81].to_vec();
    let first = doc! { "concurrent_collections": 4, "version": "0.1", "server_version": "7.0.5", "tool_version": "100.9.4" };
    let described = collections.iter().map(|(database, collection)| {
        doc! { "db": *database, "collection": *collection, "metadata": "{\"indexes\":[]}", "size": 0, "type": "collection" }
    });
    let described: Vec<_> = described.collect();
    [mark, bytes(first), dump(&described), TERMINATOR.to_vec()].concat()
}

fn documents(ids: &[i32]) -> Vec<Document> {
    ids.iter().map(|id| doc! { "_id": *id, "text": "Grüße" }).collect()
}

/// Two collections that alternate, one of the server's own, and an oplog.
fn archive() -> Vec<u8> {
    let (orders, users, version) = (documents(&[1, 2, 3]), documents(&[7]), documents(&[9]));
    let oplog = [insert(1), insert(2)];
    [
        prelude(&[("shop", "orders"), ("shop", "users"), ("admin", "system.version"), ("", "oplog")]),
        block("admin", "system.version", &version),
        end("admin", "system.version", &version),
        block("shop", "orders", &orders[..2]),
        block("shop", "users", &users),
        block("shop", "orders", &orders[2..]),
        end("shop", "users", &users),
        end("shop", "orders", &orders),
        block("", "oplog", &oplog),
        end("", "oplog", &oplog),
    ]
    .concat()
}

#[tokio::test]
async fn collections_and_the_oplog_are_read() {
    for bytes in [archive(), gzip(&archive())] {
        let outcome = read_bytes(&bytes).await;
        assert!(outcome.error.is_none(), "{}", outcome.said());
        assert_eq!(outcome.ids(), [1, 2, 7, 3, 10, 20]);
        let [first, .., last] = &outcome.ops[..] else { panic!("{outcome:?}") };
        assert_eq!((first.namespace.to_string().as_str(), &first.place), ("shop.orders", &OpPlace::Document));
        assert_eq!((first.operation_type, first.timestamp), (OperationType::Insert, Timestamp::default()));
        assert_eq!(first.full_document.as_deref(), Some(&dump(&documents(&[1]))[..]));
        assert_eq!(outcome.ops[2].namespace.to_string(), "shop.users");
        assert_eq!((last.timestamp, &last.place), (at(2), &OpPlace::Index(0)));
        let report = &outcome.report;
        assert_eq!((&report.files[0].contents, report.files[0].documents), (&FileContents::Archive, 7));
        assert_eq!(
            (report.totals.unwanted, report.totals.position),
            (1, at(2)),
            "what is the server's own is nobody's"
        );
    }
    let empty = [prelude(&[("a", "b")]), block("a", "b", &[]), end("a", "b", &[])].concat();
    let outcome = read_bytes(&empty).await;
    assert!(outcome.error.is_none() && outcome.ops.is_empty(), "{}", outcome.said());
}

#[tokio::test]
async fn an_archive_that_is_truncated_anywhere_is_read_up_to_there() {
    let (whole, all) = (archive(), [1, 2, 7, 3, 10, 20]);
    let mut before = 0;
    for length in 4..whole.len() {
        let outcome = read_bytes(&whole[..length]).await;
        let ids = outcome.ids();
        assert!(all.starts_with(&ids) && ids.len() >= before, "{length}: {ids:?}");
        before = ids.len();
        assert!(
            matches!(outcome.error, Some(FileError::Truncated { .. } | FileError::Unfinished { .. })),
            "{length}: {}",
            outcome.said()
        );
    }
    assert_eq!(before, all.len());
    let orders = prelude(&[("shop", "orders")]).len() + block("shop", "orders", &documents(&[1])).len();
    let part = [prelude(&[("shop", "orders")]), block("shop", "orders", &documents(&[1]))].concat();
    let said = read_bytes(&part).await.said();
    assert!(
        said.contains(&format!("at byte {orders}, the archive ends before the rest of shop.orders")),
        "{said}"
    );
}

#[tokio::test]
async fn changed_anywhere_it_is_read_or_refused() {
    let whole = archive();
    for place in 0..whole.len() {
        for change in [0x00, 0x01, 0x7f, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[place] = if change == 0x01 { bytes[place] ^ 1 } else { change };
            let Outcome { ops, error, .. } = read_bytes(&bytes).await;
            assert!(
                ops.len() <= 7 && !matches!(error, Some(FileError::Ended | FileError::Thread(_))),
                "{error:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_invalid_archive_is_reported_with_the_place() {
    let begin = prelude(&[("a", "b")]);
    let one = documents(&[1]);
    let many: Vec<u8> = (0..10_001).flat_map(|n| block("a", &n.to_string(), &[])).collect();
    for (rest, what) in [
        (TERMINATOR.to_vec(), "the end of a block that has no beginning"),
        ([block("a", "b", &one), TERMINATOR.to_vec()].concat(), "the end of a block that has no beginning"),
        ([bytes(doc! { "db": "a" }), TERMINATOR.to_vec()].concat(), "does not name its collection"),
        (
            [block("a", "b", &one), end("a", "b", &[])].concat(),
            "a checksum that the documents of a.b before it do not have",
        ),
        (
            [
                block("a", "b", &one),
                header("a", "b", Some(Crc::<u64>::new(&CRC_64_XZ).checksum(&dump(&one)))),
                dump(&one),
            ]
            .concat(),
            "a document after the end of its collection",
        ),
        ([header("a", "b", None), i32::MAX.to_le_bytes().to_vec()].concat(), "a length of 2147483647 bytes"),
        ([header("a", "b", None), 0_i32.to_le_bytes().to_vec()].concat(), "a length of 0 bytes"),
        (many, "10000 other collections are not ended"),
    ] {
        let outcome = read_bytes(&[begin.clone(), rest].concat()).await;
        assert!(matches!(outcome.error, Some(FileError::Damaged { .. })), "{}", outcome.said());
        assert!(outcome.said().contains(what), "{}", outcome.said());
    }
    // A document that is broken within is skipped, as in a dump.
    let mut broken = documents(&[1, 2]);
    broken.push(doc! { "_id": 3 });
    let mut block = block("a", "b", &broken);
    let place = block.windows(4).position(|four| four == [0x0e, 0, 0, 0]).unwrap();
    block[place + 4] = 0x20;
    let outcome = read_bytes(&[begin, block].concat()).await;
    assert_eq!((outcome.ids(), outcome.report.totals.corrupt), (vec![1, 2], 1));
}
