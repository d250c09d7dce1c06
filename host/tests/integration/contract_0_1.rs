//! Plugins that were built against contract 0.1 run unchanged. Their builds are kept in `tests/contract_0_1`: one per language, and
//! plugins that use every interface of it.

use std::path::{Path, PathBuf};

use bson::doc;
use gtm_test_support::Server;
use serde_json::Value;

use crate::capabilities::Errands;
use crate::languages::every_capability;
use crate::support::{Database, Host, eventually, run};

/// Returns the path of a kept build.
fn kept(name: &str) -> String {
    kept_as(name, name)
}

/// Returns the path of a kept build, in a file of another name, which is the name of the plugin.
fn kept_as(name: &str, plugin: &str) -> String {
    let file =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/contract_0_1").join(format!("{name}.wasm.zst"));
    let component = zstd::decode_all(std::fs::File::open(file).unwrap()).unwrap();
    let directory = gtm_test_support::target_dir().join("testbed/contract_0_1").join(name);
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join(format!("{plugin}.wasm"));
    // Tests run beside each other.
    let own = directory.join(format!("{name}.{}", bson::oid::ObjectId::new()));
    std::fs::write(&own, component).unwrap();
    std::fs::rename(&own, &path).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_contract_and_the_subscriptions_are_read() {
    for (name, subscriptions) in [
        ("rust_print_ops", 0),
        ("rust_send_welcome_email", 1),
        ("rust_webhook", 0),
        ("rust_audit_log", 0),
        ("rust_index_documents", 1),
        ("c", 0),
        ("go", 0),
    ] {
        let (code, out, said) = run(&["check", "--output", "json", &kept(name)]);
        assert_eq!(code, Some(0), "{name}: {out}{said}");
        let checked: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(checked["contract"], "0.1.0", "{name}");
        assert_eq!(checked["settings"], Value::Null, "{name}");
        assert_eq!(checked["subscriptions"].as_array().unwrap().len(), subscriptions, "{name}: {checked}");
        assert_eq!(
            checked["handlesBatches"],
            name == "rust_audit_log" || name == "rust_index_documents",
            "{name}"
        );
    }
}

/// It checks its settings itself, and logs what is wrong.
#[test]
fn an_error_that_a_plugin_logs_at_its_start_is_one_of_the_settings() {
    let plugin = kept("rust_send_welcome_email");
    let (code, out, said) = run(&["config", "check", "--plugin", &plugin, "--set", "subjekt=Hi"]);
    assert_eq!(code, Some(1), "{out}{said}");
    let logged = "the plugin rust_send_welcome_email logs an error at its start: unknown setting subjekt";
    assert!(out.contains(logged), "{out}");
}

#[test]
fn a_plugin_of_each_language_handles_ops() {
    let ada = r#"{"_id":1,"name":"Ada","email":"ada@example.com"}"#;
    for name in ["c", "cpp", "zig", "go"] {
        let (code, out, said) = run(&[
            "try",
            "--output",
            "json",
            &kept(name),
            "--set",
            "subject=Hi",
            "--insert",
            "app.users",
            ada,
        ]);
        assert_eq!(code, Some(0), "{name}: {out}{said}");
        let tried: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
        assert_eq!(tried["outcome"], "handled", "{name}: {tried}");
        assert!(tried["effects"].to_string().contains("Subject: Hi"), "{name}: {tried}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_capability_works_in_rust() {
    let grants = ["state", "mongodb-read=OWN.things", "mongodb-write=OWN.things"];
    let mut errands =
        Errands::of(&kept_as("rust_errand", "errand"), &grants, &["--set", "key=value"], &[]).await;
    for (errand, result) in [
        (doc! { "do": "config", "key": "key" }, "ok value"),
        (doc! { "do": "set", "key": "k", "value": "v" }, "ok set"),
        (doc! { "do": "get", "key": "k" }, "ok v"),
        (doc! { "do": "swap", "key": "k", "expected": "v", "value": "w" }, "ok true"),
        (doc! { "do": "swap", "key": "k", "expected": "v", "value": "x" }, "ok false"),
        (doc! { "do": "forget", "key": "k" }, "ok forgotten"),
        (doc! { "do": "insert", "ns": "OWN.things", "document": { "_id": 1, "n": 1 } }, "ok inserted"),
        (
            doc! { "do": "replace", "ns": "OWN.things", "filter": { "_id": 1 }, "document": { "n": 2 } },
            "ok 1 1",
        ),
        (doc! { "do": "find", "ns": "OWN.things", "filter": { "_id": 1 } }, r#"ok 1 [{"_id":1,"n":2}]"#),
        (doc! { "do": "delete", "ns": "OWN.things", "filter": { "_id": 1 } }, "ok 1"),
    ] {
        assert_eq!(errands.run(errand.clone()).await, result, "{errand}");
    }
    let twice = doc! { "do": "insert", "ns": "OWN.things", "document": { "_id": 2 } };
    assert_eq!(errands.run(twice.clone()).await, "ok inserted");
    assert!(errands.run(twice).await.contains("E11000"));
    let refused = errands.run(doc! { "do": "mail", "to": "ada@example.com" }).await;
    assert!(refused.starts_with("error ") && refused.contains("mail is not granted"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_capability_works_in_javascript() {
    every_capability(Path::new(&kept_as("javascript", "errand"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_capability_works_in_python() {
    every_capability(Path::new(&kept_as("python", "errand"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_filtered_and_handled() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let grant = format!("mongodb-write={}.log", own.name);
    let (collection, namespaces) =
        (format!("collection={}.log", own.name), format!("namespaces={}.things", own.name));
    let plugin = kept("rust_audit_log");
    let mut host = Host::start(&[
        "--plugin",
        &plugin,
        "--uri",
        server.uri(),
        "--grant",
        &grant,
        "--set",
        &collection,
        "--set",
        &namespaces,
    ]);
    host.wait_for("source.tail", &[]);
    own.collection("things").insert_many((0..300).map(|n| doc! { "_id": n })).await.unwrap();
    own.collection("others").insert_one(doc! { "_id": 1 }).await.unwrap();
    let log = own.collection("log");
    eventually("an entry for each change", async || log.count_documents(doc! {}).await.unwrap() == 300).await;
    assert_eq!(host.stop().0, Some(0));
}
