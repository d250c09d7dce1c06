//! A stop is clean: what is in flight is finished, and what is not is said.

use bson::{Document, Timestamp, doc};
use gtm_test_support::Server;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{Database, Host, Scene, plugin};

/// Returns the event that says what became of all ops.
fn summary(log: &[Value]) -> &Value {
    log.iter().find(|line| line["event"] == "plugin.stop").unwrap()
}

#[tokio::test]
async fn an_idle_host_stops_at_once() {
    let server = Server::ready().unwrap();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let arguments = ["--plugin", &plugin("print_ops"), "--uri", server.uri(), "--shutdown-grace", "1h"];
        let mut host = Host::tailing(&arguments);
        host.signal(signal);
        assert_eq!(host.ended().0, Some(0));
    }
}

#[tokio::test]
async fn what_was_read_is_handled_before_the_end() {
    let server = Server::start(Default::default()).unwrap();
    let own = Database::new(server.uri()).await;
    let mut host = Host::tailing(&["--plugin", &plugin("print_ops"), "--uri", server.uri()]);
    own.collection("things").insert_many((0..5000).map(|n| doc! { "_id": n })).await.unwrap();
    host.printed(&own.name, 1);
    let (code, log) = host.stop();
    assert_eq!(code, Some(0));

    let summary = summary(&log);
    let count = log.iter().filter(|line| line["target"] == "plugin").count() + 1;
    assert_eq!((&summary["read"], &summary["handled"]), (&count.into(), &count.into()), "{summary}");
    assert_eq!((&summary["unwanted"], &summary["unfinished"]), (&0.into(), &0.into()), "{summary}");
    // The next start reads what comes after the position, so all inserts up to it must have been handled. Lanes print in any order.
    let (time, increment) = summary["position"].as_str().unwrap().split_once('.').unwrap();
    let position = Timestamp { time: time.parse().unwrap(), increment: increment.parse().unwrap() };
    let up_to_position = doc! { "op": "i", "ns": format!("{}.things", own.name), "ts": { "$lte": position } };
    let oplog = own.client.database("local").collection::<Document>("oplog.rs");
    let before = oplog.count_documents(up_to_position).await.unwrap();
    assert_eq!(before, u64::try_from(count).unwrap(), "{summary}");
}

#[tokio::test]
async fn what_cannot_be_finished_is_counted() {
    let mut scene =
        Scene::misbehaving("handle=sleep", &["--shutdown-grace", "300ms", "--log", "debug"]).await;
    scene.things().insert_one(doc! {}).await.unwrap();
    scene.host.wait_for("op.attempt", &[]);
    let (code, log) = scene.host.stop();
    assert_eq!(code, Some(0));
    assert_eq!(summary(&log)["unfinished"], 1, "{log:?}");
}

#[tokio::test]
async fn an_op_that_is_waiting_to_be_tried_again_does_not_hold_up_the_stop() {
    let mut scene =
        Scene::misbehaving("handle=retry", &["--retry-initial-delay", "1h", "--shutdown-grace", "1h"]).await;
    scene.things().insert_one(doc! {}).await.unwrap();
    scene.host.wait_for("op.retry", &[("attempt", "1")]);
    let (code, log) = scene.host.stop();
    assert_eq!(code, Some(0));
    assert_eq!(summary(&log)["unfinished"], 1, "{log:?}");
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let mut scene = Scene::misbehaving(
        "handle=sleep",
        &["--shutdown-grace", "1h", "--limits-handle-timeout", "1h", "--log", "debug"],
    )
    .await;
    scene.things().insert_one(doc! {}).await.unwrap();
    scene.host.wait_for("op.attempt", &[]);
    scene.host.signal(Signal::SIGINT);
    scene.host.wait_for("host.stop", &[]);
    std::thread::sleep(std::time::Duration::from_secs(4));
    scene.host.signal(Signal::SIGINT);
    assert_eq!(scene.host.ended().0, Some(130));
}

/// As `timeout` sends them: one to the program, and one to its group.
#[tokio::test]
async fn signals_that_come_together_are_one_stop() {
    let mut scene = Scene::misbehaving(
        "handle=sleep",
        &["--shutdown-grace", "2s", "--limits-handle-timeout", "1h", "--log", "debug"],
    )
    .await;
    scene.things().insert_one(doc! {}).await.unwrap();
    scene.host.wait_for("op.attempt", &[]);
    for signal in [Signal::SIGTERM, Signal::SIGTERM, Signal::SIGINT, Signal::SIGTERM] {
        scene.host.signal(signal);
    }
    let (code, log) = scene.host.ended();
    assert_eq!(code, Some(0), "{log:?}");
    assert_eq!(summary(&log)["unfinished"], 1, "{log:?}");
}
