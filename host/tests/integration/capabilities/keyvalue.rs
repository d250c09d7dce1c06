//! The interfaces of WASI for the state and the log: `wasi:keyvalue` in both drafts, and `wasi:logging`.

use bson::{Document, doc};

use super::Errands;
use crate::log;
use crate::support::{message, plugin, run};

/// A host with the plugin `wasi_faces`, which calls these interfaces.
async fn faces(grants: &[&str], more: &[&str]) -> Errands {
    Errands::of(&format!("errand={}", plugin("wasi_faces")), grants, more, &[]).await
}

fn errand(draft: i32, what: &str, key: &str) -> Document {
    doc! { "draft": draft, "do": what, "key": key }
}

fn with(errand: Document, more: Document) -> Document {
    errand.into_iter().chain(more).collect()
}

#[tokio::test]
async fn both_drafts_share_the_state_of_the_plugin_in_either_store() {
    let directory = tempfile::tempdir().unwrap();
    let store = format!("file:{}", directory.path().display());
    for store in ["mongodb", &store] {
        let mut errands = faces(&["state"], &["--store", store]).await;
        for draft in [1, 2] {
            let other = 3 - draft;
            let set = with(errand(draft, "set", "k"), doc! { "value": "Grüße" });
            assert_eq!(errands.run(errand(draft, "get", "k")).await, "ok nothing");
            assert_eq!(errands.run(errand(draft, "exists", "k")).await, "ok false");
            assert_eq!(errands.run(set).await, "ok set");
            assert_eq!(errands.run(errand(other, "get", "k")).await, "ok Grüße");
            assert_eq!(errands.run(errand(draft, "exists", "k")).await, "ok true");
            assert_eq!(errands.run(errand(draft, "delete", "k")).await, "ok deleted");
            assert_eq!(errands.run(errand(draft, "delete", "k")).await, "ok deleted");
            assert_eq!(errands.run(errand(draft, "get", "k")).await, "ok nothing");

            assert_eq!(errands.run(errand(draft, "set-many", "a,b")).await, "ok set");
            assert_eq!(errands.run(errand(draft, "get-many", "a,x,b")).await, "ok a=A,nothing,b=B");
            assert_eq!(errands.run(errand(draft, "delete-many", "a,x,b")).await, "ok deleted");
            assert_eq!(errands.run(errand(draft, "get-many", "a,b")).await, "ok nothing,nothing");

            let by = |by: i64| with(errand(draft, "increment", "n"), doc! { "by": by });
            assert_eq!(errands.run(by(40)).await, "ok 40");
            assert_eq!(errands.run(by(2)).await, "ok 42");
            let said = errands.run(by(i64::MAX)).await;
            assert!(said.ends_with("cannot be incremented: the sum does not fit into 64 bits"), "{said}");
            assert_eq!(errands.run(errand(draft, "get", "n")).await, "ok 42");
            assert_eq!(errands.run(errand(draft, "delete", "n")).await, "ok deleted");
        }
        // The numbers of the first draft have no sign.
        let by = |draft: i32, by: i64| with(errand(draft, "increment", "n"), doc! { "by": by });
        let said = errands.run(by(1, -1)).await;
        assert_eq!(said, format!("error other: {} is larger than {}", u64::MAX, i64::MAX));
        assert_eq!(errands.run(by(2, -7)).await, "ok -7");
        assert_eq!(errands.run(by(1, 1)).await, "error other: the sum is negative: -6");
    }
}

#[tokio::test]
async fn a_value_is_swapped_unless_another_one_was_written() {
    let mut errands = faces(&["state"], &[]).await;
    let swap = |more: Document| with(errand(2, "swap", "k"), more);
    assert_eq!(errands.run(errand(2, "current", "k")).await, "ok nothing");
    assert_eq!(errands.run(swap(doc! { "value": "1" })).await, "ok swapped");
    assert_eq!(errands.run(errand(2, "current", "k")).await, "ok 1");
    let between = swap(doc! { "value": "3", "between": "2" });
    assert_eq!(errands.run(between).await, "ok swapped after 2");
    assert_eq!(errands.run(errand(2, "get", "k")).await, "ok 3");
    // A handle that is not dropped is charged, and the rest of the plugin continues.
    let large = with(errand(2, "set", "k"), doc! { "value": "x".repeat(1 << 20) });
    assert_eq!(errands.run(large).await, "ok set");
    let hold = |count: i32| with(errand(2, "hold", "k"), doc! { "count": count });
    let said = errands.run(hold(100)).await;
    assert!(said.starts_with("error other: the host would keep "), "{said}");
    assert_eq!(errands.run(hold(10)).await, "ok held 10");
    assert_eq!(errands.run(errand(2, "delete", "k")).await, "ok deleted");
    let said = errands.run(hold(300)).await;
    assert!(said.starts_with("error other: "), "{said}");
    assert_eq!(errands.run(errand(2, "get", "k")).await, "ok nothing");
}

#[tokio::test]
async fn all_keys_are_listed() {
    let mut errands = faces(&["state"], &[]).await;
    assert_eq!(errands.run(errand(1, "list", "")).await, "ok ");
    assert_eq!(errands.run(errand(2, "list", "")).await, "ok ");
    // A page ends before 1 MiB of values.
    for key in ["a", "b", "c", "d", "e"] {
        let set = with(errand(2, "set", key), doc! { "value": "x".repeat(400 << 10) });
        assert_eq!(errands.run(set).await, "ok set");
    }
    assert_eq!(errands.run(errand(1, "list", "")).await, "ok a,b,c,d,e");
    assert_eq!(errands.run(errand(2, "list", "")).await, "ok a,b|c,d|e|");
    let cursor = with(errand(1, "list", ""), doc! { "by": 7_i64 });
    let said = errands.run(cursor).await;
    assert_eq!(said, "error other: 7 is not a cursor of this host, which returns all keys together");
}

