//! `gtm-host replay`.

use std::path::{Path, PathBuf};

use bson::{Timestamp, doc};
use serde_json::{Value, json};

use crate::log;
use crate::support::{Host, error_of, plugin, usage_error_of};

/// A dump of an oplog with `count` inserts into `a.things`, a no-op and a delete.
fn dump(directory: &Path, count: u32) -> PathBuf {
    let ts = |increment| Timestamp { time: 1_700_000_000, increment };
    let mut entries: Vec<_> =
        (1..=count).map(|n| doc! { "op": "i", "ns": "a.things", "o": { "_id": n }, "ts": ts(n) }).collect();
    entries.push(doc! { "op": "n", "ns": "", "o": {}, "ts": ts(count + 1) });
    entries.push(doc! { "op": "d", "ns": "a.things", "o": { "_id": 1 }, "ts": ts(count + 2) });
    let bytes: Vec<_> = entries.iter().flat_map(|entry| bson::serialize_to_vec(entry).unwrap()).collect();
    let path = directory.join("oplog.bson");
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Runs it to its end: the exit code, the summary and the log.
fn replay(file: &Path, plugins: &[&str], more: &[&str]) -> (Option<i32>, Value, Vec<Value>) {
    let paths: Vec<_> = plugins.iter().map(|name| plugin(name)).collect();
    let mut arguments = vec!["replay", file.to_str().unwrap(), "--output", "json"];
    arguments.extend(paths.iter().flat_map(|path| ["--plugin", path]));
    arguments.extend(more);
    let mut host = Host::start(&arguments);
    let summary = host.line().map_or(Value::Null, |line| serde_json::from_str(&line).unwrap());
    let (code, log) = host.ended();
    (code, summary, log)
}

#[test]
fn each_plugin_gets_what_it_wants_and_the_summary_says_what_became_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = dump(directory.path(), 5);
    let (code, summary, log) = replay(&file, &["print_ops", "trivial"], &[]);
    assert_eq!(code, Some(0));
    let printed =
        log.iter().filter(|line| line["target"] == "plugin" && line["plugin"] == "print_ops").count();
    assert_eq!(printed, 6);
    assert_eq!(summary["files"][0]["contents"], "oplog");
    assert_eq!(summary["files"][0]["documents"], 7);
    assert_eq!(summary["emitted"], json!({ "insert": 5, "delete": 1 }));
    assert_eq!(summary["skipped"], json!({ "no-ops": 1 }));
    assert_eq!(summary["plugins"]["print_ops"]["handled"], 6);
    assert_eq!(summary["plugins"]["trivial"]["handled"], 6);
}

#[test]
fn a_part_of_the_time() {
    let directory = tempfile::tempdir().unwrap();
    let file = dump(directory.path(), 5);
    let (code, summary, _) =
        replay(&file, &["print_ops"], &["--from", "1700000000.2", "--to", "1700000000.3"]);
    assert_eq!(code, Some(0));
    assert_eq!(summary["emitted"], json!({ "insert": 2 }));
    let said = usage_error_of(&[
        "replay",
        file.to_str().unwrap(),
        "--plugin",
        &plugin("print_ops"),
        "--from",
        "2030-01-01",
        "--to",
        "2029-01-01",
    ]);
    assert_eq!(said, "--from is after --to, so no entry is between them. help: exchange them");
}

#[test]
fn an_op_that_is_not_handled_is_a_failure() {
    let directory = tempfile::tempdir().unwrap();
    let file = dump(directory.path(), 2);
    let (code, summary, _) = replay(
        &file,
        &["misbehave"],
        &["--set", "namespace=a.things", "--set", "handle=panic", "--retry-max-attempts", "1"],
    );
    assert_eq!(code, Some(1), "{summary}");
    assert_eq!(summary["plugins"]["misbehave"]["failed"], 3, "{summary}");
}

