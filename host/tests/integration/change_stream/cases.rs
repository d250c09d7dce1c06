//! What becomes of change events, case by case: each folder in `tests/change_stream` has events as MongoDB
//! writes them, and the ops that come of them, as lines of Extended JSON. `skipped.jsonl` says what is
//! counted instead of delivered.

use std::path::{Path, PathBuf};

use bson::{Document, RawDocument, RawDocumentBuf, doc};
use gtm_host::op::{Op, Origin};
use gtm_host::source::change_stream::{Read, Reader};
use gtm_host::source::{Reply, Selection, Skip, Skipped};
use serde_json::{Value, json};

use crate::oplog_cases::{describe, documents, lines};
use crate::support::random;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/change_stream")
}

/// Reads events as those of one reply.
fn read(mut reader: Reader, events: &[Document]) -> (Vec<Op>, Vec<Read>, Skipped) {
    let reply = doc! { "cursor": { "nextBatch": events.to_vec() } };
    let reply = Reply::new(RawDocumentBuf::try_from(reply).unwrap().into_bytes().into());
    let mut ops = Vec::new();
    let events = reply.documents().unwrap().into_iter();
    let read =
        events.map(|event| reader.read(&reply, event.unwrap().as_document().unwrap(), &mut ops)).collect();
    (ops, read, reader.into_skipped())
}

#[test]
fn events_become_the_ops_that_they_should() {
    let mut cases = 0;
    for case in std::fs::read_dir(folder()).unwrap() {
        let case = case.unwrap().path();
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let reader = Reader::new(Selection::everything());
        let (ops, _, skipped) = read(reader, &documents(&case.join("events.jsonl")));
        assert!(ops.iter().all(|op| op.origin == Origin::ChangeStream));
        let ops: Vec<_> = ops.iter().map(describe).collect();
        assert_eq!(ops, lines(&case.join("ops.jsonl")), "{name}");
        let skipped: Value = skipped.iter().map(|(skip, count)| (skip.name(), json!(count))).collect();
        let expected = lines(&case.join("skipped.jsonl")).pop().unwrap_or(json!({}));
        assert_eq!(skipped, expected, "{name}");
        cases += 1;
    }
    assert!(cases >= 10, "{cases} cases were found");
}

#[test]
fn a_description_in_the_form_of_the_oplog_is_not_copied() {
    let event = doc! {
        "_id": { "_data": "82" }, "operationType": "update", "clusterTime": bson::Timestamp { time: 1, increment: 1 },
        "ns": { "db": "a", "coll": "b" },
        "updateDescription": { "updatedFields": { "x": 1 }, "removedFields": [], "truncatedArrays": [] },
    };
    let reply = doc! { "cursor": { "nextBatch": [event] } };
    let bytes = bytes::Bytes::from(RawDocumentBuf::try_from(reply).unwrap().into_bytes());
    let reply = Reply::new(bytes.clone());
    let event = reply.documents().unwrap().into_iter().next().unwrap().unwrap();
    let mut ops = Vec::new();
    Reader::new(Selection::everything()).read(&reply, event.as_document().unwrap(), &mut ops);
    let description = ops[0].update_description.as_ref().unwrap();
    assert!(bytes.as_ptr_range().contains(&description.as_ptr()));
}

#[test]
fn the_stream_goes_on_after_a_whole_event_only() {
    let events = documents(&folder().join("split/events.jsonl"));
    let (_, read_as, _) = read(Reader::new(Selection::everything()), &events);
    assert_eq!(read_as, [Read::Whole, Read::Fragment, Read::Fragment, Read::Whole, Read::Whole]);
    let events = documents(&folder().join("invalidate/events.jsonl"));
    let (_, read_as, _) = read(Reader::new(Selection::everything()), &events);
    assert_eq!(read_as, [Read::Whole, Read::Invalidate]);
}

#[test]
fn an_event_that_is_too_large_is_counted_and_the_next_one_comes() {
    let events = documents(&folder().join("split/events.jsonl"));
    let (ops, read_as, skipped) = read(Reader::new(Selection::everything()).holding(500), &events);
    assert_eq!(skipped, Skipped::from([(Skip::TooLarge, 1)]));
    assert_eq!(read_as, [Read::Whole, Read::Fragment, Read::Fragment, Read::Whole, Read::Whole]);
    assert_eq!(ops.len(), 2);
}

#[test]
fn what_is_not_wanted_does_not_change_the_places_of_the_rest() {
    for case in ["transaction", "transaction_of_another_server"] {
        let case = folder().join(case);
        let mut selection = Selection::default();
        selection.add("a.c", &[]).unwrap();
        let (ops, ..) = read(Reader::new(selection), &documents(&case.join("events.jsonl")));
        let all = lines(&case.join("ops.jsonl")).into_iter();
        let expected: Vec<_> = all.filter(|op| op["ns"] == "a.c").collect();
        assert!(!expected.is_empty());
        assert_eq!(ops.iter().map(describe).collect::<Vec<_>>(), expected, "{case:?}");
    }
}

#[test]
fn no_bytes_make_the_reader_panic() {
    let cases = std::fs::read_dir(folder()).unwrap();
    let events = cases.map(|case| documents(&case.unwrap().path().join("events.jsonl")));
    let events: Vec<_> =
        events.flatten().map(|event| RawDocumentBuf::try_from(event).unwrap().into_bytes()).collect();
    let mut reader = Reader::new(Selection::everything()).holding(4096);
    let (mut state, mut read) = (7, 0);
    for _ in 0..50_000 {
        let mut bytes = events[random(&mut state) % events.len()].clone();
        for _ in 0..random(&mut state) % 4 {
            let at = random(&mut state) % bytes.len();
            bytes[at] = random(&mut state).to_le_bytes()[0];
        }
        let reply = Reply::new(bytes.clone().into());
        let Ok(document) = RawDocument::from_bytes(&bytes) else { continue };
        let mut ops = Vec::new();
        reader.read(&reply, document, &mut ops);
        read += ops.len();
    }
    assert!(read > 10_000, "{read} events could still be read");
}
