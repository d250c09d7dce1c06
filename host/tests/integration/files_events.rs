//! Change events as a source, however they were written; and what `gtm-host tail` prints.

use std::path::Path;

use bson::{Bson, Document, RawDocument, Timestamp, doc};
use gtm_oplog::{Op, OpPlace, Origin, Selection, Skip};
use gtm_source::extended_json::write_op;
use gtm_source::{FileContents, FileError, FileOptions, Form};
use serde_json::Value;

use crate::files::{Outcome, at, dump, gzip, read, read_bytes, read_with, write};
use crate::support::{plugin, run};

/// Events as a server sends them.
fn events() -> Vec<Document> {
    let event = |increment: u32, kind: &str, more: Document| {
        let mut event = doc! {
            "_id": { "_data": format!("82{increment:06}") }, "operationType": kind,
            "clusterTime": Timestamp::from(at(increment)), "wallTime": bson::DateTime::from_millis(1_700_000_000_123),
            "ns": { "db": "shop", "coll": "orders" },
        };
        event.extend(more);
        event
    };
    let session = doc! { "id": bson::Uuid::from_bytes([7; 16]), "uid": bson::Uuid::from_bytes([8; 16]) };
    vec![
        event(
            1,
            "insert",
            doc! { "documentKey": { "_id": 1 }, "fullDocument": { "_id": 1, "text": "{\"[ü\\" } },
        ),
        event(
            2,
            "update",
            doc! {
                "documentKey": { "_id": 1 }, "fullDocument": Bson::Null,
                "updateDescription": { "updatedFields": { "a": 1_i64 << 40 }, "removedFields": ["b"], "truncatedArrays": [] },
            },
        ),
        event(3, "replace", doc! { "documentKey": { "_id": 1 }, "fullDocument": { "_id": 1, "n": 2.5 } }),
        event(4, "delete", doc! { "documentKey": { "_id": 1 }, "lsid": session, "txnNumber": 3_i64 }),
        event(5, "drop", doc! {}),
        doc! { "_id": { "_data": "8299" }, "operationType": "invalidate", "clusterTime": Timestamp::from(at(6)) },
    ]
}

/// The ops as lines, without what tells where they were read.
fn lines(ops: &[Op]) -> Vec<String> {
    let line = |op: &Op| {
        let mut line = Vec::new();
        write_op(op, Form::Canonical, &mut line);
        String::from_utf8(line).unwrap()
    };
    ops.iter().map(line).collect()
}

