//! Runs the cases that all SDKs share on components in the sandbox. The SDKs without native tests read the cases here alone.

use std::path::Path;

use bson::{Document, RawDocument, doc};
use gtm_oplog::Origin;
use gtm_runtime::Failure;
use gtm_source::extended_json::read_op;
use serde_json::Value;

use super::{Running, bytes, insert};

super::capabilities::with_errands!(
    change_events_are_those_of_each_sdk: js, python, c, cpp, go, zig;
    documents_are_the_json_of_each_sdk: c, cpp, go, zig;
    errors_become_the_failures_of_each_sdk: c, cpp, zig;
);

fn cases(lines: &str) -> Vec<Value> {
    let cases: Vec<_> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(cases.len() > 5);
    cases
}

/// The plugins log the change events of ops in the database `shop`, which all cases are in.
async fn change_events_are_those_of_each_sdk(plugin: &Path) {
    let mut running = Running::new(plugin);
    for case in cases(include_str!("../../../../plugin-sdk/conformance/change_events.jsonl")) {
        let mut op = read_op(case["canonical"].as_str().unwrap()).unwrap();
        op.origin = match case["op"]["origin"].as_str().unwrap() {
            "oplog" => Origin::Oplog,
            "change-stream" => Origin::ChangeStream,
            "snapshot" => Origin::Snapshot,
            _ => Origin::Replay,
        };
        running.said.0.lock().unwrap().clear();
        assert_eq!(running.handler.call(&op, 1).await, Ok(Ok(())));
        assert_eq!(running.said(), [case["relaxed"].as_str().unwrap(), case["canonical"].as_str().unwrap()]);
    }
}

async fn documents_are_the_json_of_each_sdk(plugin: &Path) {
    let mut running = Running::new(plugin);
    for case in cases(include_str!("../../../../plugin-sdk/conformance/extended_json.jsonl")) {
        let document = hex::decode(case["bson"].as_str().unwrap()).unwrap();
        let mut errand = bson::rawdoc! { "_id": 1, "do": "json" };
        errand.append(bson::raw::cstr!("document"), RawDocument::from_bytes(&document).unwrap().to_owned());
        let op = insert("app", "errands", Some(errand.into_bytes()));
        running.said.0.lock().unwrap().clear();
        assert_eq!(running.handler.call(&op, 1).await, Ok(Ok(())));
        let [relaxed, canonical] = ["relaxed", "canonical"].map(|form| case[form].as_str().unwrap());
        assert_eq!(running.said(), [format!("1 ok {relaxed} {canonical}")]);
    }
}

async fn errors_become_the_failures_of_each_sdk(plugin: &Path) {
    // In the order of the contract.
    let kinds = ["not-granted", "invalid", "rejected", "unavailable", "conflict", "too-large"];
    let mut running = Running::new(plugin);
    for case in cases(include_str!("../../../../plugin-sdk/conformance/errors.jsonl")) {
        let kind = kinds.iter().position(|kind| *kind == case["error"].as_str().unwrap()).unwrap();
        let errand: Document = doc! { "_id": 1, "do": "error", "kind": i32::try_from(kind).unwrap() };
        let op = insert("app", "errands", Some(bytes(&errand)));
        let expected = match case["failure"].as_str().unwrap() {
            "retry" => Failure::retry("it fails"),
            _ => Failure::reject("it fails"),
        };
        assert_eq!(running.handler.call(&op, 1).await, Ok(Err(expected)), "{case}");
    }
}
