//! History that is lost, and what may be done then.

use std::time::Duration;

use bson::{Document, Timestamp, doc};
use gtm_test_support::Server;
use mongodb::Collection;
use nix::sys::signal::Signal;

use crate::log;
use crate::support::{Database, Host, create_oplog, plugin};

fn entry(own: &Database, n: u32) -> Document {
    let ts = Timestamp { time: 1_700_000_000, increment: n };
    doc! { "op": "i", "ns": format!("{}.things", own.name), "o": { "_id": n }, "ts": ts }
}

/// A host that has read the entries 1 and 2, after which the oplog is cut to 7: what it reads then, up to the
/// first of those that are written from then on, which counts as 8.
async fn cut(policy: &str, from: &str) -> Vec<i64> {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    own.collection("things").insert_one(doc! { "_id": 5 }).await.unwrap();
    let oplog = create_oplog(&own, [entry(&own, 1)]).await;
    let (print_ops, wanted) = (plugin("print_ops"), format!("namespaces={}.things", own.name));
    let arguments =
        ["--plugin", &print_ops, "--uri", server.uri(), "--source-oplog", &oplog, "--set", &wanted];
    let policy = ["--source-on-history-lost", policy];
    let mut host = Host::tailing(&[&arguments[..], &policy].concat());
    own.collection("oplog").insert_one(entry(&own, 2)).await.unwrap();
    host.printed(&own.name, 1);
    own.collection("oplog").drop().await.unwrap();
    create_oplog(&own, [entry(&own, 7)]).await;
    // The reader does not know its plugin: the span around it does.
    let line = host.wait_for("source.restart", &[("from", from), ("plugin", "print_ops")]);
    assert!(log::field(&line, "error").contains("history is lost"), "{line}");

    let name = own.name.clone();
    let reading = move || {
        let mut ids = Vec::new();
        while ids.last().is_none_or(|id| *id < 8) {
            ids.push(host.printed(&name, 1)[0]["documentKey"]["_id"].as_i64().unwrap().min(8));
        }
        host.signal(Signal::SIGTERM);
        assert_eq!(host.ended().0, Some(0));
        ids
    };
    while_written(own.collection("oplog"), (8..).map(|n| entry(&own, n)), reading).await
}

/// Does something while documents are written, one after another: who begins "now" gives no sign of when that is.
async fn while_written<T: Send + 'static>(
    collection: Collection<Document>,
    documents: impl Iterator<Item = Document>,
    something: impl FnOnce() -> T + Send + 'static,
) -> T {
    let writing = async {
        for document in documents {
            collection.insert_one(document).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = writing => unreachable!("they have no end"),
        done = tokio::task::spawn_blocking(something) => done.unwrap(),
    }
}

#[tokio::test]
async fn from_the_oldest_change() {
    assert_eq!(cut("restart-from-oldest", "oldest").await, [7, 8]);
}

#[tokio::test]
async fn from_now() {
    assert_eq!(cut("restart-from-now", "now").await, [8]);
}

#[tokio::test]
async fn with_a_snapshot() {
    assert_eq!(cut("snapshot", "snapshot").await, [5, 8]);
}

#[tokio::test]
async fn a_change_stream_restarts_from_now() {
    let server = Server::start(Default::default()).unwrap();
    let own = Database::new(server.uri()).await;
    let stream = ["tail", "--uri", server.uri(), "--source-kind", "change-stream"];
    let mut tail = Host::start(&[&stream[..], &["--source-on-history-lost", "restart-from-now"]].concat());
    tail.wait_for("source.tail", &[]);
    own.collection("things").insert_one(doc! { "_id": 1 }).await.unwrap();
    assert_eq!(tail.op()["documentKey"]["_id"], 1);
    let data = doc! { "failCommands": ["getMore"], "errorCode": 286 };
    let fail = doc! { "configureFailPoint": "failCommand", "mode": { "times": 1 }, "data": data };
    own.client.database("admin").run_command(fail).await.unwrap();
    let line = tail.wait_for("source.restart", &[("from", "now")]);
    assert!(log::field(&line, "error").contains("history is lost"), "{line}");
    let later = (2..).map(|n| doc! { "_id": n });
    let id =
        while_written(own.collection("things"), later, move || tail.op()["documentKey"]["_id"].clone()).await;
    assert!(id.as_i64().unwrap() >= 2, "{id}");
}
