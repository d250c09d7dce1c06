//! Where plugins begin beside a checkpoint: of another source, of `--restart-from`, or as `gtm-host checkpoints` set it.

use bson::doc;
use bson::oid::ObjectId;
use gtm_test_support::Server;
use mongodb::Client;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::ledger::Writer;
use crate::log;
use crate::support::{Database, Host, create_oplog, eventually, plugin, run};

/// Waits until an insert of each of these documents was printed. Others may come before.
fn wait_for_all(host: &mut Host, own: &Database, ids: std::ops::RangeInclusive<i64>) {
    let mut missing: Vec<i64> = ids.collect();
    while !missing.is_empty() {
        let op = host.printed(&own.name, 1).remove(0);
        missing.retain(|id| op["documentKey"]["_id"].as_i64() != Some(*id));
    }
}

/// A run under one source, a change while no host runs, and a run under the other.
async fn goes_from_to(first: &str, second: &str) {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let (name, wanted) = (ObjectId::new().to_hex(), format!("namespace={}.things", own.name));
    let (print_ops, late) = (plugin("print_ops"), format!("late={}", plugin("trivial")));
    let start = |source| {
        let server = ["--uri", server.uri(), "--name", &name, "--source-kind", source, "--set", &wanted];
        Host::tailing(&[&server[..], &["--plugin", &print_ops, "--plugin", &late]].concat())
    };
    let mut host = start(first);
    own.collection("things").insert_one(doc! { "_id": 1_i64 }).await.unwrap();
    wait_for_all(&mut host, &own, 1..=1);
    assert_eq!(host.stop().0, Some(0));
    own.collection("things").insert_many([doc! { "_id": 2_i64 }, doc! { "_id": 3_i64 }]).await.unwrap();

    let mut host = start(second);
    wait_for_all(&mut host, &own, 2..=3);
    own.collection("things").insert_one(doc! { "_id": 4_i64 }).await.unwrap();
    wait_for_all(&mut host, &own, 4..=4);
    let line = host.logged().iter().find(|line| line["event"] == "checkpoint.convert");
    assert!(line.is_some_and(|line| line["plugin"] == "print_ops" || line["plugin"] == "late"), "{line:?}");
    assert_eq!(host.stop().0, Some(0));
}

#[tokio::test]
async fn a_checkpoint_of_a_change_stream_starts_the_oplog() {
    goes_from_to("change-stream", "oplog").await;
}

#[tokio::test]
async fn a_checkpoint_of_an_oplog_starts_a_change_stream() {
    goes_from_to("oplog", "change-stream").await;
}

/// A change after the first sign of life, while nobody runs.
async fn begins_where_it_began(source: &str) {
    let server = Server::start(Default::default()).unwrap();
    let own = Database::new(server.uri()).await;
    let (name, wanted) = (ObjectId::new().to_hex(), format!("namespace={}.things", own.name));
    let print_ops = plugin("print_ops");
    let start = || {
        let server = ["--uri", server.uri(), "--name", &name, "--source-kind", source, "--set", &wanted];
        Host::tailing(&[&server[..], &["--plugin", &print_ops]].concat())
    };
    let mut host = start();
    host.signal(Signal::SIGKILL);
    assert_eq!(host.ended().0, None);
    own.collection("things").insert_one(doc! { "_id": 1_i64 }).await.unwrap();
    let mut host = start();
    wait_for_all(&mut host, &own, 1..=1);
    assert_eq!(host.stop().0, Some(0));
}

#[tokio::test]
async fn who_is_killed_before_it_read_anything_goes_on_where_it_began() {
    begins_where_it_began("oplog").await;
}

#[tokio::test]
async fn who_is_killed_before_its_change_stream_said_anything_goes_on_where_it_began() {
    begins_where_it_began("change-stream").await;
}

/// A store that cannot keep where a plugin begins: it does not begin.
async fn begins_once_that_is_kept(source: &str) {
    let server = Server::start(Default::default()).unwrap();
    let store = Client::with_uri_str(server.uri()).await.unwrap().database("gtm");
    let refusing = doc! { "create": "checkpoints", "validator": { "never": true } };
    store.run_command(refusing).await.unwrap();
    let print_ops = plugin("print_ops");
    let mut host = Host::start(&["--uri", server.uri(), "--source-kind", source, "--plugin", &print_ops]);
    host.wait_for("checkpoint.store_failed", &[]);
    assert_eq!(host.count("source.tail", &[]), 0, "{:?}", host.logged());
    store.run_command(doc! { "collMod": "checkpoints", "validator": {} }).await.unwrap();
    host.wait_for("source.tail", &[]);
    assert_eq!(host.stop().0, Some(0));
}

