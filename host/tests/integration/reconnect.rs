//! A server that goes away, stumbles or loses its history.

use bson::{Timestamp, doc};
use gtm_test_support::Server;
use serde_json::Value;

use crate::log;
use crate::support::{Database, Host, create_oplog, plugin};

#[tokio::test]
async fn a_server_that_is_killed_and_restarted_is_followed_from_where_it_was() {
    let mut server = Server::start(Default::default()).unwrap();
    let own = Database::new(server.uri()).await;
    let mut host = Host::tailing(&["--plugin", &plugin("print_ops"), "--uri", server.uri()]);
    let mut ids = Vec::new();
    for round in 0..3 {
        own.collection("things").insert_many((0..5).map(|n| doc! { "_id": round * 5 + n })).await.unwrap();
        ids.extend(host.printed(&own.name, 5).iter().map(|op| op["documentKey"]["_id"].as_i64().unwrap()));
        server.kill().unwrap();
        let line = host.wait_for("source.read_failed", &[]);
        assert_eq!(line["level"], "WARN");
        server.restart().unwrap();
        host.wait_for("source.recover", &[]);
    }
    assert_eq!(ids, (0..15).collect::<Vec<_>>(), "none missing, none twice");
}

#[tokio::test]
async fn a_temporary_error_of_the_server_is_retried() {
    let server = Server::start(Default::default()).unwrap();
    let own = Database::new(server.uri()).await;
    let mut host = Host::tailing(&["--plugin", &plugin("print_ops"), "--uri", server.uri()]);
    // CursorNotFound, CappedPositionLost, InterruptedAtShutdown, NotWritablePrimary
    for (n, code) in [43, 136, 11600, 10107].into_iter().enumerate() {
        own.client
            .database("admin")
            .run_command(doc! {
                "configureFailPoint": "failCommand",
                "mode": { "times": 1 },
                "data": { "failCommands": ["getMore"], "errorCode": code },
            })
            .await
            .unwrap();
        let line = host.wait_for("source.read_failed", &[]);
        assert!(log::field(&line, "error").contains(&code.to_string()), "{line}");
        let n = i32::try_from(n).unwrap();
        own.collection("things").insert_one(doc! { "_id": n }).await.unwrap();
        assert_eq!(host.printed(&own.name, 1)[0]["documentKey"]["_id"], n);
    }
}

#[tokio::test]
async fn documents_that_cannot_be_looked_up_now_are_looked_up_later() {
    let server = Server::start(Default::default()).unwrap();
    let own = Database::new(server.uri()).await;
    let mut host = Host::tailing(&["--plugin", &plugin("print_ops"), "--uri", server.uri()]);
    own.collection("things").insert_one(doc! { "_id": 1 }).await.unwrap();
    // From here on the host's cursor on the oplog is open, and a find is one for documents.
    host.printed(&own.name, 1);
    // ReadConcernMajorityNotAvailableYet.
    fail_finds(&own, Some(134)).await;
    own.collection("things").update_one(doc! { "_id": 1 }, doc! { "$set": { "a": 1 } }).await.unwrap();
    host.wait_for("lookup.read_failed", &[]);
    fail_finds(&own, None).await;
    assert_eq!(host.printed(&own.name, 1)[0]["fullDocument"].to_string(), r#"{"_id":1,"a":1}"#);
}

#[tokio::test]
async fn without_the_right_to_read_a_collection_updates_come_without_their_documents() {
    let server = Server::start(Default::default()).unwrap();
    let own = Database::new(server.uri()).await;
    let mut host = Host::tailing(&["--plugin", &plugin("print_ops"), "--uri", server.uri()]);
    own.collection("things").insert_one(doc! { "_id": 1 }).await.unwrap();
    host.printed(&own.name, 1);
    fail_finds(&own, Some(13)).await;
    own.collection("things").update_one(doc! { "_id": 1 }, doc! { "$set": { "a": 1 } }).await.unwrap();
    let namespace = format!("{}.things", own.name);
    host.wait_for("lookup.skip", &[("namespace", &namespace)]);
    assert_eq!(host.printed(&own.name, 1)[0].get("fullDocument"), None::<&Value>);
}

/// From now on, each find fails with this code, or none does.
async fn fail_finds(own: &Database, code: Option<i32>) {
    let mode = if code.is_some() { "alwaysOn" } else { "off" };
    let data = doc! { "failCommands": ["find"], "errorCode": code.unwrap_or_default() };
    let command = doc! { "configureFailPoint": "failCommand", "mode": mode, "data": data };
    own.client.database("admin").run_command(command).await.unwrap();
}

/// An oplog of one's own, which can be cut short, and a host that has read its entries 1 to 3.
async fn oplog_of_three(server: &Server) -> (Database, Host) {
    let own = Database::new(server.uri()).await;
    let oplog = create(&own, &[]).await;
    let mut host =
        Host::tailing(&["--plugin", &plugin("print_ops"), "--uri", server.uri(), "--source-oplog", &oplog]);
    own.collection("oplog").insert_many([1, 2, 3].map(|n| entry(&own, n))).await.unwrap();
    host.printed(&own.name, 3);
    (own, host)
}

async fn create(own: &Database, entries: &[u32]) -> String {
    create_oplog(own, entries.iter().map(|n| entry(own, *n))).await
}

fn entry(own: &Database, n: u32) -> bson::Document {
    let ts = Timestamp { time: 1_700_000_000, increment: n };
    doc! { "op": "i", "ns": format!("{}.things", own.name), "o": { "_id": n }, "ts": ts }
}

async fn replace(own: &Database, entries: &[u32]) {
    own.collection("oplog").drop().await.unwrap();
    create(own, entries).await;
}

/// What the host says when its oplog is replaced by one of these entries.
async fn replaced_by(entries: &[u32]) -> String {
    let server = Server::ready().unwrap();
    let (own, mut host) = oplog_of_three(&server).await;
    replace(&own, entries).await;
    let (code, log) = host.ended();
    assert_eq!(code, Some(1));
    crate::log::error(log.last().expect("a last word"))
}

#[tokio::test]
async fn lost_history_ends_the_host_with_what_is_lost() {
    let said = replaced_by(&[7, 8]).await;
    assert!(said.contains("history is lost: the last change that was read is at 1700000000.3"), "{said}");
    assert!(said.contains("now begins at 1700000000.7"), "{said}");
}

#[tokio::test]
async fn history_lost_before_anything_was_read_ends_the_host_too() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let oplog = create(&own, &[3]).await;
    let mut host =
        Host::tailing(&["--plugin", &plugin("print_ops"), "--uri", server.uri(), "--source-oplog", &oplog]);
    replace(&own, &[7]).await;
    let (code, log) = host.ended();
    assert_eq!(code, Some(1));
    assert!(crate::log::error(log.last().unwrap()).starts_with("history is lost"), "{log:?}");
}

#[tokio::test]
async fn another_history_ends_the_host() {
    let said = replaced_by(&[1, 2, 4]).await;
    assert!(said.contains("the oplog has another history: the change at 1700000000.3"), "{said}");
}

#[tokio::test]
async fn the_same_history_goes_on() {
    let server = Server::ready().unwrap();
    let (own, mut host) = oplog_of_three(&server).await;
    replace(&own, &[1, 2, 3, 4]).await;
    assert_eq!(host.printed(&own.name, 1)[0]["documentKey"]["_id"], 4);
}
