//! What becomes of change events, case by case: each folder in `tests/change_stream` has events as MongoDB
//! writes them, and the ops that come of them, as lines of Extended JSON. `skipped.jsonl` says what is
//! counted instead of delivered.

use std::path::{Path, PathBuf};

use bson::{Document, RawArrayBuf, RawDocumentBuf, doc, rawdoc};
use gtm_oplog::{ChangeEventDecoder, Op, Origin, Reply, Selection, Skip, Skipped};

use crate::cases::{check_cases, describe, documents, lines};
use crate::support::random;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/change_stream")
}

/// A reply with these events. The token after it is `ff` with the number of its last event.
fn reply(events: &[Document]) -> Reply {
    let token = doc! { "_data": format!("ff{}", events.len()) };
    let reply = doc! { "cursor": { "nextBatch": events.to_vec(), "postBatchResumeToken": token } };
    Reply::new(RawDocumentBuf::try_from(reply).unwrap().into_bytes().into())
}

/// Reads events as those of one reply.
fn read(mut reader: ChangeEventDecoder, events: &[Document]) -> (Vec<Op>, Skipped) {
    let batch = reader.read(&reply(events)).unwrap();
    (batch.ops, reader.into_skipped())
}

#[test]
fn events_become_the_expected_ops() {
    check_cases("change_stream", 10, |case| {
        let reader = ChangeEventDecoder::new(Selection::everything());
        let (ops, skipped) = read(reader, &documents(&case.join("events.jsonl")));
        assert!(ops.iter().all(|op| op.origin == Origin::ChangeStream));
        (ops, skipped)
    });
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
    let ops = ChangeEventDecoder::new(Selection::everything()).read(&Reply::new(bytes.clone())).unwrap().ops;
    let description = ops[0].update_description.as_ref().unwrap();
    assert!(bytes.as_ptr_range().contains(&description.as_ptr()));
}

/// Reads the events of a case as a reply each: what of each is an op, and the place after it.
fn one_by_one(mut reader: ChangeEventDecoder, case: &str) -> (Vec<(usize, String)>, Skipped) {
    let events = documents(&folder().join(case).join("events.jsonl"));
    let mut read = Vec::new();
    for event in events {
        let token = event.get_document("_id").unwrap().get_str("_data").unwrap().to_owned();
        let batch = reader.read(&reply(&[event])).unwrap();
        let place = match batch.position {
            None => "where it was",
            Some(place) if place.to_string() == "ff1" => "after the reply",
            Some(place) if place.to_string() == token => "after the event",
            Some(other) => panic!("{other}"),
        };
        let invalidated = if batch.invalidated { ", opened again" } else { "" };
        read.push((batch.ops.len(), format!("{place}{invalidated}")));
    }
    (read, reader.into_skipped())
}

#[test]
fn a_stream_resumes_only_after_a_whole_event() {
    let (read, skipped) = one_by_one(ChangeEventDecoder::new(Selection::everything()), "split");
    let amid = "where it was".to_owned();
    let after = "after the reply".to_owned();
    let expected = [(1, after.clone()), (0, amid.clone()), (0, amid), (1, after.clone()), (1, after.clone())];
    assert_eq!(read, expected);
    assert_eq!(skipped, Skipped::default());
    let (read, _) = one_by_one(ChangeEventDecoder::new(Selection::everything()), "invalidate");
    assert_eq!(read, [(1, after), (0, "after the event, opened again".to_owned())]);
}

#[test]
fn the_position_before_the_fragments_of_an_event_is_that_of_the_event_before() {
    let events = documents(&folder().join("split/events.jsonl"));
    let mut reader = ChangeEventDecoder::new(Selection::everything());
    let batch = reader.read(&reply(&events[..3])).unwrap();
    let first = events[0].get_document("_id").unwrap().get_str("_data").unwrap().parse().unwrap();
    assert_eq!((batch.ops.len(), batch.position), (1, Some(first)));
    let batch = reader.read(&reply(&events[3..])).unwrap();
    assert_eq!((batch.ops.len(), batch.position), (2, Some("ff2".parse().unwrap())));
}

#[test]
fn an_event_that_is_too_large_is_counted_and_skipped() {
    let (read, skipped) =
        one_by_one(ChangeEventDecoder::new(Selection::everything()).with_max_held_bytes(500), "split");
    assert_eq!(skipped, Skipped::from([(Skip::TooLarge, 1)]));
    assert_eq!(read.iter().map(|(ops, _)| *ops).collect::<Vec<_>>(), [1, 0, 0, 0, 1]);
    assert_eq!(read[3].1, "after the reply");
}

#[test]
fn unwanted_events_do_not_change_the_places_of_the_others() {
    for case in ["transaction", "transaction_of_another_server"] {
        let case = folder().join(case);
        let mut selection = Selection::default();
        selection.add("a.c", &[]).unwrap();
        let (ops, _) = read(ChangeEventDecoder::new(selection), &documents(&case.join("events.jsonl")));
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
    let mut reader = ChangeEventDecoder::new(Selection::everything()).with_max_held_bytes(4096);
    let (mut state, mut read) = (7, 0);
    for _ in 0..50_000 {
        let mut bytes = events[random(&mut state) % events.len()].clone();
        for _ in 0..random(&mut state) % 4 {
            let at = random(&mut state) % bytes.len();
            bytes[at] = random(&mut state).to_le_bytes()[0];
        }
        let Ok(event) = RawDocumentBuf::from_bytes(bytes) else { continue };
        let mut events = RawArrayBuf::new();
        events.push(event);
        let reply = rawdoc! { "cursor": { "nextBatch": events } };
        read += reader.read(&Reply::new(reply.into_bytes().into())).unwrap().ops.len();
    }
    assert!(read > 10_000, "{read} events could still be read");
}
