//! Which version takes over, and which does not.

use std::time::{Duration, Instant};

use bson::doc;
use gtm_test_support::Server;
use serde_json::Value;

use super::{another, path_in, put, put_another};
use crate::log;
use crate::support::{Database, Host, LIMIT, message, plugin, run, scaled};

struct Scene {
    own: Database,
    host: Host,
    directory: tempfile::TempDir,
    file: std::path::PathBuf,
    _server: Server,
}

impl Scene {
    /// A host with the plugin `p`, which is `of` at first.
    async fn of(of: &str, more: &[&str]) -> Self {
        let (server, directory) = (Server::ready().unwrap(), tempfile::tempdir().unwrap());
        let own = Database::new(server.uri()).await;
        let file = path_in(&directory, "p.wasm");
        put(plugin(of), &file);
        let namespace = format!("namespace={}.things", own.name);
        let arguments = ["--plugin", file.to_str().unwrap(), "--uri", server.uri(), "--set", &namespace];
        let arguments =
            [&arguments[..], &["--admin", "127.0.0.1:0", "--retry-initial-delay", "10ms"], more].concat();
        let host = Host::tailing(&arguments);
        Self { own, host, directory, file, _server: server }
    }

    async fn insert(&self, n: i32) {
        self.own.collection("things").insert_one(doc! { "_id": n }).await.unwrap();
    }

