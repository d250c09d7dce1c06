//! What becomes of oplog entries, case by case: each folder in `tests/oplog` has entries as MongoDB writes
//! them, and the ops that come of them, as lines of Extended JSON. `history.jsonl` holds entries from
//! before the start, `skipped.jsonl` what is counted instead of delivered.

use std::path::Path;

use bson::{Document, RawDocument, RawDocumentBuf, doc};
use gtm_oplog::{MissingEntry, Op, OplogDecoder, OplogEntry, Reply, Selection, Skipped};

use crate::cases::{check_cases, describe, documents, lines};
use crate::support::random;

/// Enough to hold every case.
const ROOMY: usize = 1 << 20;

/// Reads `entries`, with `history` and the entries themselves to go back to.
fn read(mut reader: OplogDecoder, entries: &[Document], history: &[Document]) -> (Vec<Op>, Skipped) {
    let reply = doc! { "cursor": { "nextBatch": entries.to_vec() } };
    let reply = Reply::new(RawDocumentBuf::try_from(reply).unwrap().into_bytes().into());
    let mut ops = Vec::new();
    for value in reply.documents().unwrap() {
        let document = value.unwrap().as_document().unwrap();
        let entry = OplogEntry::parse(document).unwrap();
        while let Err(missing) = reader.read(&reply, document, &entry, &mut ops) {
            let MissingEntry(timestamp) = missing;
            let at = |entry: &&Document| entry.get_timestamp("ts").unwrap() == timestamp.into();
            let earlier = history.iter().chain(entries).find(at);
            let earlier =
                earlier.map(|entry| RawDocumentBuf::try_from(entry.clone()).unwrap().into_bytes().into());
            reader.supply(&entry, missing, earlier);
        }
    }
    (ops, reader.into_skipped())
}

/// Every case, read with room for `bytes` of open transactions.
fn all_cases(bytes: usize) {
    check_cases("oplog", 18, |case| {
        let [entries, history] = ["entries.jsonl", "history.jsonl"].map(|file| documents(&case.join(file)));
        read(OplogDecoder::new(Selection::everything()).with_max_held_bytes(bytes), &entries, &history)
    });
}

#[test]
fn entries_become_the_expected_ops() {
    all_cases(ROOMY);
}

#[test]
fn they_do_where_nothing_can_be_held_and_all_is_read_again() {
    all_cases(0);
}

#[test]
fn what_is_not_wanted_does_not_change_the_ids_of_the_rest() {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oplog/transaction_of_one_entry");
    let mut selection = Selection::default();
    selection.add("a.c", &[]).unwrap();
    let (ops, _) = read(OplogDecoder::new(selection), &documents(&case.join("entries.jsonl")), &[]);
    assert_eq!(describe(&ops[0]), lines(&case.join("ops.jsonl"))[2]);
    assert_eq!(ops.len(), 1);
}

#[test]
fn no_bytes_make_the_reader_panic_or_go_round_for_ever() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oplog");
    let cases =
        std::fs::read_dir(folder).unwrap().map(|case| documents(&case.unwrap().path().join("entries.jsonl")));
    let entries: Vec<_> =
        cases.flatten().map(|entry| RawDocumentBuf::try_from(entry).unwrap().into_bytes()).collect();
    let mut reader = OplogDecoder::new(Selection::everything()).with_max_held_bytes(4096);
    let (mut state, mut read) = (7, 0);
    for _ in 0..50_000 {
        let mut bytes = entries[random(&mut state) % entries.len()].clone();
        for _ in 0..=random(&mut state) % 3 {
            let at = random(&mut state) % bytes.len();
            bytes[at] = random(&mut state).to_le_bytes()[0];
        }
        let reply = Reply::new(bytes.clone().into());
        let Ok(document) = RawDocument::from_bytes(&bytes) else { continue };
        let Ok(entry) = OplogEntry::parse(document) else { continue };
        let (mut ops, mut missing) = (Vec::new(), 0);
        while let Err(of) = reader.read(&reply, document, &entry, &mut ops) {
            missing += 1;
            assert!(missing < 10_000, "it asks for ever");
            let earlier = &entries[random(&mut state) % entries.len()];
            reader.supply(&entry, of, random(&mut state).is_multiple_of(2).then(|| earlier.clone().into()));
        }
        read += 1;
    }
    assert!(read > 10_000, "{read} entries could still be read");
}
