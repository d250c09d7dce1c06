//! What stops one plugin stops that plugin.

use bson::oid::ObjectId;
use bson::{Timestamp, doc};
use gtm_test_support::Server;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::admin::get;
use crate::log;
use crate::support::{Database, Host, create_oplog, eventually, message, plugin, run};
use crate::swapping::put;

fn entry(n: u32) -> bson::Document {
    let ts = Timestamp { time: 1_700_000_000, increment: n };
    doc! { "op": "i", "ns": "a.b", "o": { "_id": n }, "ts": ts }
}

fn is_op(line: &Value, plugin: &str, n: u32) -> bool {
    line["plugin"] == plugin
        && line["target"] == "plugin"
        && message(line).contains(&format!("\"documentKey\":{{\"_id\":{n}}}"))
}

/// Of the plugin `a`; there is `b` beside it.
fn state(host: &Host) -> (Value, String) {
    let a = host.status()["plugins"][0].clone();
    assert_eq!(a["plugin"], "a");
    (a["state"].clone(), a["lastError"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_whose_history_is_lost_stops_and_the_other_runs_on() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let oplog = create_oplog(&own, [entry(1)]).await;
    let print_ops = plugin("print_ops");
    let (a, b) = (format!("a={print_ops}"), format!("b={print_ops}"));
    let from =
        ["--uri", server.uri(), "--source-oplog", &oplog, "--start", "oldest", "--admin", "127.0.0.1:0"];
    let mut host = Host::start(&[&["--plugin", &a, "--plugin", &b][..], &from].concat());
    let both = |host: &mut Host, n: u32| {
        for name in ["a", "b"] {
            if !host.logged().iter().any(|line| is_op(line, name, n)) {
                host.wait_until("the op", |line| is_op(line, name, n));
            }
        }
    };
    both(&mut host, 1);
    own.collection("oplog").insert_one(entry(2)).await.unwrap();
    both(&mut host, 2);
    let address = host.address();
    assert_eq!(run(&["pause", "--plugin", "a", "--admin", &address]).0, Some(0));
    own.collection("oplog").insert_one(entry(3)).await.unwrap();
    host.wait_until("the op", |line| is_op(line, "b", 3));
    // What a has not read is gone, and where b stands is there.
    own.collection("oplog").drop().await.unwrap();
    create_oplog(&own, [entry(3), entry(4)]).await;
    host.wait_until("the op", |line| is_op(line, "b", 4));
    assert_eq!(run(&["resume", "--plugin", "a", "--admin", &address]).0, Some(0));
    host.wait_for("plugin.fail", &[("plugin", "a")]);
    let (state, error) = state(&host);
    assert_eq!(state, "stopped");
    assert!(error.contains("history is lost"), "{error}");
    own.collection("oplog").insert_one(entry(5)).await.unwrap();
    host.wait_until("the op", |line| is_op(line, "b", 5));
    // Steering says so, and reaches the other.
    let (code, _, said) = run(&["pause", "--plugin", "a", "--admin", &address]);
    assert_eq!(code, Some(1));
    assert!(said.contains("the plugin a has stopped: "), "{said}");
    let (code, out, said) = run(&["pause", "--admin", &address]);
    assert_eq!(code, Some(0), "{said}");
    assert!(out.contains('b') && !out.contains("a,"), "{out}");
    assert_eq!(run(&["resume", "--admin", &address]).0, Some(0));
    // It is tried again when it is asked for, and nothing has changed.
    host.signal(Signal::SIGHUP);
    host.wait_for("plugin.fail", &[("plugin", "a")]);
    own.collection("oplog").insert_one(entry(6)).await.unwrap();
    host.wait_until("the op", |line| is_op(line, "b", 6));
    // Whoever stops it is told that not all of it ran.
    let (code, log) = host.stop();
    assert_eq!(code, Some(1));
    assert_eq!(log::count(&log, "host.stop_without_plugins", &[("plugins", "a")]), 1, "{log:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_begin_leaves_the_others_and_begins_when_it_can() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let oplog = create_oplog(&own, [entry(1)]).await;
    let (directory, pipeline) = (tempfile::tempdir().unwrap(), ObjectId::new().to_hex());
    let path = |name: &str| directory.path().join(name);
    put(plugin("print_ops"), &path("a.wasm"));
    put(plugin("print_ops"), &path("b.wasm"));
    std::fs::write(path("c.wasm"), "no plugin").unwrap();
    let dir = directory.path().to_str().unwrap();
    let from = ["--uri", server.uri(), "--source-oplog", &oplog, "--start", "oldest", "--name", &pipeline];
    let arguments = [&["--plugin-dir", dir, "--admin", "127.0.0.1:0"][..], &from].concat();
    let mut host = Host::start(&arguments);
    host.wait_for("plugin.load_failed", &[("plugin", "c")]);
    host.wait_until("the op", |line| is_op(line, "b", 1));
    // The one that was not loaded is shown with its error.
    let address = host.address();
    let c = host.status()["plugins"][2].clone();
    assert_eq!((&c["plugin"], &c["state"], &c["version"]), (&"c".into(), &"stopped".into(), &"".into()));
    assert!(c["lastError"].as_str().unwrap().contains("is not WebAssembly"), "{c}");
    let (_, shown, _) = run(&["status", "--admin", &address]);
    let mut row = shown.lines().find(|line| line.starts_with("c ")).unwrap().split_whitespace();
    assert_eq!(row.nth(1), Some("stopped"), "{shown}");
    assert!(shown.contains("c, last error, ") && shown.contains("is not WebAssembly"), "{shown}");
    let (_, metrics) = get(&address, "/metrics");
    assert!(metrics.contains("gtm_host_plugin_state{plugin=\"c\",state=\"stopped\"} 1\n"), "{metrics}");
    let (code, _, said) = run(&["pause", "--plugin", "c", "--admin", &address]);
    assert_eq!(code, Some(1));
    assert!(said.contains("the plugin c has stopped: "), "{said}");
    // It is shown after a reload, too, with the error of now, and no longer when it runs.
    std::fs::write(path("c.wasm"), "").unwrap();
    host.wait_for("plugin.add_failed", &[("plugin", "c")]);
    eventually("the error of now", async || {
        let error = host.status()["plugins"][2]["lastError"].clone();
        error.as_str().is_some_and(|error| error.contains("is an empty file"))
    })
    .await;
    put(plugin("print_ops"), &path("c.wasm"));
    host.wait_until("c begins", |line| is_op(line, "c", 1));
    assert_eq!(host.status()["plugins"].as_array().unwrap().len(), 3);
    assert_eq!(host.status()["plugins"][2]["state"], "running");
    host.wait_for_position(".1").await;
    assert_eq!(host.stop().0, Some(0));

    // A checkpoint of another deployment.
    let checkpoints = own.client.database("gtm").collection::<bson::Document>("checkpoints");
    let of_a = doc! { "_id.pipeline": &pipeline, "_id.plugin": "a" };
    let before = checkpoints.find_one(of_a.clone()).await.unwrap().unwrap();
    let set = async |deployment: &str| {
        let set = doc! { "$set": { "deployment": deployment } };
        assert_eq!(checkpoints.update_one(of_a.clone(), set).await.unwrap().matched_count, 1);
    };
    set("another").await;
    let mut host = Host::start(&arguments);
    host.wait_for("plugin.start_failed", &[("plugin", "a")]);
    own.collection("oplog").insert_one(entry(2)).await.unwrap();
    host.wait_until("the op", |line| is_op(line, "b", 2));
    let (state, error) = state(&host);
    assert_eq!(state, "stopped");
    assert!(error.contains("of another deployment"), "{error}");
    set(before.get_str("deployment").unwrap()).await;
    host.signal(Signal::SIGHUP);
    host.wait_until("the op", |line| is_op(line, "a", 2));
    assert_eq!(host.stop().0, Some(0));
}