#[tokio::test]
async fn none_begins_before_it_is_kept_where() {
    begins_once_that_is_kept("oplog").await;
}

#[tokio::test]
async fn no_change_stream_begins_before_it_is_kept_where() {
    begins_once_that_is_kept("change-stream").await;
}

/// Until something was read, nothing says how far that is.
#[tokio::test]
async fn who_begins_at_the_oldest_entry_is_nowhere_until_it_has_read_one() {
    let mut scene = Scene::new().await;
    let store = format!("file:{}", scene.directory.path().display());
    let (uri, oplog, trivial) =
        (scene.server.uri().to_owned(), scene.writer.oplog.clone(), plugin("trivial"));
    let place = ["--store", &store, "--name", "starts"];
    let from = ["--plugin", &trivial, "--uri", &uri, "--source-oplog", &oplog, "--start", "oldest"];
    let start = || Host::tailing(&[&place[..], &from, &["--admin", "127.0.0.1:0"]].concat());
    let host = start();
    // It has found that there is nothing.
    eventually("it has read to the end", async || host.status()["plugins"][0]["lagSeconds"] == 0.0).await;
    let status = host.status()["plugins"][0].clone();
    for field in ["position", "positionSeconds", "checkpoint"] {
        assert_eq!(status[field], Value::Null, "{field}: {status}");
    }
    assert_eq!(host.stop().0, Some(0));
    let (code, out, said) = run(&[&["checkpoints", "list", "--output", "json"][..], &place].concat());
    assert!(code.is_some() && !out.contains("\"position\""), "{out}{said}");

    scene.writer.write(3).await;
    let host = start();
    host.wait_for_position(".3").await;
    // Who was sent there is at no time, either.
    let admin = ["--admin", &host.address()];
    assert_eq!(run(&[&["pause"][..], &admin].concat()).0, Some(0));
    assert_eq!(run(&[&["seek", "oldest"][..], &admin].concat()).0, Some(0));
    let status = host.status()["plugins"][0].clone();
    assert_eq!(status["positionSeconds"], Value::Null, "{status}");
    assert_eq!(
        (&status["position"], &status["checkpoint"]),
        (&json!("oldest"), &json!("oldest")),
        "{status}"
    );
    assert!(status["lagSeconds"].as_f64().is_none_or(|lag| lag < 1e9), "{status}");
    assert_eq!(run(&[&["resume"][..], &admin].concat()).0, Some(0));
    let all_again = async || host.status()["plugins"][0]["counts"]["handled"] == 6;
    eventually("all were handled again", all_again).await;
    assert_eq!(host.stop().0, Some(0));
}

#[tokio::test]
async fn entries_that_were_skipped_before_a_seek_stay_counted() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let entries = [("zz", 1), ("i", 2)].map(|(kind, increment)| {
        let ts = bson::Timestamp { time: 1_700_000_000, increment };
        doc! { "op": kind, "ns": "a.b", "o": { "_id": 1 }, "ts": ts }
    });
    let oplog = create_oplog(&own, entries).await;
    let print_ops = plugin("print_ops");
    let from = ["--plugin", &print_ops, "--uri", server.uri(), "--source-oplog", &oplog, "--start", "oldest"];
    let host = Host::tailing(&[&from[..], &["--admin", "127.0.0.1:0"]].concat());
    let handled = async |count: u64| {
        let is_so = async || host.status()["plugins"][0]["counts"]["handled"] == count;
        eventually("all ops are handled", is_so).await;
    };
    handled(1).await;
    // The shared reader has skipped the entry once. After a seek, the plugin reads by itself.
    for count in [2, 3] {
        assert_eq!(run(&["seek", "oldest", "--admin", &host.address()]).0, Some(0));
        handled(count).await;
    }
    let (code, log) = host.stop();
    assert_eq!(code, Some(0));
    let skipped = [("plugin", "print_ops"), ("skipped", "2 entries of unknown kinds")];
    assert_eq!(log::count(&log, "source.skip", &skipped), 1, "{log:?}");
}