#[test]
fn a_plugin_that_fails_on_every_op_ends_its_replay() {
    let directory = tempfile::tempdir().unwrap();
    let file = dump(directory.path(), 50);
    let failing = ["--set", "handle=panic", "--retry-max-attempts", "2", "--retry-initial-delay", "1ms"];
    let (code, summary, log) = replay(&file, &["misbehave"], &failing);
    assert_eq!(code, Some(1), "{summary}");
    let of = |name: &str| summary["plugins"]["misbehave"][name].as_u64().unwrap();
    assert_eq!((of("read"), of("handled"), of("failed")), (51, 0, 4), "{summary}");
    assert_eq!(of("unfinished"), 47, "{summary}");
    assert_eq!(log::count(&log, "breaker.give_up", &[("plugin", "misbehave")]), 1, "{log:?}");

    // One that works is not held up by it.
    let failing =
        ["--set", "misbehave:handle=panic", "--retry-max-attempts", "2", "--retry-initial-delay", "1ms"];
    let (code, summary, _) = replay(&file, &["misbehave", "print_ops"], &failing);
    assert_eq!(code, Some(1), "{summary}");
    assert_eq!(summary["plugins"]["print_ops"]["handled"], 51, "{summary}");
    assert_eq!(summary["plugins"]["misbehave"]["handled"], 0, "{summary}");
}

#[test]
fn what_stands_before_the_damage_is_handled() {
    let directory = tempfile::tempdir().unwrap();
    let file = dump(directory.path(), 3);
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    let (code, summary, log) = replay(&file, &["print_ops"], &[]);
    assert_eq!(code, Some(1));
    assert_eq!(summary["plugins"]["print_ops"]["handled"], 3, "{summary}");
    let said = crate::log::error(log.last().unwrap());
    assert!(said.contains("oplog.bson") && said.contains("byte"), "{said}");
}

#[test]
fn a_broken_document_inside_an_entry_is_counted_and_fails() {
    let directory = tempfile::tempdir().unwrap();
    let entry = doc! { "op": "i", "ns": "a.things", "o": { "_id": 1, "is": { "deep": true } }, "ts": Timestamp { time: 1, increment: 1 } };
    let mut bytes = bson::serialize_to_vec(&entry).unwrap();
    let at = bytes.windows(4).position(|four| four == b"deep").unwrap();
    // A boolean is 0 or 1.
    bytes[at + 5] = 2;
    let file = directory.path().join("oplog.bson");
    std::fs::write(&file, bytes).unwrap();
    let counted = json!({ "ops with a broken document": 1 });

    // The plugin does not decode it.
    let (code, summary, _) = replay(&file, &["trivial"], &[]);
    assert_eq!((code, &summary["skipped"]), (Some(1), &counted), "{summary}");
    assert_eq!(summary["plugins"]["trivial"]["handled"], 1, "{summary}");

    let mut tail = Host::start(&["tail", file.to_str().unwrap(), "--output", "json"]);
    assert!(tail.op()["fullDocument"]["$binary"].is_object());
    let (code, log) = tail.ended();
    let summary = log.iter().find(|line| line["emitted"].is_object()).expect("a summary");
    assert_eq!((code, &summary["skipped"]), (Some(1), &counted), "{summary}");
    assert_eq!(log::count(&log, "op.deliver_broken", &[("part", "fullDocument")]), 1, "{log:?}");
}

#[test]
fn a_file_that_is_not_there_or_no_dump() {
    let print_ops = plugin("print_ops");
    let said = error_of(&["replay", "/no/such/oplog.bson", "--plugin", &print_ops]);
    assert!(said.contains("/no/such/oplog.bson"), "{said}");
    let said = error_of(&["replay", &print_ops, "--plugin", &print_ops]);
    assert!(said.contains("WebAssembly"), "{said}");
    let said = usage_error_of(&["replay", &print_ops]);
    assert!(said.contains("no plugin to run"), "{said}");
}
