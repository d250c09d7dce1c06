//! A stop is clean: what is in flight is finished, and what is not is said.

use bson::doc;
use nix::sys::signal::Signal;
use xtask::testbed::Server;

use crate::support::{Database, Host, message, plugin};

#[tokio::test]
async fn an_idle_host_stops_at_once() {
    let server = Server::ready().unwrap();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut host = Host::tailing(&["--plugin", &plugin("print_ops"), "--uri", server.uri()]);
        host.signal(signal);
        assert_eq!(host.ended().0, Some(0));
    }
}

#[tokio::test]
async fn what_was_read_is_handled_before_the_end() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let mut host = Host::tailing(&["--plugin", &plugin("print_ops"), "--uri", server.uri()]);
    own.collection("things").insert_many((0..2000).map(|n| doc! { "_id": n })).await.unwrap();
    host.printed(&own.name, 1);
    let (code, log) = host.stop();
    assert_eq!(code, Some(0));
    assert!(log.iter().any(|line| message(line).contains(" 0 left unfinished")), "{log:?}");
}

#[tokio::test]
async fn what_cannot_be_finished_is_counted() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let namespace = format!("namespace={}.things", own.name);
    let arguments = [
        "--plugin",
        &plugin("misbehave"),
        "--uri",
        server.uri(),
        "--set",
        &namespace,
        "--set",
        "handle=sleep",
    ];
    let mut host =
        Host::tailing(&[&arguments[..], &["--shutdown-grace", "300ms", "--log", "debug"]].concat());
    own.collection("things").insert_one(doc! {}).await.unwrap();
    host.wait_for("handing over");
    let (code, log) = host.stop();
    assert_eq!(code, Some(0));
    assert!(log.iter().any(|line| message(line).contains(" 1 left unfinished")), "{log:?}");
}

#[tokio::test]
async fn an_op_that_is_waiting_to_be_tried_again_does_not_hold_up_the_stop() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let namespace = format!("namespace={}.things", own.name);
    let arguments = [
        "--plugin",
        &plugin("misbehave"),
        "--uri",
        server.uri(),
        "--set",
        &namespace,
        "--set",
        "handle=retry",
    ];
    let mut host =
        Host::tailing(&[&arguments[..], &["--retry-delay", "1h", "--shutdown-grace", "50s"]].concat());
    own.collection("things").insert_one(doc! {}).await.unwrap();
    host.wait_for("attempt 1 failed, trying again");
    let started = std::time::Instant::now();
    let (code, log) = host.stop();
    assert!(started.elapsed().as_secs() < 20);
    assert_eq!(code, Some(0));
    assert!(log.iter().any(|line| message(line).contains(" 1 left unfinished")), "{log:?}");
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let namespace = format!("namespace={}.things", own.name);
    let arguments = [
        "--plugin",
        &plugin("misbehave"),
        "--uri",
        server.uri(),
        "--set",
        &namespace,
        "--set",
        "handle=sleep",
    ];
    let mut host = Host::tailing(&[&arguments[..], &["--log", "debug"]].concat());
    own.collection("things").insert_one(doc! {}).await.unwrap();
    host.wait_for("handing over");
    host.signal(Signal::SIGINT);
    host.wait_for("a second signal stops at once");
    host.signal(Signal::SIGINT);
    assert_eq!(host.ended().0, Some(130));
}