/// A pipeline over an oplog that is written here, with a store in a directory.
struct Scene {
    writer: Writer,
    server: Server,
    directory: TempDir,
}

impl Scene {
    async fn new() -> Self {
        let server = Server::ready().unwrap();
        Self { writer: Writer::new(server.uri()).await, server, directory: tempfile::tempdir().unwrap() }
    }

    /// Runs two plugins until all that is written is done. Gives back how much each handled, and the log.
    async fn handled(&self, more: &[&str]) -> ([u64; 2], Vec<Value>) {
        let (first, second) =
            (format!("first={}", plugin("trivial")), format!("second={}", plugin("trivial")));
        let store = format!("file:{}", self.directory.path().display());
        let from = ["--uri", self.server.uri(), "--source-oplog", &self.writer.oplog, "--store", &store];
        let what = ["--name", "starts", "--admin", "127.0.0.1:0", "--plugin", &first, "--plugin", &second];
        let host = Host::tailing(&[&from[..], &what, more].concat());
        host.wait_for_position(&self.writer.increment.to_string()).await;
        let status = host.status();
        let counts = [0, 1].map(|n| {
            let counts = &status["plugins"][n]["counts"];
            counts["handled"].as_u64().unwrap() + counts["unwanted"].as_u64().unwrap()
        });
        let logged = host.logged().to_vec();
        assert_eq!(host.stop().0, Some(0));
        (counts, logged)
    }

    fn checkpoints(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let store = format!("file:{}", self.directory.path().display());
        let place = ["--name", "starts", "--store", &store, "--uri", self.server.uri()];
        run(&[&["checkpoints"], arguments, &place, &["--source-oplog", &self.writer.oplog]].concat())
    }
}

/// Returns whether a plugin resumed from its checkpoint although it was to start elsewhere, with this field.
fn resumed(log: &[Value], plugin: &str, field: (&str, &str)) -> bool {
    log::count(log, "checkpoint.resume", &[("plugin", plugin), field]) == 1
}

#[tokio::test]
async fn a_restart_goes_before_a_checkpoint_once_and_a_start_does_not() {
    let mut scene = Scene::new().await;
    scene.writer.write(10).await;
    assert_eq!(scene.handled(&["--start", "oldest"]).await.0, [10, 10]);

    let (counts, log) = scene.handled(&["--start", "oldest"]).await;
    assert_eq!(counts, [0, 0], "they resume");
    assert!(resumed(&log, "first", ("start", "oldest")), "{log:?}");
    let help = "to begin there, pass --restart-from second=oldest";
    assert!(resumed(&log, "second", ("help", help)), "{log:?}");
    let (_, log) = scene.handled(&[]).await;
    assert_eq!(log::count(&log, "checkpoint.resume", &[]), 0, "nothing was said: {log:?}");

    let again = ["--restart-from", "second=oldest"];
    let (counts, log) = scene.handled(&again).await;
    assert_eq!(counts, [0, 10], "one of them restarts");
    assert_eq!(log::count(&log, "plugin.restart", &[("plugin", "second")]), 1, "{log:?}");
    let (counts, log) = scene.handled(&again).await;
    assert_eq!(counts, [0, 0], "once");
    assert!(resumed(&log, "second", ("restart_from", "oldest")), "{log:?}");
    // In a settings file, too, and for a plugin that has another restart than the one of before.
    let settings = scene.directory.path().join("gtm.toml");
    let path = plugin("trivial");
    let text = format!("[plugins.first]\npath = {path:?}\nrestart_from = \"1700000000.4\"\n");
    std::fs::write(&settings, text).unwrap();
    let counts = scene.handled(&["--config", settings.to_str().unwrap()]).await.0;
    assert_eq!(counts, [6, 0]);
}

