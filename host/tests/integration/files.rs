//! Dumps as a source: what is in them becomes ops, however it is written and wherever it comes from.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bson::{Bson, Document, RawDocument, RawDocumentBuf, doc};
use flate2::Compression;
use flate2::write::GzEncoder;
use gtm_oplog::{Namespace, Op, OpPlace, OperationType, Origin, Selection, Skip, Timestamp};
use gtm_source::{FileContents, FileError, FileOptions, FileSource, FileSourceReport};
use tempfile::TempDir;

/// What came of some files.
#[derive(Debug)]
pub struct Outcome {
    pub ops: Vec<Op>,
    pub report: FileSourceReport,
    pub error: Option<FileError>,
}

impl Outcome {
    /// The `_id` of each op's document.
    pub fn ids(&self) -> Vec<i32> {
        let id = |op: &Op| RawDocument::from_bytes(op.document_key.as_ref()?).ok()?.get_i32("_id").ok();
        self.ops.iter().filter_map(id).collect()
    }

    pub fn said(&self) -> String {
        self.error.as_ref().map(ToString::to_string).unwrap_or_default()
    }
}

pub async fn read_with(paths: Vec<PathBuf>, selection: Selection, options: FileOptions) -> Outcome {
    let mut files = FileSource::open(paths, selection, options).unwrap();
    let (mut ops, mut error) = (Vec::new(), None);
    loop {
        match files.next().await {
            Ok(Some(batch)) => ops.extend(batch.ops),
            Ok(None) => break,
            Err(failed) => error = Some(failed),
        }
    }
    Outcome { ops, report: files.into_report(), error }
}

pub async fn read(paths: Vec<PathBuf>) -> Outcome {
    read_with(paths, Selection::everything(), FileOptions::default()).await
}

/// Reads one file that has `bytes` in it.
pub async fn read_bytes(bytes: &[u8]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    read(vec![write(&folder, "oplog.bson", bytes)]).await
}

pub fn write(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

pub fn at(increment: u32) -> Timestamp {
    Timestamp { time: 1_700_000_000, increment }
}

/// An insert of a document with the `_id` 10 times its place.
pub fn insert(increment: u32) -> Document {
    let id = 10 * i32::try_from(increment).unwrap();
    doc! { "op": "i", "ns": "shop.orders", "o": { "_id": id, "text": "{\"[ü\\" }, "ts": bson::Timestamp::from(at(increment)) }
}

pub fn dump(documents: &[Document]) -> Vec<u8> {
    documents.iter().flat_map(|document| bson::serialize_to_vec(document).unwrap()).collect()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// As lines of Extended JSON.
fn lines(documents: &[Document], write: impl Fn(Bson) -> serde_json::Value) -> Vec<u8> {
    let lines = documents.iter().map(|document| format!("{}\n", write(Bson::Document(document.clone()))));
    lines.collect::<String>().into_bytes()
}

/// Writes bytes into a pipe, a few at a time, as the standard input comes.
async fn read_pipe(bytes: Vec<u8>) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let pipe = path.clone();
    let writer = std::thread::spawn(move || {
        let mut pipe = std::fs::File::options().write(true).open(pipe).unwrap();
        bytes.chunks(7).for_each(|few| pipe.write_all(few).unwrap());
    });
    let outcome = read(vec![path]).await;
    writer.join().unwrap();
    outcome
}

#[tokio::test]
async fn every_format_of_a_file_has_the_same_ops() {
    let entries: Vec<_> = (1..=40).map(insert).collect();
    let values = |write: fn(Bson) -> serde_json::Value| {
        entries.iter().map(move |entry| write(Bson::Document(entry.clone()))).collect::<Vec<_>>()
    };
    let array = serde_json::Value::from(values(Bson::into_canonical_extjson));
    let pretty: String = values(Bson::into_relaxed_extjson)
        .iter()
        .map(|value| serde_json::to_string_pretty(value).unwrap())
        .collect();
    let forms = [
        ("bson", dump(&entries)),
        ("canonical", lines(&entries, Bson::into_canonical_extjson)),
        ("relaxed", [b"\xef\xbb\xbf \r\n".to_vec(), lines(&entries, Bson::into_relaxed_extjson)].concat()),
        ("over many lines", pretty.into_bytes()),
        ("array", array.to_string().into_bytes()),
    ];
    let expected: Vec<_> = (1..=40).map(|n| 10 * n).collect();
    for (form, plain) in forms {
        let middle = plain.len() / 2;
        let members = [gzip(&plain[..middle]), gzip(&plain[middle..])].concat();
        for (way, bytes) in [("plain", plain.clone()), ("gzip", gzip(&plain)), ("two members", members)] {
            for outcome in [read_bytes(&bytes).await, read_pipe(bytes).await] {
                assert!(outcome.error.is_none(), "{form}, {way}: {outcome:?}");
                assert_eq!(outcome.ids(), expected, "{form}, {way}");
                assert_eq!(outcome.report.files[0].contents, FileContents::Oplog);
                assert_eq!(outcome.report.files[0].documents, 40);
                assert_eq!(outcome.report.totals.position, at(40));
                let op = &outcome.ops[39];
                assert_eq!(
                    (op.timestamp, op.origin, &op.place),
                    (at(40), Origin::Replay, &OpPlace::Index(0))
                );
                let document =
                    RawDocumentBuf::try_from(entries[39].get_document("o").unwrap().clone()).unwrap();
                assert_eq!(op.full_document.as_deref(), Some(document.as_bytes()), "{form}, {way}");
            }
        }
    }
}

#[tokio::test]
async fn an_old_timestamp_may_be_a_document() {
    let mut entry = insert(3);
    entry.insert("ts", doc! { "t": 1_700_000_000, "i": 3_i64 });
    let outcome = read_bytes(&dump(&[entry])).await;
    assert_eq!(outcome.ops[0].id().to_string(), "1700000000.3.0");
}

#[tokio::test]
async fn extended_json_may_be_of_its_first_version() {
    let text = r#"{"op": "i", "ns": "a.b", "o": {"_id": 1, "x": [{"$binary": "AQID", "$type": "4"}]},
        "ts": {"$timestamp": {"t": 1, "i": 2}}, "wall": {"$date": "2021-01-04T17:48:11.237-0500"}}"#;
    let outcome = read_bytes(text.as_bytes()).await;
    let binary = bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: vec![1, 2, 3] };
    let document = bson::serialize_to_vec(&doc! { "_id": 1, "x": [binary] }).unwrap();
    assert_eq!(outcome.ops[0].full_document.as_deref(), Some(&document[..]), "{:?}", outcome.report);
    assert_eq!(outcome.ops[0].wall_time, Some(1_609_800_491_237));
}

