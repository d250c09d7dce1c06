//! What a plugin keeps.

use std::collections::BTreeSet;

use bson::{Document, doc};
use gtm_test_support::Server;

use super::Errands;
use crate::support::{Database, Host, message, plugin};

/// A host with the plugin `keep`, which is built against contract 0.2.
async fn keeping(grants: &[&str], more: &[&str]) -> Errands {
    Errands::of(&format!("errand={}", plugin("keep")), grants, more, &[]).await
}

fn errand(what: &str, key: &str) -> Document {
    doc! { "do": what, "key": key }
}

fn with(mut errand: Document, more: Document) -> Document {
    errand.extend(more);
    errand
}

#[tokio::test]
async fn what_is_kept_is_there_later_in_either_store() {
    let directory = tempfile::tempdir().unwrap();
    let store = format!("file:{}", directory.path().display());
    for store in ["mongodb", &store] {
        let mut errands = Errands::with(&["state"], &["--store", store], &[]).await;
        let swap = |expected: Option<&str>, value: &str| {
            let mut errand = doc! { "do": "swap", "key": "k", "value": value };
            expected.map(|expected| errand.insert("expected", expected));
            errand
        };
        assert_eq!(errands.run(doc! { "do": "get", "key": "k" }).await, "ok nothing");
        assert_eq!(errands.run(swap(Some("x"), "1")).await, "ok false");
        assert_eq!(errands.run(swap(None, "1")).await, "ok true");
        assert_eq!(errands.run(swap(None, "2")).await, "ok false");
        assert_eq!(errands.run(swap(Some("1"), "Grüße")).await, "ok true");
        assert_eq!(errands.run(doc! { "do": "get", "key": "k" }).await, "ok Grüße");
        assert_eq!(errands.run(doc! { "do": "set", "key": "k", "value": "" }).await, "ok set");
        assert_eq!(errands.run(doc! { "do": "get", "key": "k" }).await, "ok ");
        assert_eq!(errands.run(doc! { "do": "forget", "key": "k" }).await, "ok forgotten");
        assert_eq!(errands.run(doc! { "do": "get", "key": "k" }).await, "ok nothing");
        let long = "k".repeat(513);
        for key in ["", &long] {
            let said = errands.run(doc! { "do": "get", "key": key }).await;
            assert!(said.starts_with("error a key has 1 to 512 bytes, and this one"), "{said}");
        }
        let large = "x".repeat((1 << 20) + 1);
        let said = errands.run(doc! { "do": "set", "key": "k", "value": large }).await;
        assert!(said.starts_with("error a value has at most 1048576 bytes"), "{said}");
    }
}

#[tokio::test]
async fn what_is_kept_is_bounded_in_keys_and_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let settings = directory.path().join("gtm.toml");
    std::fs::write(&settings, "[limits]\nstate_keys = 2\nstate_bytes = \"100 B\"\n").unwrap();
    let store = format!("file:{}/store", directory.path().display());
    for store in ["mongodb", &store] {
        let more = ["--store", store, "--config", settings.to_str().unwrap()];
        let mut errands = Errands::with(&["state"], &more, &[]).await;
        let set = |key: &str, bytes: usize| doc! { "do": "set", "key": key, "value": "x".repeat(bytes) };
        assert_eq!(errands.run(set("a", 10)).await, "ok set");
        // What replaces something takes its room.
        for _ in 0..3 {
            assert_eq!(errands.run(set("a", 90)).await, "ok set", "{store}");
        }
        let said = errands.run(set("b", 10)).await;
        assert!(said.starts_with("error the plugin errand keeps as much state as it may: 1, 91 B"), "{said}");
        assert!(
            said.contains("raise limits.state_keys or limits.state_bytes under [plugins.errand]"),
            "{said}"
        );
        assert_eq!(errands.run(set("a", 20)).await, "ok set");
        assert_eq!(errands.run(set("b", 20)).await, "ok set");
        let swap = doc! { "do": "swap", "key": "c", "value": "" };
        assert!(errands.run(swap.clone()).await.starts_with("error the plugin errand keeps"));
        assert_eq!(errands.run(doc! { "do": "forget", "key": "b" }).await, "ok forgotten");
        assert_eq!(errands.run(swap).await, "ok true");
    }
}