    /// Waits until all is done up to the last op in `things`. Returns the status then.
    async fn done(&self) -> Value {
        let oplog = self.own.client.database("local").collection::<bson::Document>("oplog.rs");
        let last = oplog.find_one(doc! { "ns": format!("{}.things", self.own.name) });
        let last = last.sort(doc! { "ts": -1 }).await.unwrap().unwrap().get_timestamp("ts").unwrap();
        let deadline = Instant::now() + LIMIT;
        loop {
            let status = self.host.status();
            let position = status["plugins"][0]["position"].as_str().unwrap_or_default();
            let parts: Vec<u32> = position.split('.').filter_map(|part| part.parse().ok()).collect();
            if parts.as_slice() >= &[last.time, last.increment][..] {
                return status;
            }
            assert!(Instant::now() < deadline, "not at {last:?}: {status}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn version(&self) -> String {
        self.host.status()["plugins"][0]["version"].as_str().unwrap().to_owned()
    }

    fn wait_for(&mut self, event: &str) -> Value {
        self.host.wait_for(event, &[("plugin", "p")])
    }
}

#[tokio::test]
async fn another_plugin_takes_over_where_the_one_before_was() {
    let mut scene = Scene::of("misbehave", &[]).await;
    let before = scene.version();
    scene.insert(1).await;
    scene.host.wait_for_plugin_log("handled at attempt 1");
    put(plugin("print_ops"), &scene.file);
    let line = scene.wait_for("plugin.swap");
    assert_eq!(line["previous"], before);
    assert_ne!(scene.version(), before);
    scene.insert(2).await;
    let line =
        scene.host.wait_until("the second op", |line| line["plugin"] == "p" && line["target"] == "plugin");
    assert!(message(&line).contains("\"_id\":2"), "{line}");
}

#[tokio::test]
async fn what_is_no_version_leaves_the_old_one_running() {
    let mut scene = Scene::of("print_ops", &[]).await;
    let before = scene.version();
    let bytes = std::fs::read(plugin("print_ops")).unwrap();
    let bad: [(&[u8], &str); 4] = [
        (b"", "is an empty file"),
        (b"#!/bin/sh", "is not WebAssembly"),
        (&bytes[..bytes.len() / 2], "cannot be compiled"),
        (b"\0asm\x0d\0\x01\0", "exports none of gtm:plugin/handler"),
    ];
    for (n, (bytes, reason)) in bad.into_iter().enumerate() {
        std::fs::write(&scene.file, bytes).unwrap();
        let line = scene.wait_for("plugin.swap_failed");
        assert_eq!(line["version"], before);
        assert!(log::error(&line).contains(reason), "{line}");
        scene.insert(i32::try_from(n).unwrap()).await;
        scene.host.wait_until("the op", |line| line["plugin"] == "p" && line["target"] == "plugin");
    }
    // Neither does a file that is gone; and what is there again, the same, is no other version.
    std::fs::remove_file(&scene.file).unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    put(plugin("print_ops"), &scene.file);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(scene.version(), before);
    put_another("print_ops", 1, &scene.file);
    scene.wait_for("plugin.swap");
    assert_ne!(scene.version(), before);
}

#[tokio::test]
async fn a_file_that_is_written_slowly_counts_when_it_is_whole() {
    let mut scene = Scene::of("misbehave", &[]).await;
    let bytes = std::fs::read(plugin("print_ops")).unwrap();
    let mut file = std::fs::File::create(&scene.file).unwrap();
    for part in bytes.chunks(bytes.len() / 10) {
        std::io::Write::write_all(&mut file, part).unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // How long it is waited for the rest depends on the machine: see the unit test of `settled`.
    scene.wait_for("plugin.swap");
}

#[tokio::test]
async fn one_that_fails_its_first_calls_is_rolled_back() {
    for how in ["handle=panic", "filter=panic", "handle=loop"] {
        let set = format!("p:{how}");
        let limit = format!("{}ms", scaled(200));
        let arguments = ["--set", &set, "--limits-handle-timeout", &limit];
        let mut scene = Scene::of("trivial", &arguments).await;
        let before = scene.version();
        put(plugin("misbehave"), &scene.file);
        scene.wait_for("plugin.swap");
        scene.insert(1).await;
        let line = scene.wait_for("plugin.roll_back");
        assert_eq!(line["previous"], before);
        assert!(log::error(&line).contains(" failed one of its first 10 calls: "), "{line}");
        let line = scene.wait_for("audit.roll_back");
        assert_eq!((&line["via"], &line["plugin"]), (&"trial".into(), &"p".into()));
        assert!(line["detail"].as_str().unwrap().starts_with(&before), "{line}");
        // The op is handled by the old one.
        let status = scene.done().await;
        assert_eq!(
            (&status["plugins"][0]["counts"]["failed"], &status["plugins"][0]["counts"]["rejected"]),
            (&0.into(), &0.into())
        );
        assert_eq!(status["plugins"][0]["version"], before.as_str());
        assert!(
            status["plugins"][0]["rolledBack"].as_str().unwrap().contains("failed one of its first"),
            "{status}"
        );
        assert_eq!(status["plugins"][0]["deadLetters"], 0);
    }
}

#[tokio::test]
async fn one_that_survives_its_first_calls_is_kept() {
    let mut scene = Scene::of("print_ops", &[]).await;
    put_another("print_ops", 1, &scene.file);
    scene.wait_for("plugin.swap");
    for n in 0..10 {
        scene.insert(n).await;
    }
    scene.wait_for("plugin.keep");
}

#[tokio::test]
async fn a_swap_is_told_by_hand_too() {
    let print_ops = plugin("print_ops");
    let from = std::path::Path::new(&print_ops).parent().unwrap().to_str().unwrap();
    let mut scene = Scene::of("misbehave", &["--no-watch", "--admin-swap-from", from]).await;
    let before = scene.version();
    let address = scene.host.address();
    // One that has another name and wants something else may be another plugin.
    let (code, _, said) = run(&["swap", "p", &plugin("errand"), "--admin", &address]);
    assert_eq!(code, Some(0), "{said}");
    let odd = "the file is called errand, and it subscribes to other ops than the plugin p did";
    assert!(said.contains(odd), "{said}");
    let (code, out, said) = run(&["swap", "p", &print_ops, "--admin", &address]);
    assert_eq!(code, Some(0), "{said}");
    let version = scene.version();
    assert_eq!(out, format!("running version {version}: p\n"));
    assert_ne!(version, before);
    assert!(said.contains("the file is called print_ops"), "{said}");
    // The same plugin is no surprise, by the name of the file that runs, either.
    let (code, _, said) = run(&["swap", "p", &print_ops, "--admin", &address]);
    assert_eq!((code, said.contains("the file is called")), (Some(0), false), "{said}");
    // What is no plugin is refused, and where there is none of the name.
    let other = path_in(&scene.directory, "text.wasm");
    std::fs::write(&other, "text").unwrap();
    let (code, _, said) = run(&["swap", "p", other.to_str().unwrap(), "--admin", &address]);
    assert_eq!(code, Some(1));
    assert!(said.contains(&format!("version {version} keeps running: the plugin ")), "{said}");
    let (code, _, said) = run(&["swap", "q", &print_ops, "--admin", &address]);
    assert_eq!((code, said.contains("there is no plugin q; there are: p")), (Some(1), true), "{said}");
    let (code, _, said) = run(&["swap", "p", "/no/such.wasm", "--admin", &address]);
    assert_eq!((code, said.contains("/no/such.wasm cannot be read")), (Some(1), true), "{said}");
    // A version that needs another setting is refused with the way to set it.
    let (code, _, said) = run(&["swap", "p", &plugin("webhook"), "--admin", &address]);
    assert_eq!(code, Some(1), "{said}");
    let help = "the new version needs the setting url, which is not set. help: set url under [plugins.p.config] in gtm.toml, and replace \
                the file of the plugin. Then send SIGHUP to the host, which reads both";
    assert!(said.contains(help), "{said}");
    // By a change of its file it is not.
    put_another("misbehave", 1, &scene.file);
    scene.insert(1).await;
    scene.host.wait_until("the op", |line| line["plugin"] == "p" && line["target"] == "plugin");
    assert_eq!(scene.version(), version);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_version_subscribes_to_is_read_from_then_on() {
    // The plugin errand wants inserts into a collection `errands`, and print_ops everything.
    let mut scene = Scene::of("errand", &[]).await;
    let errand = |n: i32| doc! { "_id": n, "do": "config", "key": "namespace" };
    scene.own.collection("errands").insert_one(errand(1)).await.unwrap();
    scene.host.wait_for_plugin_log("1 ok ");
    put(plugin("print_ops"), &scene.file);
    scene.wait_for("plugin.swap");
    // Again and again, as the test server's cursors pass over what is written while they are opened (a real server's do not).
    let writing = keep_inserting(scene.own.collection("things"), |n| doc! { "_id": n });
    scene.host.wait_until("an op", |line| message(line).contains("\"coll\":\"things\"},\"documentKey\""));
    writing.abort();
    put(plugin("errand"), &scene.file);
    scene.wait_for("plugin.swap");
    let writing = keep_inserting(scene.own.collection("errands"), move |n| errand(n + 2));
    scene.host.wait_until("an errand", |line| line["plugin"] == "p" && message(line).contains(" ok "));
    writing.abort();
    let status = scene.host.status();
    let counts = &status["plugins"][0]["counts"];
    assert_eq!(
        (&counts["failed"], &counts["rejected"], &counts["retries"]),
        (&0.into(), &0.into(), &0.into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seek_after_a_swap_reads_what_the_new_version_subscribes_to() {
    let mut scene = Scene::of("errand", &[]).await;
    let start = scene.own.now().await;
    scene.insert(1).await;
    let errand = doc! { "_id": 1, "do": "config", "key": "namespace" };
    scene.own.collection("errands").insert_one(errand).await.unwrap();
    scene.host.wait_for_plugin_log("1 ok ");
    put(plugin("print_ops"), &scene.file);
    scene.wait_for("plugin.swap");
    // The former version did not subscribe to things.
    let (code, out, said) = run(&["seek", &start, "--admin", &scene.host.address()]);
    assert_eq!(code, Some(0), "{out}{said}");
    scene.host.wait_until("the op", |line| {
        message(line).contains("\"coll\":\"things\"},\"documentKey\":{\"_id\":1}")
    });
}

fn keep_inserting(
    into: mongodb::Collection<bson::Document>,
    document: impl Fn(i32) -> bson::Document + Send + 'static,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        for n in 0.. {
            into.insert_one(document(n)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
}

#[test]
fn versions_are_told_apart_by_their_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let file = path_in(&directory, "a.wasm");
    let versions = (0..2).map(|n| {
        std::fs::write(&file, another("print_ops", n)).unwrap();
        let (code, out, said) = run(&["check", "--output", "json", file.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{said}");
        let checked: Value = serde_json::from_str(&out).unwrap();
        checked["version"].as_str().unwrap().to_owned()
    });
    let versions: Vec<_> = versions.collect();
    assert!(versions.iter().all(|version| version.starts_with("0.1.0+")), "{versions:?}");
    assert_ne!(versions[0], versions[1]);
}