#[tokio::test]
async fn documents_of_a_collection_are_inserts() {
    let folder = tempfile::tempdir().unwrap();
    let orders = dump(&[doc! { "_id": 1, "ts": 5, "op": "i" }, doc! { "a": 1, "_id": 2 }]);
    let paths = vec![
        write(&folder, "dump/shop/orders%2F2026.bson.gz", &gzip(&orders)),
        write(&folder, "dump/shop/orders%2F2026.metadata.json.gz", b"never read"),
        write(&folder, "dump/prelude.json", b"{}"),
        write(&folder, "dump/shop/system.views.bson", &orders),
        write(&folder, "dump/shop/empty.bson", b""),
    ];
    let outcome = read(paths).await;
    assert!(outcome.error.is_none(), "{outcome:?}");
    assert_eq!(outcome.ids(), [1, 2]);
    let op = &outcome.ops[1];
    assert_eq!(op.namespace.to_string(), "shop.orders/2026");
    assert_eq!((op.timestamp, op.operation_type), (Timestamp::default(), OperationType::Insert));
    assert_eq!((op.origin, &op.place), (Origin::Replay, &OpPlace::Document));
    let document = bson::serialize_to_vec(&doc! { "a": 1, "_id": 2 }).unwrap();
    assert_eq!(op.full_document.as_deref(), Some(&document[..]));
    let contents: Vec<_> = outcome.report.files.iter().map(|file| &file.contents).collect();
    assert!(
        matches!(
            contents[..],
            [
                FileContents::Collection(_),
                FileContents::Metadata,
                FileContents::Metadata,
                FileContents::Collection(_),
                FileContents::Nothing
            ]
        ),
        "{contents:?}"
    );
    assert_eq!(outcome.report.totals.unwanted, 2, "what is the server's own is nobody's");
    assert_eq!(outcome.report.files[0].bytes, orders.len() as u64);
}

#[tokio::test]
async fn a_collection_that_the_path_does_not_name_can_be_specified() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, "export.json", b"{\"_id\": 1}\n");
    let outcome = read(vec![path.clone()]).await;
    assert!(outcome.said().contains("export.json contains documents of a collection"), "{}", outcome.said());
    assert!(outcome.said().ends_with("its path does not name the collection"), "{}", outcome.said());

    let namespace = Some(Namespace { database: "shop".into(), collection: "orders".into() });
    let options = FileOptions { namespace, ..FileOptions::default() };
    let outcome = read_with(vec![path], Selection::everything(), options).await;
    assert_eq!(outcome.ops[0].namespace.to_string(), "shop.orders");
    assert_eq!(outcome.ids(), [1]);
}