#[tokio::test]
async fn without_a_grant_or_a_store_it_is_said_what_to_do() {
    let mut errands = Errands::granted(&[]).await;
    let said = errands.run(doc! { "do": "get", "key": "k" }).await;
    let reason = "state is not granted to the plugin errand. help: pass --grant errand:state, or set state = true under \
                  [plugins.errand.grants] in gtm.toml";
    assert_eq!(said, format!("error {reason}"));
    // That it was tried is in the host's log, once.
    errands.host.wait_for("op.work_around", &[]);
    errands.run(doc! { "do": "get", "key": "k" }).await;
    errands.run(doc! { "do": "get", "key": "k" }).await;
    let (error, help) = reason.split_once(". help: ").unwrap();
    let fields = [("error", error), ("help", help), ("level", "WARN")];
    assert_eq!(errands.host.count("op.work_around", &fields), 1);

    let mut errands = Errands::with(&["state"], &["--store", "none"], &[]).await;
    let said = errands.run(doc! { "do": "get", "key": "k" }).await;
    assert!(said.starts_with("error this host keeps nothing. help: give it a store"), "{said}");
}

#[tokio::test]
async fn a_value_ends_with_its_time_to_live_and_a_number_is_incremented() {
    let directory = tempfile::tempdir().unwrap();
    let store = format!("file:{}", directory.path().display());
    for store in ["mongodb", &store] {
        let mut errands = keeping(&["state"], &["--store", store]).await;
        let set = |value: &str, ttl: i64| with(errand("set", "k"), doc! { "value": value, "ttl": ttl });
        let list = doc! { "do": "list" };
        assert_eq!(errands.run(set("v", 3_600_000)).await, "ok set");
        assert_eq!(errands.run(list.clone()).await, "ok k=v for a while");
        assert_eq!(errands.run(set("v", 1)).await, "ok set");
        while errands.run(errand("get", "k")).await != "ok nothing" {}
        let swap = doc! { "expected": "v", "value": "x" };
        assert_eq!(errands.run(with(errand("swap", "k"), swap)).await, "ok false");
        let swap = doc! { "value": "7", "ttl": 3_600_000_i64 };
        assert_eq!(errands.run(with(errand("swap", "k"), swap)).await, "ok true");
        assert_eq!(errands.run(with(errand("increment", "k"), doc! { "by": -10_i64 })).await, "ok -3");
        assert_eq!(errands.run(errand("get", "k")).await, "ok -3");
        assert_eq!(errands.run(list.clone()).await, "ok k=-3 for a while");
        assert_eq!(
            errands.run(with(errand("increment", "n"), doc! { "by": i64::MAX })).await,
            format!("ok {}", i64::MAX)
        );
        let said = errands.run(errand("increment", "n")).await;
        assert!(
            said.starts_with("error invalid: the state n of the plugin errand of the pipeline"),
            "{said}"
        );
        assert!(said.ends_with("cannot be incremented: the sum does not fit into 64 bits"), "{said}");
        assert_eq!(errands.run(with(errand("set", "n"), doc! { "value": "one" })).await, "ok set");
        let said = errands.run(errand("increment", "n")).await;
        assert!(said.ends_with("its value is not a whole number in decimal digits"), "{said}");
        assert_eq!(errands.run(errand("delete", "k")).await, "ok deleted");
        assert_eq!(errands.run(list).await, "ok n=one");
    }
}

#[tokio::test]
async fn increments_of_all_lanes_count() {
    const COUNT: i32 = 200;
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let (keep, database) = (format!("errand={}", plugin("keep")), format!("database={}", own.name));
    let mut arguments =
        vec!["--plugin", &keep, "--uri", server.uri(), "--set", &database, "--grant", "state"];
    arguments.extend(["--delivery-lanes", "8"]);
    let mut host = Host::tailing(&arguments);
    let errands = (1..=COUNT).map(|id| doc! { "_id": id, "do": "increment", "key": "n" });
    own.collection("errands").insert_many(errands).await.unwrap();
    let mut sums = BTreeSet::new();
    while sums.len() < usize::try_from(COUNT).unwrap() {
        let mut sum = None;
        host.wait_until("a sum", |line| {
            sum = message(line).split_once(" ok ").and_then(|(_, sum)| sum.parse::<i32>().ok());
            sum.is_some()
        });
        assert!(sums.insert(sum.unwrap()), "{sum:?} twice");
    }
    assert!(sums.into_iter().eq(1..=COUNT));
}

