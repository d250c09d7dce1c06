//! Documents of every type of BSON, whole and broken: in the entries of a dumped oplog, in a dumped collection, and as text.
//! `tests/bson` holds them, a line of hexadecimal digits each: the inputs of the corpus that MongoDB's drivers are tested with.

use std::path::Path;

use bson::{RawDocument, doc};
use gtm_oplog::{Op, Skip};
use gtm_source::Form;
use gtm_source::extended_json::{read_document, write as write_json};

use crate::files::{Outcome, at, read, read_bytes, write};

fn cases(file: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bson").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    lines.map(|line| line.as_bytes().chunks(2).map(byte).collect()).collect()
}

/// An insert of `document`, whose bytes are put there as they are.
fn entry(increment: u32, document: &[u8]) -> Vec<u8> {
    let head =
        doc! { "op": "i", "ns": "a.b", "o2": { "_id": 1 }, "ts": bson::Timestamp::from(at(increment)) };
    let mut bytes = bson::serialize_to_vec(&head).unwrap();
    bytes.pop();
    bytes.extend_from_slice(b"\x03o\0");
    bytes.extend_from_slice(document);
    bytes.push(0);
    let length = i32::try_from(bytes.len()).unwrap();
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes
}

fn line(bytes: &[u8], form: Form) -> String {
    let mut line = Vec::new();
    write_json(RawDocument::from_bytes(bytes).unwrap(), form, &mut line).unwrap();
    String::from_utf8(line).unwrap()
}

fn documents(ops: &[Op]) -> Vec<&[u8]> {
    ops.iter().map(|op| op.full_document.as_deref().unwrap()).collect()
}

/// What is counted of what was read.
fn counted(outcome: &Outcome) -> Vec<(&'static str, u64)> {
    outcome.report.totals.counts().collect()
}

async fn read_collection(bytes: &[u8]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    read(vec![write(&folder, "a/b.bson", bytes)]).await
}

#[tokio::test]
async fn whole_documents_come_as_they_are() {
    let cases = cases("valid.txt");
    assert_eq!(cases.len(), 728);
    let entries: Vec<_> = (1..).zip(&cases).flat_map(|(n, case)| entry(n, case)).collect();
    let in_entries = read_bytes(&entries).await;
    let in_a_dump = read_collection(&cases.concat()).await;
    for outcome in [&in_entries, &in_a_dump] {
        assert!(outcome.error.is_none(), "{}", outcome.said());
        assert!(counted(outcome).is_empty() && !outcome.report.totals.is_damaged());
        assert!(documents(&outcome.ops) == cases, "a document is not as it was");
    }
}

#[tokio::test]
async fn whole_documents_come_back_from_their_text() {
    let cases = cases("valid.txt");
    let texts: Vec<_> = cases.iter().map(|case| line(case, Form::Canonical)).collect();
    let outcome = read_collection(texts.join("\n").as_bytes()).await;
    assert!(outcome.error.is_none(), "{}", outcome.said());
    assert!(counted(&outcome).is_empty(), "{:?}", counted(&outcome));
    let mut changed = Vec::new();
    for ((case, text), back) in cases.iter().zip(&texts).zip(documents(&outcome.ops)) {
        assert_eq!(&line(back, Form::Canonical), text);
        if case != back {
            changed.push(text.as_str());
        }
        // Numbers lose their type, and nothing else.
        let relaxed = line(case, Form::Relaxed);
        let back = bson::serialize_to_vec(&read_document(&relaxed).unwrap()).unwrap();
        assert_eq!(line(&back, Form::Relaxed), relaxed);
    }
    // The bits of a NaN, and digits of a decimal that are too many for it, have no text.
    let has_none = |text: &&str| text.contains("NaN") || text.contains("\"0") || text.contains("\"-0");
    assert!(changed.iter().all(has_none), "{changed:?}");
    assert_eq!(changed.len(), 9, "{changed:?}");
}

/// What becomes of a broken document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Became {
    /// Delivered as it is, and counted.
    Delivered,
    /// Left out, and counted.
    LeftOut,
    /// The file is read no further, as it is not known where the next document begins.
    End,
    /// Delivered, with replacement characters where it is printed: text that is not UTF-8.
    Text,
}

fn became(outcome: &Outcome) -> Became {
    let totals = &outcome.report.totals;
    let broken = totals.skipped.get(&Skip::BrokenDocument).copied().unwrap_or(0);
    let malformed = totals.skipped.get(&Skip::Malformed).copied().unwrap_or(0);
    match (outcome.ops.len(), broken, malformed + totals.corrupt, outcome.error.is_some()) {
        (3, 1, 0, false) => Became::Delivered,
        (2, 0, 1, false) => Became::LeftOut,
        (1 | 2, 0, 0 | 1, true) => Became::End,
        (3, 0, 0, false) => Became::Text,
        other => panic!("{other:?}: {:?}, {}", counted(outcome), outcome.said()),
    }
}

#[tokio::test]
async fn every_broken_document_is_counted() {
    let cases = cases("broken.txt");
    assert_eq!(cases.len(), 75);
    let good = bson::serialize_to_vec(&doc! { "_id": 1 }).unwrap();
    let (mut in_entries, mut in_dumps) = (Vec::new(), Vec::new());
    for case in &cases {
        let entries = [entry(1, &good), entry(2, case), entry(3, &good)].concat();
        let outcome = read_bytes(&entries).await;
        in_entries.push(became(&outcome));
        let is_damaged = outcome.report.totals.is_damaged();
        assert_eq!(is_damaged, became(&outcome) != Became::Text, "{}", counted(&outcome).len());
        in_dumps.push(became(&read_collection(&[&good[..], case, &good].concat()).await));
    }
    let count = |all: &[Became], wanted| all.iter().filter(|became| **became == wanted).count();
    let all = [Became::Delivered, Became::LeftOut, Became::End, Became::Text];
    assert_eq!(all.map(|became| count(&in_entries, became)), [57, 14, 0, 4]);
    assert_eq!(all.map(|became| count(&in_dumps, became)), [0, 60, 11, 4]);
}