/// Entries of a transaction of two pieces and a commit, which inserts 1, 2 and 3.
fn transaction() -> Vec<Document> {
    let piece = |increment: u32, previous: u32, command: Document| {
        let time = if previous == 0 { 0 } else { 1_700_000_000 };
        let ts = bson::Timestamp { time, increment: previous };
        doc! {
            "op": "c", "ns": "admin.$cmd", "o": command, "ts": bson::Timestamp::from(at(increment)),
            "lsid": { "id": bson::Uuid::from_bytes([7; 16]) }, "txnNumber": 1_i64,
            "prevOpTime": { "ts": ts, "t": 1_i64 },
        }
    };
    let part = |id: i32| doc! { "op": "i", "ns": "shop.orders", "o": { "_id": id } };
    vec![
        piece(1, 0, doc! { "applyOps": [part(1)], "partialTxn": true }),
        piece(2, 1, doc! { "applyOps": [part(2)], "partialTxn": true }),
        piece(3, 2, doc! { "applyOps": [part(3)], "count": 3_i64 }),
    ]
}

#[tokio::test]
async fn a_transaction_may_continue_in_the_next_file() {
    let folder = tempfile::tempdir().unwrap();
    let entries = transaction();
    let first = write(&folder, "1.bson", &dump(&entries[..2]));
    let second = write(&folder, "2.bson", &dump(&entries[2..]));
    let outcome = read(vec![first.clone(), second.clone()]).await;
    assert_eq!(outcome.ids(), [1, 2, 3]);
    assert!(outcome.ops.iter().all(|op| op.timestamp == at(3)));
    assert_eq!(outcome.report.totals.counts().count(), 0);

    let outcome = read(vec![second]).await;
    assert_eq!(outcome.ids(), [3], "the rest is before the dump");
    assert_eq!(outcome.report.totals.skipped[&Skip::LostPiece], 1);
    let outcome = read(vec![first]).await;
    assert_eq!(outcome.ids(), [0; 0], "it is not committed");
    let open: Vec<_> = outcome.report.totals.counts().collect();
    assert_eq!(open, [("transactions still open at the end", 1)]);
}

#[tokio::test]
async fn transactions_without_effect_are_counted() {
    let entries = transaction();
    let mut abort = entries[2].clone();
    abort.insert("o", doc! { "abortTransaction": 1 });
    let of_number = |entry: &Document, number: i64| {
        let mut entry = entry.clone();
        entry.insert("txnNumber", number);
        entry
    };
    // Aborted; given up for the next; open.
    let all =
        [entries[0].clone(), entries[1].clone(), abort, of_number(&entries[0], 2), of_number(&entries[0], 3)];
    let outcome = read_bytes(&dump(&all)).await;
    assert_eq!(outcome.ids(), [0; 0]);
    let totals = &outcome.report.totals;
    assert_eq!((totals.aborted, totals.open), (2, 1));
    let counts: Vec<_> = totals.counts().collect();
    assert!(counts.contains(&("aborted transactions", 2)), "{counts:?}");
    assert!(counts.contains(&("transactions still open at the end", 1)), "{counts:?}");
    let committed = read_bytes(&dump(&entries)).await;
    assert_eq!((committed.report.totals.aborted, committed.report.totals.open), (0, 0));
}

#[tokio::test]
async fn only_ops_in_the_time_range_are_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let mut entries = transaction();
    entries.extend([insert(3), insert(4), insert(5), insert(5), insert(6), insert(7)]);
    let path = write(&folder, "oplog.bson", &dump(&entries));
    let next = write(&folder, "next.bson", &dump(&[insert(5), insert(8)]));
    let options = FileOptions { from: Some(at(3)), to: Some(at(5)), namespace: None };
    let outcome = read_with(vec![path.clone(), next], Selection::everything(), options).await;
    assert_eq!(outcome.ids(), [1, 2, 3, 30, 40, 50, 50, 50], "of a transaction, what is before it too");
    let totals = &outcome.report.totals;
    assert_eq!((totals.before, totals.after, totals.position), (2, 2, at(5)));

    let options = FileOptions { from: Some(at(4)), ..FileOptions::default() };
    let outcome = read_with(vec![path], Selection::everything(), options).await;
    assert_eq!(outcome.ids(), [40, 50, 50, 60, 70], "what was committed before is not");
    assert_eq!(outcome.report.totals.before, 4);
    assert!(outcome.report.totals.skipped.is_empty());
}

#[tokio::test]
async fn time_that_goes_backwards_is_counted() {
    let outcome =
        read_bytes(&dump(&[insert(1), insert(5), insert(2), insert(2), insert(3), insert(1)])).await;
    assert_eq!(outcome.ids(), [10, 50, 20, 20, 30, 10]);
    assert_eq!(outcome.report.totals.backwards, 2);
}

