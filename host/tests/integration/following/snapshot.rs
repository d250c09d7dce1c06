//! `--snapshot`: what is there first, then what changed since.

use std::collections::BTreeMap;

use bson::doc;
use gtm_test_support::Server;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::log;
use crate::support::{Database, Host, plugin};

async fn fill(own: &Database, ids: std::ops::Range<i32>) {
    own.collection("things").insert_many(ids.map(|n| doc! { "_id": n })).await.unwrap();
}

/// What comes by until the document `last`, by its id: how often.
fn until(host: &mut Host, own: &Database, last: i64) -> BTreeMap<i64, u32> {
    let mut seen = BTreeMap::new();
    while !seen.contains_key(&last) {
        let id = host.printed(&own.name, 1)[0]["documentKey"]["_id"].as_i64().unwrap();
        *seen.entry(id).or_default() += 1;
    }
    seen
}

async fn documents_then_changes(source: &str) {
    let server = Server::start(Default::default()).unwrap();
    let own = Database::new(server.uri()).await;
    fill(&own, 0..500).await;
    let state = tempfile::tempdir().unwrap();
    let print_ops = plugin("print_ops");
    let arguments =
        ["--plugin", &print_ops, "--uri", server.uri(), "--snapshot", "--source-kind", source, "--store"];
    let store = format!("file:{}", state.path().display());
    let arguments = [&arguments[..], &[&store, "--name", "again"]].concat();
    let mut host = Host::tailing(&arguments);
    fill(&own, 500..510).await;
    let mut seen = until(&mut host, &own, 509);
    for id in 0..510 {
        // What was written meanwhile is in both.
        assert!(matches!(seen.remove(&id), Some(1 | 2)), "{id}");
    }
    assert!(seen.is_empty());
    host.signal(Signal::SIGTERM);
    let (code, log) = host.ended();
    assert_eq!(code, Some(0), "{log:?}");

    // It is not taken again, and nothing that changed since is missed.
    fill(&own, 600..601).await;
    let mut again = Host::start(&arguments);
    let mut seen = until(&mut again, &own, 600);
    assert_eq!(seen.remove(&600), Some(1));
    // What was written while the snapshot was taken may have been in it, and then comes by the stream for the first time.
    seen.retain(|id, times| !((500..510).contains(id) && *times == 1));
    assert!(seen.is_empty(), "what was done before is not done again: {seen:?}");
}

#[tokio::test]
async fn documents_then_the_oplog() {
    documents_then_changes("oplog").await;
}

#[tokio::test]
async fn documents_then_a_change_stream() {
    documents_then_changes("change-stream").await;
}

#[tokio::test]
async fn a_host_that_is_killed_resumes_its_snapshot() {
    let server = Server::start(Default::default()).unwrap();
    let own = Database::new(server.uri()).await;
    fill(&own, 0..3000).await;
    let state = tempfile::tempdir().unwrap();
    let (print_ops, trivial) = (plugin("print_ops"), plugin("trivial"));
    let settings = state.path().join("gtm.toml");
    // By plugin: the other one gets none.
    let text = format!(
        "[plugins.print_ops]\npath = \"{print_ops}\"\nsnapshot = true\n[plugins.trivial]\npath = \"{trivial}\"\n"
    );
    std::fs::write(&settings, text).unwrap();
    let arguments = ["--config", settings.to_str().unwrap(), "--uri", server.uri(), "--name", "going-on"];
    let mut seen: BTreeMap<i64, u32> = BTreeMap::new();
    let mut host = Host::start(&arguments);
    let mut note = |ops: Vec<Value>| {
        for op in ops {
            *seen.entry(op["documentKey"]["_id"].as_i64().unwrap()).or_default() += 1;
        }
    };
    note(host.printed(&own.name, 700));
    host.signal(Signal::SIGKILL);
    host.ended();
    let mut host = Host::start(&arguments);
    host.wait_for("snapshot.resume", &[]);
    fill(&own, 3000..3001).await;
    loop {
        let ops = host.printed(&own.name, 1);
        let last = ops[0]["documentKey"]["_id"] == 3000;
        note(ops);
        if last {
            break;
        }
    }
    host.signal(Signal::SIGTERM);
    let (_, log) = host.ended();
    assert_eq!(seen.len(), 3001, "none is missing");
    let stopped = |line: &&Value| log::is_event(line, "plugin.stop", &[("plugin", "trivial")]);
    let trivial = log.iter().find(stopped).unwrap();
    assert_ne!(trivial["handled"], 3000, "{trivial}");
}
