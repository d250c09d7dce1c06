//! What a plugin keeps.

use bson::doc;

use super::Errands;

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