#[tokio::test]
async fn every_format_of_events_has_the_same_ops() {
    let events = events();
    let texts =
        |write: fn(Bson) -> Value| events.iter().map(move |event| write(Bson::Document(event.clone())));
    let each = |wrap: fn(&str) -> String| {
        texts(Bson::into_relaxed_extjson)
            .map(|text| wrap(&text.to_string()) + "\n")
            .collect::<String>()
            .into_bytes()
    };
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    let forms = [
        ("bson", dump(&events)),
        ("relaxed", each(ToOwned::to_owned)),
        (
            "canonical",
            texts(Bson::into_canonical_extjson).map(|text| format!("{text}\n")).collect::<String>().into(),
        ),
        ("array", Value::from_iter(texts(Bson::into_canonical_extjson)).to_string().into_bytes()),
        ("strings", each(|text| serde_json::to_string(text).unwrap())),
        (
            "array of strings",
            format!(
                "[{}]",
                texts(Bson::into_relaxed_extjson)
                    .map(|text| quoted(&text.to_string()))
                    .collect::<Vec<_>>()
                    .join(",")
            )
            .into(),
        ),
        (
            "payload, a string",
            each(|text| {
                let payload = serde_json::to_string(text).unwrap();
                format!(r#"{{"schema":{{"type":"string","optional":false}},"payload":{payload}}}"#)
            }),
        ),
        ("payload", each(|text| format!(r#"{{"payload":{text}}}"#))),
    ];
    let expected = read_bytes(&forms[0].1).await;
    let kinds: Vec<_> = expected.ops.iter().map(|op| op.operation_type.name()).collect();
    assert_eq!(kinds, ["insert", "update", "replace", "delete", "drop"]);
    let op = &expected.ops[1];
    assert_eq!(
        (op.timestamp, op.origin, &op.place),
        (at(2), Origin::Replay, &OpPlace::Token("82000002".into()))
    );
    assert_eq!((op.wall_time, op.namespace.to_string().as_str()), (Some(1_700_000_000_123), "shop.orders"));
    assert!(op.full_document.is_none() && op.update_description.is_some());
    assert_eq!(expected.ops[3].transaction.as_ref().unwrap().index, 0);
    for (form, plain) in forms {
        for bytes in [plain.clone(), gzip(&plain)] {
            let outcome = read_bytes(&bytes).await;
            assert!(outcome.error.is_none(), "{form}: {}", outcome.said());
            // Relaxed, a number is as narrow as it can be.
            assert_eq!(lines(&outcome.ops), lines(&expected.ops), "{form}");
            let report = &outcome.report;
            assert_eq!(
                (&report.files[0].contents, report.files[0].documents),
                (&FileContents::Events, 6),
                "{form}"
            );
            assert_eq!((report.totals.position, report.totals.corrupt), (at(6), 0), "{form}");
        }
    }
}

#[tokio::test]
async fn a_part_of_the_time_and_what_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, "events.bson", &dump(&events()));
    let options = FileOptions { from: Some(at(2)), to: Some(at(3)), namespace: None };
    let outcome = read_with(vec![path.clone()], Selection::everything(), options).await;
    assert_eq!(outcome.ops.iter().map(|op| op.timestamp).collect::<Vec<_>>(), [at(2), at(3)]);
    assert_eq!((outcome.report.totals.before, outcome.report.totals.after), (1, 1));
    let mut selection = Selection::default();
    selection.add("shop.users", &[]).unwrap();
    let outcome = read_with(vec![path.clone()], selection, FileOptions::default()).await;
    assert_eq!((outcome.ops.len(), outcome.report.totals.unwanted), (0, 5));
    // Who says whose documents they are has stored events.
    let namespace = Some("log.events".split_once('.').unwrap()).map(|(database, collection)| {
        gtm_oplog::Namespace { database: database.into(), collection: collection.into() }
    });
    let options = FileOptions { namespace, ..FileOptions::default() };
    let outcome = read_with(vec![path], Selection::everything(), options).await;
    assert_eq!((outcome.ops.len(), outcome.ops[0].namespace.to_string().as_str()), (6, "log.events"));
}

#[tokio::test]
async fn a_document_among_events_that_is_not_one_is_counted() {
    let event = Bson::Document(events().swap_remove(0)).into_relaxed_extjson().to_string();
    let text =
        [&event, "{\"_id\":1}", "{\"payload\":\"{\"}", "{\"payload\":null}", "\"{}\"", "\"{\"", &event]
            .join("\n");
    let outcome = read_bytes(text.as_bytes()).await;
    assert!(outcome.error.is_none(), "{}", outcome.said());
    assert_eq!((outcome.ids(), outcome.report.totals.corrupt), (vec![1, 1], 5));
    // Events that lost their token or their time are delivered, those that say neither what nor where are not.
    let lost = r#"{"operationType":"insert","ns":{"db":"a","coll":"b"},"documentKey":{"_id":3}}
        {"operationType":"update","ns":{"db":"a","coll":"b"},"documentKey":{"_id":4},"updateDescription":3}
        {"_id":{"_data":"8201"},"operationType":"insert"}"#;
    let outcome = read_bytes(lost.as_bytes()).await;
    assert_eq!(outcome.ids(), [3, 4], "{}", outcome.said());
    assert_eq!(outcome.ops[0].place, OpPlace::Document);
    assert_eq!(outcome.report.totals.skipped[&Skip::BadDelta], 1);
    assert_eq!(outcome.report.totals.skipped[&Skip::Malformed], 1);
}

#[tokio::test]
async fn cut_off_or_changed_anywhere_they_are_read_or_refused() {
    let event = Bson::Document(events().swap_remove(1)).into_canonical_extjson().to_string();
    let message = format!("{{\"payload\":{}}}\n", serde_json::to_string(&event).unwrap());
    let line = lines(&read_bytes(event.as_bytes()).await.ops).join("\n");
    for whole in [message.as_bytes(), line.as_bytes(), &dump(&events()[..2])] {
        for length in 1..whole.len() {
            let Outcome { ops, error, .. } = read_bytes(&whole[..length]).await;
            assert!(ops.len() <= 1 && !matches!(error, Some(FileError::Ended)), "{length}: {error:?}");
        }
        for place in 0..whole.len() {
            for change in [b'"', b'{', b'}', b'\\', 0xff] {
                let mut bytes = whole.to_vec();
                bytes[place] = change;
                let Outcome { ops, error, .. } = read_bytes(&bytes).await;
                assert!(ops.len() <= 2 && !matches!(error, Some(FileError::Ended)), "{place}: {error:?}");
            }
        }
    }
}

/// A document with `_id` 1 and another one in it, `depth` times.
fn nested(depth: usize) -> Document {
    (0..depth).fold(doc! { "end": true }, |inner, _| doc! { "a": inner })
}

/// Documents of users that look like values of Extended JSON, and others that are hard to print.
fn odd_documents() -> Vec<Document> {
    let date = bson::DateTime::from_millis(1_700_000_000_123);
    vec![
        doc! { "_id": 1, "$date": "2023-11-14T22:13:20Z" },
        doc! { "_id": { "$oid": "56e1fc72e0c917e9c4714161" }, "a": { "$date": { "$numberLong": "5" } } },
        doc! { "_id": 3, "a": [{ "$numberLong": "5" }, { "$binary": { "base64": "", "subType": "00" } }, { "$numberInt": 5 }] },
        doc! { "_id": 4, "a": { "$document": { "$document": { "$code": "f" } } }, "b": { "$scope": {}, "$code": "f" } },
        doc! { "_id": 5, "deep": nested(180), "at": date },
        doc! { "_id": 6, "\u{1}\"\\": "\u{0}\u{1f}\"\\\u{2028}", "": "", "ü": f64::NAN, "z": -0.0, "l": i64::MIN },
        doc! { "_id": 7, "code": bson::JavaScriptCodeWithScope { code: "f".into(), scope: doc! { "$oid": nested(100) } } },
    ]
}

#[test]
fn what_tail_prints_is_replayed_and_tried() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let entry = |document: Document, increment: u32| {
        doc! { "op": "i", "ns": "shop.orders", "o": document, "ts": Timestamp::from(at(increment)), "wall": bson::DateTime::from_millis(5) }
    };
    let mut entries: Vec<_> = (1..).zip(odd_documents()).map(|(n, document)| entry(document, n)).collect();
    let update = doc! { "$v": 2, "diff": { "u": { "a.b": 1 }, "sa": { "u": { "b": { "$date": "x" } } }, "d": { "gone": false } } };
    entries.push(doc! { "op": "u", "ns": "shop.orders", "o": update, "o2": { "_id": 1 }, "ts": Timestamp::from(at(20)) });
    entries.push(doc! { "op": "c", "ns": "shop.$cmd", "o": { "renameCollection": "shop.orders", "to": "shop.old" }, "ts": Timestamp::from(at(21)) });
    entries.push(
        doc! { "op": "c", "ns": "shop.$cmd", "o": { "dropDatabase": 1 }, "ts": Timestamp::from(at(22)) },
    );
    let (oplog, printed) = (path("oplog.bson"), path("ops.jsonl"));
    std::fs::write(&oplog, dump(&entries)).unwrap();
    for form in [&[][..], &["--canonical"]] {
        let tail = |file: &str| {
            let (code, out, said) = run(&[&["tail", file], form].concat());
            assert_eq!(code, Some(0), "{said}");
            out
        };
        let lines = tail(&oplog);
        assert_eq!(lines.lines().count(), entries.len());
        std::fs::write(&printed, &lines).unwrap();
        assert_eq!(tail(&printed), lines, "printed again, it is the same");
        if !form.is_empty() {
            same_documents(&lines, &entries, Path::new(&printed));
        }
        let (code, out, said) = run(&["try", &plugin("trivial"), "--op", &printed, "--output", "json"]);
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(out.lines().count(), entries.len());
        assert!(
            out.lines().all(|line| line.ends_with(r#","outcome":"handled","reason":null,"effects":[]}"#)),
            "{out}"
        );
        let (code, out, said) = run(&["replay", &printed, "--plugin", &plugin("trivial")]);
        assert_eq!(code, Some(0), "{said}");
        assert!(
            out.contains(&format!(
                "trivial: {} ops read, 0 not wanted by the filter, {0} handled",
                entries.len()
            )),
            "{out}"
        );
        assert!(out.contains("ops.jsonl: change events, "), "{out}");
    }
}

/// In the canonical form, each document is read as it was in the oplog, to the byte.
fn same_documents(lines: &str, entries: &[Document], printed: &Path) {
    let paths = vec![printed.to_owned()];
    let read = tokio::runtime::Runtime::new().unwrap().block_on(read(paths));
    assert_eq!(read.ops.len(), lines.lines().count());
    for (op, entry) in read.ops.iter().zip(entries).take(odd_documents().len()) {
        let document = RawDocument::from_bytes(op.full_document.as_deref().unwrap()).unwrap();
        assert_eq!(document.as_bytes(), bson::serialize_to_vec(entry.get_document("o").unwrap()).unwrap());
    }
}

#[test]
fn what_is_not_an_op_cannot_be_tried() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ops.jsonl");
    let attempt = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let (code, _, said) = run(&["try", &plugin("trivial"), "--op", file.to_str().unwrap()]);
        assert_eq!(code, Some(1), "{said}");
        said
    };
    assert!(attempt("{}\n").contains("ops.jsonl holds no ops. help: pass --op"));
    let line = r#"{"operationType":"insert","ns":"a.b","fullDocument":{"_id":1}}"#;
    let said =
        attempt(&format!("{line}\n{{\"operationType\":\"insert\",\"ns\":\"a.b\",\"fullDocument\":3}}\n"));
    assert!(
        said.contains("fullDocument is not a document") && said.contains("1 op of the files cannot be read"),
        "{said}"
    );
}