#[tokio::test]
async fn the_limits_of_the_state_apply() {
    let directory = tempfile::tempdir().unwrap();
    let settings = directory.path().join("gtm.toml");
    std::fs::write(&settings, "[limits]\nstate_keys = 2\nstate_bytes = \"100 B\"\n").unwrap();
    let mut errands = faces(&["state"], &["--config", settings.to_str().unwrap()]).await;
    for draft in [1, 2] {
        let full = "error other: the plugin errand keeps as much state as it may: 2, 4 B";
        let said = errands.run(errand(draft, "set-many", "a,b,c")).await;
        assert!(said.starts_with(full), "{said}");
        assert!(said.contains("raise limits.state_keys"), "{said}");
        assert_eq!(errands.run(errand(draft, "get-many", "a,b,c")).await, "ok a=A,b=B,nothing");
        let said = errands.run(errand(draft, "increment", "c")).await;
        assert!(said.starts_with("error other: the plugin errand keeps"), "{said}");
        for key in ["", &"k".repeat(513)] {
            for what in ["get", "set", "delete", "exists", "increment"] {
                let said = errands.run(errand(draft, what, key)).await;
                assert!(said.starts_with("error other: a key has 1 to 512 bytes"), "{what}: {said}");
            }
        }
    }
    let said = errands.run(with(errand(2, "swap", "c"), doc! { "value": "v" })).await;
    assert!(said.starts_with("error other: the plugin errand keeps"), "{said}");
}

#[tokio::test]
async fn only_the_own_bucket_of_a_granted_plugin_is_opened() {
    let mut errands = faces(&["state"], &[]).await;
    for draft in [1, 2] {
        let open = |bucket: &str| with(errand(draft, "open", ""), doc! { "bucket": bucket });
        for (bucket, said) in [
            ("", "ok open"),
            ("default", "ok open"),
            ("other", "error no such store"),
            ("Default", "error no such store"),
        ] {
            assert_eq!(errands.run(open(bucket)).await, said, "{bucket}");
        }
        let in_filter = with(open("default"), doc! { "in_filter": true });
        let why = "error other: state can be used in handle only, not in filter";
        assert_eq!(errands.run(in_filter).await, why);
    }
    let mut errands = faces(&[], &[]).await;
    assert_eq!(errands.run(errand(1, "get", "k")).await, "error access denied");
    // The host's log says why.
    let line = errands.host.wait_for("op.work_around", &[]);
    assert_eq!(errands.run(errand(2, "get", "k")).await, "error access denied");
    let why = "state is not granted to the plugin errand. help: pass --grant errand:state";
    assert!(log::error(&line).starts_with(why), "{line}");

    let (code, out, said) = run(&["check", "--output", "json", &plugin("wasi_faces")]);
    assert_eq!(code, Some(0), "{said}");
    let described: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(described["asks"], serde_json::json!(["state"]));
}

#[tokio::test]
async fn a_dry_run_records_the_writes() {
    let mut errands = faces(&["state"], &["--dry-run"]).await;
    for draft in [1, 2] {
        assert_eq!(errands.run(errand(draft, "set-many", "a,b")).await, "ok set");
        assert_eq!(errands.run(errand(draft, "increment", "n")).await, "ok 1");
        assert_eq!(errands.run(errand(draft, "get", "a")).await, "ok nothing");
    }
    assert_eq!(errands.run(errand(2, "swap", "k")).await, "ok swapped");
    let recorded = |effect: &str| {
        let of_state = [("capability", "state"), ("effect", effect)];
        errands.host.count("dry_run.record", &of_state)
    };
    assert_eq!(recorded("{\"set\":\"a\",\"bytes\":1}"), 2);
    assert_eq!(recorded("{\"set\":\"b\",\"bytes\":1}"), 2);
    assert_eq!(recorded("{\"increment\":\"n\",\"by\":1,\"sum\":1}"), 2);
    assert_eq!(recorded("{\"compareAndSwap\":\"k\",\"bytes\":0,\"done\":true}"), 1);
}

#[tokio::test]
async fn messages_of_wasi_logging_are_in_the_log_of_the_host() {
    let mut errands = faces(&[], &["--log", "info,plugin=trace"]).await;
    let log = doc! { "do": "log", "key": "shop", "value": "one\ntwo" };
    assert_eq!(errands.run(log).await, "ok logged");
    let logged = errands.host.logged();
    let of_plugin = |text: &str| {
        let is_found = |line: &&serde_json::Value| line["target"] == "plugin" && message(line) == text;
        logged.iter().filter(is_found).map(|line| line["level"].as_str().unwrap()).collect::<Vec<_>>()
    };
    let levels = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "ERROR"];
    assert_eq!(of_plugin("shop: one\n    two"), levels);
    assert_eq!(of_plugin("unversioned: one\n    two"), ["ERROR"]);
    assert!(logged.iter().any(|line| log::is_event(
        line,
        "plugin.log",
        &[("plugin", "errand"), ("level", "WARN")]
    )));
}