#[tokio::test]
async fn a_running_host_restarts_a_plugin_whose_settings_say_so() {
    let mut scene = Scene::new().await;
    scene.writer.write(10).await;
    let (settings, trivial) = (scene.directory.path().join("gtm.toml"), plugin("trivial"));
    let write = |more: &str| {
        std::fs::write(&settings, format!("[plugins.first]\npath = {trivial:?}\n{more}")).unwrap();
    };
    write("");
    let store = format!("file:{}", scene.directory.path().display());
    let from = ["--uri", scene.server.uri(), "--source-oplog", &scene.writer.oplog, "--start", "oldest"];
    let what = ["--store", &store, "--admin", "127.0.0.1:0", "--config", settings.to_str().unwrap()];
    let mut host = Host::start(&[&from[..], &what].concat());
    host.wait_for("source.tail", &[]);
    host.wait_for_position("10").await;
    write("restart_from = \"1700000000.4\"\n");
    host.signal(nix::sys::signal::Signal::SIGHUP);
    host.wait_for("plugin.restart", &[]);
    host.wait_for("source.tail", &[]);
    host.wait_for_position("10").await;
    let counts = &host.status()["plugins"][0]["counts"];
    assert_eq!(counts["handled"].as_u64().unwrap() + counts["unwanted"].as_u64().unwrap(), 6, "{counts}");
    assert_eq!(host.stop().0, Some(0));
}

#[tokio::test]
async fn checkpoints_are_listed_set_and_reset() {
    let mut scene = Scene::new().await;
    let (code, _, error) = scene.checkpoints(&["list"]);
    assert!(code == Some(1) && error.contains("there is no store in "), "no host has run yet: {error}");
    scene.writer.write(10).await;
    scene.handled(&["--start", "oldest"]).await;

    let (code, out, _) = scene.checkpoints(&["list"]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((code, lines.len()), (Some(0), 3), "{out}");
    assert_eq!(lines[1].find("2023-11-14T22:13:20Z"), lines[0].find("TIME"), "{out}");
    assert!(lines[1].starts_with("first ") && lines[1].ends_with("oplog"), "{out}");
    let (_, out, _) = scene.checkpoints(&["show", "--plugin", "first", "--output", "json"]);
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(shown["plugin"], "first");
    assert!(shown["position"].as_str().unwrap().starts_with("1700000000.10"), "{shown}");
    let (_, out, _) = scene.checkpoints(&["show", "--plugin", "first"]);
    assert!(out.contains("deployment") && out.contains("the replica set"), "{out}");
    let (code, _, error) = scene.checkpoints(&["show"]);
    assert!(code == Some(1) && error.contains("pass --plugin NAME"), "{error}");

    let (code, _, error) = scene.checkpoints(&["set", "oldest"]);
    assert!(code == Some(2) && error.contains("there are first, second"), "{error}");
    let (code, out, error) = scene.checkpoints(&["set", "1700000000.7", "--plugin", "first"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(out.contains("first") && out.contains("resumes after 1700000000.7"), "{out}");
    assert!(!log::has(&error, "checkpoint.set_before_oplog", &[]), "{error}");
    assert_eq!(scene.handled(&[]).await.0, [3, 0]);
    let (code, out, _) = scene.checkpoints(&["set", "oldest", "--all"]);
    assert_eq!(
        (code, out.contains("resumes after oldest"), out.contains("0.0")),
        (Some(0), true, false),
        "{out}"
    );
    let (_, out, _) = scene.checkpoints(&["list"]);
    assert!(out.contains("oldest") && !out.contains("0.0") && !out.contains("1970"), "{out}");
    let (_, out, _) = scene.checkpoints(&["show", "--plugin", "first", "--output", "json"]);
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&shown["position"], &shown["time"]), (&json!("oldest"), &Value::Null), "{shown}");
    // Nothing has come to the one place, and what came after the other is gone.
    for ahead in ["2106-01-01T00:00:00Z", "4294967295.1", "4294967295.1.0"] {
        let (code, out, error) = scene.checkpoints(&["set", ahead, "--plugin", "first"]);
        assert!(code == Some(1) && out.is_empty(), "{out}");
        assert!(error.contains(" is in the future. help: pass now, or a time that has passed"), "{error}");
    }
    let (code, _, error) = scene.checkpoints(&["set", "1600000000", "--plugin", "first"]);
    let lost = [
        ("oldest", "1700000000.1 (2023-11-14T22:13:20Z)"),
        ("position", "1600000000.0 (2020-09-13T12:26:40Z)"),
    ];
    assert!(code == Some(0) && log::has(&error, "checkpoint.set_before_oplog", &lost), "{error}");
    assert_eq!(scene.checkpoints(&["set", "oldest", "--all"]).0, Some(0));
    assert_eq!(scene.handled(&[]).await.0, [10, 10]);
    // One that has none yet.
    let set = ["set", "now", "--plugin", "third", "--output", "json"];
    let (code, _, error) = scene.checkpoints(&set);
    let there = "the store has no plugin third in the pipeline starts; it has: first, second";
    assert!(code == Some(1) && error.contains(there), "{error}");
    let (code, _, error) = scene.checkpoints(&["set", "now", "--plugin", "first", "--worker", "Tom"]);
    assert!(code == Some(1) && error.contains("pass --new"), "{error}");
    let (code, out, error) = scene.checkpoints(&[&set[..], &["--new"]].concat());
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["position"], "1700000000.10");

    for command in [&["list"][..], &["show"], &["reset"]] {
        let (code, _, error) = scene.checkpoints(&[command, &["--plugin", "nosuch"]].concat());
        assert!(code == Some(1) && error.contains("it has: first, second, third"), "{error}");
        let store = format!("file:{}", scene.directory.path().display());
        let elsewhere = ["--plugin", "first", "--name", "nosuch", "--store", &store];
        let (code, _, error) = run(&[&["checkpoints"], command, &elsewhere].concat());
        assert!(code == Some(1) && error.contains("has no pipeline nosuch; it has: starts"), "{error}");
    }
    let (code, out, _) = scene.checkpoints(&["reset", "--plugin", "second", "--output", "json"]);
    assert_eq!((code, out.as_str()), (Some(0), "{\"reset\":1}\n"));
    assert_eq!(scene.handled(&["--start", "1700000000.2"]).await.0, [0, 8], "it begins as a new one");
    let (code, _, error) = scene.checkpoints(&["list", "--store", "none"]);
    assert!(code != Some(0), "{error}");
}

