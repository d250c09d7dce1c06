//! A plugin in trouble troubles nobody else.

use bson::doc;
use xtask::testbed::Server;

use crate::support::{Database, Host, message, plugin};

#[tokio::test]
async fn one_that_never_returns_lets_the_others_go_on() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let (stuck, print_ops) = (plugin("misbehave"), plugin("print_ops"));
    let namespace = format!("misbehave:namespace={}.things", own.name);
    let arguments = [
        "--plugin",
        &stuck,
        "--plugin",
        &print_ops,
        "--uri",
        server.uri(),
        "--handle-timeout",
        "1h",
        "--set",
        &namespace,
        "--set",
        "misbehave:handle=sleep",
        "--shutdown-grace",
        "100ms",
    ];
    let mut host = Host::tailing(&arguments);
    const OPS: i32 = 30_000;
    for some in (0..OPS).collect::<Vec<_>>().chunks(5000) {
        own.collection("things").insert_many(some.iter().map(|n| doc! { "_id": n })).await.unwrap();
    }
    let seen: Vec<_> = host
        .printed(&own.name, usize::try_from(OPS).unwrap())
        .iter()
        .map(|op| op["documentKey"]["_id"].as_i64().unwrap())
        .collect();
    assert_eq!(seen, (0..i64::from(OPS)).collect::<Vec<_>>());
    let (code, log) = host.stop();
    assert_eq!(code, Some(0));
    let stopped = |plugin: &str, part: &str| {
        log.iter().any(|line| line["plugin"] == plugin && message(line).contains(part))
    };
    assert!(stopped("misbehave", " 0 handled"), "{log:?}");
    assert!(stopped("print_ops", " 0 left unfinished"), "{log:?}");
}

#[tokio::test]
async fn one_that_fails_on_everything_is_paused_and_said_once() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let misbehave = plugin("misbehave");
    let namespace = format!("namespace={}.things", own.name);
    let arguments = [
        "--plugin",
        &misbehave,
        "--uri",
        server.uri(),
        "--set",
        &namespace,
        "--set",
        "handle=retry",
        "--lanes",
        "8",
        "--ordering",
        "none",
        "--retry-delay",
        "10ms",
        "--max-attempts",
        "1000",
    ];
    let mut host = Host::tailing(&arguments);
    own.collection("things").insert_many((0..100).map(|n| doc! { "_id": n })).await.unwrap();
    host.wait_for("it is paused");
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let (code, log) = host.stop();
    assert_eq!(code, Some(0));
    assert!(!log.iter().any(|line| message(line).contains("it is paused")), "once: {log:?}");
    assert!(log.iter().any(|line| message(line).contains(" 0 failed")), "none is given up: {log:?}");
}
