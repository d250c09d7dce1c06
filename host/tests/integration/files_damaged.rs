//! Dumps that are cut off or damaged, and files that are none: everything before is kept, and what is said names
//! the place.

use bson::doc;
use gtm_source::{FileContents, FileError, FilePlace};

use crate::files::{Outcome, at, dump, gzip, insert, read, read_bytes, write};

/// The place that an error names.
fn place(outcome: &Outcome) -> &FilePlace {
    match outcome.error.as_ref().unwrap() {
        FileError::Truncated { at, .. } | FileError::Damaged { at, .. } | FileError::Broken { at, .. } => at,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_dump_that_is_truncated_anywhere_is_read_up_to_there() {
    let whole = dump(&[insert(1), insert(2), insert(3)]);
    let one = whole.len() / 3;
    for length in 1..=whole.len() {
        let outcome = read_bytes(&whole[..length]).await;
        let expected: Vec<_> = (1..=length / one).map(|n| 10 * i32::try_from(n).unwrap()).collect();
        assert_eq!(outcome.ids(), expected, "{length}");
        assert_eq!(outcome.report.files[0].documents, expected.len() as u64);
        if length % one == 0 {
            assert!(outcome.error.is_none(), "{}", outcome.said());
            continue;
        }
        assert_eq!(place(&outcome).offset, (length / one * one) as u64, "{}", outcome.said());
        let said = format!("ends {} bytes later", length % one);
        assert!(outcome.said().contains(&said), "{}", outcome.said());
    }
}

#[tokio::test]
async fn a_compressed_file_that_is_truncated_anywhere_is_read_up_to_there() {
    let plain = dump(&(1..=20).map(insert).collect::<Vec<_>>());
    let one = plain.len() / 20;
    let whole = gzip(&plain);
    let mut before = 0;
    for length in 2..whole.len() {
        let outcome = read_bytes(&whole[..length]).await;
        let ids = outcome.ids();
        assert!(ids.len() >= before, "more of the file is not less of the ops");
        before = ids.len();
        let expected: Vec<_> = (1..=before).map(|n| 10 * i32::try_from(n).unwrap()).collect();
        assert_eq!(ids, expected);
        let place = place(&outcome);
        assert!(
            place.compressed && outcome.said().contains("of the uncompressed data"),
            "{}",
            outcome.said()
        );
        assert_eq!(usize::try_from(place.offset).unwrap() / one, before, "{}", outcome.said());
    }
    assert_eq!(before, 20, "all but the checksum was there");
}

#[tokio::test]
async fn extended_json_that_is_truncated_anywhere_is_read_up_to_there() {
    let line = format!("{}\n", bson::Bson::Document(insert(1)).into_relaxed_extjson());
    let whole = line.repeat(2).into_bytes();
    for length in 1..=whole.len() {
        let outcome = read_bytes(&whole[..length]).await;
        let texts = whole[..length].split(|byte| *byte == b'\n').filter(|text| text.len() == line.len() - 1);
        assert_eq!(outcome.ids().len(), texts.count(), "{length}");
        match length % line.len() {
            0 => assert!(outcome.error.is_none()),
            rest if rest == line.len() - 1 => assert!(outcome.error.is_none()),
            rest => assert_eq!(place(&outcome).offset, (length - rest) as u64),
        }
    }
}

#[tokio::test]
async fn reading_ends_at_an_invalid_length() {
    let good = dump(&[insert(1)]);
    for length in [0, 4, -1, i32::MIN, i32::MAX, (16 << 20) + (16 << 10) + 1] {
        let bytes = [&good, &length.to_le_bytes()[..], &good].concat();
        for bytes in [bytes.clone(), gzip(&bytes)] {
            let outcome = read_bytes(&bytes).await;
            assert_eq!(outcome.ids(), [10]);
            assert_eq!(place(&outcome).offset, good.len() as u64);
            assert!(outcome.said().contains(&format!("a length of {length} bytes")), "{}", outcome.said());
        }
    }
    let text = b"{\"_id\":1} x";
    let outcome = read_bytes(&[&bson_line(), &text[9..]].concat()).await;
    assert_eq!(outcome.ids(), [10]);
    assert!(outcome.said().contains("'x' between two documents"), "{}", outcome.said());
}

fn bson_line() -> Vec<u8> {
    bson::Bson::Document(insert(1)).into_canonical_extjson().to_string().into_bytes()
}

#[tokio::test]
async fn a_document_with_broken_contents_is_skipped() {
    let good = dump(&[insert(1)]);
    let mut no_end = dump(&[insert(2)]);
    *no_end.last_mut().unwrap() = 1;
    let mut no_type = dump(&[insert(2)]);
    no_type[4] = 0x20;
    let no_entry = dump(&[doc! { "neither": "ts nor op" }]);
    let bytes = [&good[..], &no_end, &no_type, &no_entry, &dump(&[insert(3)])].concat();
    let outcome = read_bytes(&bytes).await;
    assert!(outcome.error.is_none(), "{}", outcome.said());
    assert_eq!(outcome.ids(), [10, 30]);
    assert_eq!(outcome.report.totals.corrupt, 3);
    assert_eq!(outcome.report.files[0].documents, 5);
    assert_eq!(outcome.report.totals.counts().collect::<Vec<_>>(), [("corrupt documents", 3)]);

    let line = bson_line();
    let deep = [b"{\"a\":".repeat(100_000), b"1".to_vec(), b"}".repeat(100_000)].concat();
    let bytes = [&line[..], b"{\"_id\": }", b"{\"$oid\": \"00\"}", &deep, &line].concat();
    let outcome = read_bytes(&bytes).await;
    assert!(outcome.error.is_none(), "{}", outcome.said());
    assert_eq!(outcome.ids(), [10, 10]);
    assert_eq!(outcome.report.totals.corrupt, 3);

    let folder = tempfile::tempdir().unwrap();
    let mut bytes = dump(&[doc! { "_id": 1 }, doc! { "_id": 2, "x": 1 }, doc! { "_id": 3 }]);
    bytes[14 + 4 + 9] = 0x20;
    let outcome = read(vec![write(&folder, "shop/orders.bson", &bytes)]).await;
    assert_eq!((outcome.ids(), outcome.report.totals.corrupt), (vec![1, 3], 1));
}

#[tokio::test]
async fn damaged_compression_is_reported_after_the_ops_before_it() {
    let plain = dump(&(1..=2000).map(insert).collect::<Vec<_>>());
    let mut bytes = gzip(&plain);
    let middle = bytes.len() - 100;
    bytes[middle..middle + 50].fill(0xff);
    let outcome = read_bytes(&bytes).await;
    assert!(outcome.ids().len() > 1000, "{} of 2000", outcome.ids().len());
    assert!(place(&outcome).compressed);

    // Only the checksum is wrong: all is read.
    let mut bytes = gzip(&plain);
    let end = bytes.len() - 8;
    bytes[end] ^= 1;
    let outcome = read_bytes(&bytes).await;
    assert_eq!(outcome.ids().len(), 2000);
    assert_eq!(outcome.report.totals.position, at(2000));
    assert!(outcome.said().contains("corrupt gzip stream"), "{}", outcome.said());
}

#[tokio::test]
async fn a_file_that_is_not_a_dump_is_reported_by_name() {
    for (bytes, what) in [
        (&b"PK\x03\x04 and more"[..], "a zip archive"),
        (b"_id,name\n1,x\n", "text, but not Extended JSON"),
        (b"\0\0\0\0\0\0\0\0", "in no known format"),
        (&gzip(&gzip(b"{}")), "compressed twice"),
    ] {
        let outcome = read_bytes(bytes).await;
        assert!(matches!(outcome.error, Some(FileError::Unknown { .. })), "{}", outcome.said());
        assert!(outcome.said().contains(what), "{}", outcome.said());
        assert!(outcome.said().contains("help: pass BSON documents"), "{}", outcome.said());
    }
    let outcome = read_bytes(b"\0asm\x01\0\0\0").await;
    assert!(matches!(outcome.error, Some(FileError::Plugin { .. })), "{}", outcome.said());
    assert!(outcome.said().contains("as it is a WebAssembly module"), "{}", outcome.said());
    for nothing in [&b""[..], b" \n", &gzip(b"")] {
        let outcome = read_bytes(nothing).await;
        assert!(outcome.error.is_none(), "{}", outcome.said());
        assert_eq!(outcome.report.files[0].contents, FileContents::Nothing);
    }
}

#[tokio::test]
async fn files_before_an_invalid_one_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let paths = vec![
        write(&folder, "1.bson", &dump(&[insert(1)])),
        write(&folder, "2.bson", b"no dump"),
        write(&folder, "3.bson", &dump(&[insert(3)])),
    ];
    let outcome = read(paths).await;
    assert_eq!(outcome.ids(), [10]);
    assert!(outcome.said().contains("2.bson cannot be replayed, as it is text"), "{}", outcome.said());
    assert_eq!(outcome.report.files[2].documents, 0);
}