#[tokio::test]
async fn unwanted_ops_are_counted_and_wanted_ones_come_in_batches() {
    let folder = tempfile::tempdir().unwrap();
    // More than a batch in one entry, and than a block in all.
    let parts: Vec<_> =
        (0..2500).map(|n| doc! { "op": "i", "ns": "shop.orders", "o": { "_id": n } }).collect();
    let many = doc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": parts }, "ts": bson::Timestamp::from(at(1)) };
    let mut entries = vec![many];
    for n in 2..=20_000 {
        let mut entry = insert(n);
        entry.insert("ns", if n % 5000 == 0 { "shop.rare" } else { "shop.orders" });
        entries.push(entry);
    }
    let path = write(&folder, "oplog.bson", &dump(&entries));
    let mut files =
        FileSource::open(vec![path.clone()], Selection::everything(), FileOptions::default()).unwrap();
    let mut count = 0;
    loop {
        // Cancelled again and again, it loses nothing.
        let Ok(batch) = tokio::time::timeout(Duration::from_micros(20), files.next()).await else { continue };
        let Some(batch) = batch.unwrap() else { break };
        assert!(batch.ops.len() <= 1000, "{}", batch.ops.len());
        count += batch.ops.len();
    }
    assert_eq!(count, 2500 + 19_999);

    let mut selection = Selection::default();
    selection.add("shop.rare", &[]).unwrap();
    let outcome = read_with(vec![path], selection, FileOptions::default()).await;
    assert_eq!(outcome.ids(), [50_000, 100_000, 150_000, 200_000]);
    assert_eq!(outcome.report.totals.unwanted, 2500 + 19_999 - 4);
}

/// A document with `_id` 1 in which documents stand in each other, `depth` times.
fn nested(depth: usize) -> Vec<u8> {
    let inner = |levels: usize| (8 * i32::try_from(levels).unwrap() + 5).to_le_bytes();
    let mut fields = b"\x10_id\0\x01\0\0\0".to_vec();
    for level in (0..depth).rev() {
        fields.extend_from_slice(b"\x03a\0");
        fields.extend_from_slice(&inner(level));
    }
    fields.resize(fields.len() + depth, 0);
    let length = i32::try_from(fields.len() + 5).unwrap();
    [&length.to_le_bytes()[..], &fields, &[0]].concat()
}

/// An insert of a document, whatever it is.
fn insert_bytes(document: &[u8]) -> Vec<u8> {
    let mut fields =
        b"\x02op\0\x02\0\0\0i\0\x02ns\0\x0c\0\0\0shop.orders\0\x11ts\0\x01\0\0\0\x01\0\0\0\x03o\0".to_vec();
    fields.extend_from_slice(document);
    let length = i32::try_from(fields.len() + 5).unwrap();
    [&length.to_le_bytes()[..], &fields, &[0]].concat()
}

#[tokio::test]
async fn a_document_may_be_large_and_deep() {
    let large = 16 << 20;
    let text = "x".repeat(large - bson::serialize_to_vec(&doc! { "_id": 1, "text": "" }).unwrap().len());
    let large = bson::serialize_to_vec(&doc! { "_id": 1, "text": text }).unwrap();
    assert_eq!(large.len(), 16 << 20);
    for document in [nested(150), nested(100_000), large] {
        let folder = tempfile::tempdir().unwrap();
        let entry = insert_bytes(&document);
        let around = [dump(&[insert(1)]), entry, dump(&[insert(2)])].concat();
        let paths = vec![
            write(&folder, "oplog.bson", &around),
            write(&folder, "shop/orders.bson.gz", &gzip(&document)),
        ];
        let outcome = read(paths).await;
        assert!(outcome.error.is_none(), "{}", outcome.said());
        assert_eq!(outcome.ids(), [10, 1, 20, 1]);
        for op in [&outcome.ops[1], &outcome.ops[3]] {
            assert_eq!(op.full_document.as_deref(), Some(&document[..]));
        }
    }
}

#[tokio::test]
async fn a_missing_file_is_reported_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let there = write(&folder, "there.bson", &dump(&[insert(1)]));
    let open = |path: &Path| {
        let paths = vec![there.clone(), path.to_owned()];
        FileSource::open(paths, Selection::everything(), FileOptions::default()).unwrap_err().to_string()
    };
    assert!(open(&folder.path().join("missing.bson")).contains("missing.bson cannot be read: No such file"));
    assert!(open(folder.path()).ends_with("/*.bson"), "{}", open(folder.path()));
}