#[tokio::test]
async fn a_checkpoint_is_not_changed_beside_a_host_that_works() {
    let mut scene = Scene::new().await;
    let (trivial, name) = (plugin("trivial"), ObjectId::new().to_hex());
    let place = ["--uri", scene.server.uri(), "--name", &name, "--lease-ttl", "2s"];
    let from = ["--source-oplog", &scene.writer.oplog, "--start", "oldest", "--plugin", &trivial];
    let host = Host::tailing(&[&place[..], &from, &["--admin", "127.0.0.1:0"]].concat());
    scene.writer.write(5).await;
    let is_stored =
        async || host.status()["plugins"][0]["checkpoint"].as_str().is_some_and(|at| at.contains(".5"));
    eventually("the checkpoint is stored", is_stored).await;
    let change = |arguments: &[&str]| run(&[&["checkpoints"], arguments, &place].concat());
    let done = [("outcome", "done"), ("via", "command")];
    for arguments in [&["set", "1700000000.1", "--plugin", "trivial"][..], &["reset", "--all"]] {
        let (code, _, error) = change(arguments);
        assert!(code == Some(1) && error.contains("a host works on the pipeline"), "{error}");
        assert!(error.contains("--force"), "{error}");
    }
    host.signal(nix::sys::signal::Signal::SIGKILL);
    drop(host);
    // The lease was not given up, but its process is known to have ended, so that nobody is waited for.
    let (code, out, error) = change(&["set", "1700000000.1", "--plugin", "trivial"]);
    assert!(code == Some(0) && out.contains("resumes after 1700000000.1"), "{error}");
    assert!(!log::has(&error, "lease.wait", &[]), "{error}");
    assert!(log::has(&error, "audit.set_checkpoint", &done), "{error}");
    // On another machine nothing is known of it, and it is waited for; not before the name is looked at.
    let leases = scene.writer.own.client.database("gtm").collection::<bson::Document>("leases");
    let elsewhere = doc! { "$set": { "process.place": "elsewhere" } };
    leases.update_one(doc! { "_id.pipeline": &name }, elsewhere).await.unwrap();
    let (code, _, error) = change(&["set", "1700000000.1", "--plugin", "nosuch"]);
    assert!(code == Some(1) && error.contains("has no plugin nosuch"), "{error}");
    assert!(!log::has(&error, "lease.wait", &[]), "{error}");
    let (code, _, error) = change(&["set", "1700000000.1", "--plugin", "trivial"]);
    assert!(code == Some(0) && log::has(&error, "lease.wait", &[]), "{error}");
    let (code, out, error) = change(&["reset", "--all", "--force"]);
    assert!(code == Some(0) && out.contains("1 checkpoint removed: its plugin begins"), "{error}");
    assert!(log::has(&error, "audit.reset_checkpoint", &done), "{error}");
}
