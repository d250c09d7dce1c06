//! The cases that all SDKs share: `plugin-sdk/conformance`.

use std::time::{Duration, UNIX_EPOCH};

use bson::{Bson, Document, RawDocument};
use regex::Regex;
use serde_json::{Map, Value};

use crate::testing::{OpBuilder, delete, insert, replace, update};
use crate::{Error, Failure, Namespace, Op, OperationType, Origin, Tick, Timestamp, extended_json};

fn cases(lines: &str) -> Vec<Value> {
    let cases: Vec<_> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(cases.len() > 5);
    cases
}

fn document(json: &Value) -> Document {
    let fields: Map<String, Value> = json.as_object().unwrap().clone();
    let Bson::Document(document) = Bson::try_from(fields).unwrap() else { panic!("not a document: {json}") };
    document
}

fn text<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().unwrap()
}

fn operation_type(name: &str) -> OperationType {
    let all = [
        OperationType::Insert,
        OperationType::Update,
        OperationType::Replace,
        OperationType::Delete,
        OperationType::Create,
        OperationType::Drop,
        OperationType::Rename,
        OperationType::DropDatabase,
        OperationType::CreateIndexes,
        OperationType::DropIndexes,
        OperationType::Modify,
        OperationType::Other,
    ];
    all.into_iter().find(|kind| kind.to_string() == name).unwrap()
}

fn origin(name: &str) -> Origin {
    match name {
        "oplog" => Origin::Oplog,
        "change-stream" => Origin::ChangeStream,
        "snapshot" => Origin::Snapshot,
        _ => Origin::Replay,
    }
}

fn op_of(case: &Value) -> Op {
    let number = |value: &Value| u32::try_from(value.as_u64().unwrap()).unwrap();
    let kind = operation_type(text(case, "operationType"));
    let namespace = format!("{}.{}", text(case, "database"), text(case, "collection"));
    let time = &case["timestamp"];
    let mut op = OpBuilder::new(namespace.trim_end_matches('.'), kind)
        .id(text(case, "id"))
        .attempt(number(&case["attempt"]))
        .timestamp(Timestamp { time: number(&time["time"]), increment: number(&time["increment"]) })
        .wall_time(case["wallTime"].as_u64())
        .origin(origin(text(case, "origin")));
    let part = |name: &str| case.get(name).map(document);
    if let Some(key) = part("documentKey") {
        op = op.key(&key);
    }
    if let Some(full) = part("fullDocument") {
        op = op.document(&full);
    }
    if let Some(before) = part("fullDocumentBeforeChange") {
        op = op.before(&before);
    }
    if let Some(description) = part("updateDescription") {
        op = op.description(&description);
    }
    if let Some(command) = part("command") {
        op = op.command(&command);
    }
    if let Some(transaction) = case.get("transaction") {
        op = op.transaction(text(transaction, "id"), number(&transaction["index"]));
    }
    op.build()
}

#[test]
fn change_events_are_those_of_each_sdk() {
    for case in cases(include_str!("../../conformance/change_events.jsonl")) {
        let op = op_of(&case["op"]);
        assert_eq!(op.to_change_event().unwrap(), text(&case, "relaxed"));
        assert_eq!(op.to_canonical_change_event().unwrap(), text(&case, "canonical"));
        let raw = op.to_raw_change_event().unwrap();
        assert_eq!(crate::extended_json::canonical(&raw).unwrap(), text(&case, "canonical"));
    }
}

#[test]
fn errors_become_the_failures_of_each_sdk() {
    for case in cases(include_str!("../../conformance/errors.jsonl")) {
        let reason = "x".to_owned();
        let error = match text(&case, "error") {
            "not-granted" => Error::NotGranted(reason),
            "invalid" => Error::Invalid(reason),
            "rejected" => Error::Rejected(reason),
            "unavailable" => Error::Unavailable(reason),
            "conflict" => Error::Conflict(reason),
            "too-large" => Error::TooLarge(reason),
            other => panic!("{other} is not an error"),
        };
        assert_eq!(Failure::from(error).is_retry(), text(&case, "failure") == "retry", "{case}");
    }
}

#[test]
fn patterns_match_the_namespaces_of_each_sdk() {
    for case in cases(include_str!("../../conformance/namespaces.jsonl")) {
        let (database, collection) =
            text(&case, "namespace").split_once('.').unwrap_or((text(&case, "namespace"), ""));
        let namespace = Namespace { database, collection };
        assert_eq!(namespace.matches(text(&case, "patterns")), case["matches"].as_bool().unwrap(), "{case}");
    }
}

#[test]
fn documents_are_the_json_of_each_sdk() {
    for case in cases(include_str!("../../conformance/extended_json.jsonl")) {
        let bytes = bytes_of(text(&case, "bson"));
        let raw = RawDocument::from_bytes(&bytes).unwrap();
        assert_eq!(extended_json::relaxed(raw).unwrap(), text(&case, "relaxed"));
        assert_eq!(extended_json::canonical(raw).unwrap(), text(&case, "canonical"));
    }
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().map(|digit| digit.to_digit(16).unwrap().try_into().unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn ids_of_a_test_have_the_form_that_a_host_gives() {
    for case in cases(include_str!("../../conformance/ids.jsonl")) {
        let id = match case["timer"].as_str() {
            Some(timer) => {
                let at = UNIX_EPOCH + Duration::from_millis(case["at"].as_u64().unwrap());
                let tick = Tick::new(timer, at);
                assert_eq!(tick.id(), text(&case, "id"));
                tick.id().to_owned()
            }
            None => {
                let op = OpBuilder::new("a.b", OperationType::Insert).origin(origin(text(&case, "source")));
                op.build().id().to_owned()
            }
        };
        let form = Regex::new(text(&case, "form")).unwrap();
        assert!(form.is_match(&id) && form.is_match(text(&case, "id")), "{id} {case}");
    }
}

#[test]
fn ops_of_a_test_are_those_of_each_sdk() {
    for case in cases(include_str!("../../conformance/harness.jsonl")) {
        let (namespace, part) = (text(&case, "namespace"), |name: &str| document(&case[name]));
        let op = match text(&case, "make") {
            "insert" => insert(namespace, part("document")),
            "update" => update(namespace, part("document"), part("updateDescription")),
            "replace" => replace(namespace, part("document")),
            "delete" => delete(namespace, part("key")),
            _ => {
                let kind = operation_type(text(&case, "operationType"));
                OpBuilder::new(namespace, kind).command(&part("command")).build()
            }
        };
        let increment = op.timestamp().increment.to_string();
        let expected = text(&case, "canonical").replace("{increment}", &increment);
        assert_eq!(op.to_canonical_change_event().unwrap(), expected);
    }
}

#[test]
fn ops_of_a_test_have_ids_of_their_own() {
    let ops = [1, 1].map(|id| insert("a.b", bson::doc! { "_id": id }));
    assert_eq!(ops.each_ref().map(Op::id), ["1700000000.1.0", "1700000000.2.0"]);
    assert_eq!(ops.each_ref().map(|op| op.timestamp().increment), [1, 2]);
}