#[tokio::test]
async fn entries_are_listed_in_pages_and_the_quota_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let settings = directory.path().join("gtm.toml");
    std::fs::write(&settings, "[limits]\nstate_keys = 5\nstate_bytes = \"100 B\"\n").unwrap();
    let store = format!("file:{}/store", directory.path().display());
    for store in ["mongodb", &store] {
        let more = ["--store", store, "--config", settings.to_str().unwrap()];
        let mut errands = keeping(&["state"], &more).await;
        assert_eq!(errands.run(doc! { "do": "quota" }).await, "ok 0 of 5 keys, 0 of 100 bytes");
        for key in ["b", "a/2", "a/1", "a.1"] {
            assert_eq!(errands.run(with(errand("set", key), doc! { "value": key })).await, "ok set");
        }
        let list = |more: Document| with(doc! { "do": "list" }, more);
        assert_eq!(errands.run(list(doc! {})).await, "ok a.1=a.1, a/1=a/1, a/2=a/2, b=b");
        assert_eq!(errands.run(list(doc! { "prefix": "a/" })).await, "ok a/1=a/1, a/2=a/2");
        assert_eq!(errands.run(list(doc! { "prefix": "a", "limit": 2_i64 })).await, "ok a.1=a.1, a/1=a/1");
        assert_eq!(errands.run(list(doc! { "prefix": "a", "after": "a/1" })).await, "ok a/2=a/2");
        assert_eq!(errands.run(list(doc! { "prefix": "a", "after": "a/2" })).await, "ok ");
        let said = errands.run(list(doc! { "limit": 0_i64 })).await;
        assert_eq!(said, "error invalid: a page has at least 1 entry, and the limit is 0");
        let said = errands.run(list(doc! { "prefix": "k".repeat(513) })).await;
        assert_eq!(said, "error invalid: a key has at most 512 bytes, and prefix or after has 513");
        assert_eq!(errands.run(doc! { "do": "quota" }).await, "ok 4 of 5 keys, 20 of 100 bytes");
        // A number counts with its longest digits at most, and is incremented when nothing else has room.
        assert_eq!(errands.run(errand("increment", "n")).await, "ok 1");
        let said = errands.run(errand("increment", "m")).await;
        assert!(
            said.starts_with("error unavailable: the plugin errand keeps as much state as it may: 5,"),
            "{said}"
        );
        assert_eq!(errands.run(errand("increment", "n")).await, "ok 2");
        assert_eq!(errands.run(errand("delete", "b")).await, "ok deleted");
        let said = errands.run(doc! { "do": "quota" }).await;
        assert!(said.starts_with("ok 4 of 5 keys, "), "{said}");
    }
}

#[tokio::test]
async fn a_function_without_a_grant_and_one_in_a_dry_run_change_nothing() {
    let mut errands = keeping(&[], &[]).await;
    for errand in [errand("increment", "k"), errand("list", ""), errand("quota", "")] {
        let said = errands.run(errand).await;
        assert!(
            said.starts_with("error not granted: state is not granted to the plugin errand. help:"),
            "{said}"
        );
    }
    drop(errands);
    let mut errands = keeping(&["state"], &["--dry-run"]).await;
    for (errand, said, effect) in [
        (with(errand("increment", "n"), doc! { "by": 5_i64 }), "ok 5", r#"{"increment":"n","by":5,"sum":5}"#),
        (
            with(errand("set", "k"), doc! { "value": "v", "ttl": 1000_i64 }),
            "ok set",
            r#"{"set":"k","bytes":1,"timeToLive":1000}"#,
        ),
        (
            with(errand("swap", "k"), doc! { "value": "v" }),
            "ok true",
            r#"{"compareAndSwap":"k","bytes":1,"done":true}"#,
        ),
    ] {
        assert_eq!(errands.run(errand).await, said);
        assert_eq!(
            errands.host.count("dry_run.record", &[("capability", "state"), ("effect", effect)]),
            1,
            "{effect}"
        );
    }
    assert_eq!(errands.run(errand("list", "")).await, "ok ");
    assert_eq!(errands.run(errand("quota", "")).await, "ok 0 of 100000 keys, 0 of 268435456 bytes");
}
