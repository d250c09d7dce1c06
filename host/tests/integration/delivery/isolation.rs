//! A plugin in trouble troubles nobody else.

use bson::doc;
use gtm_test_support::Server;
use serde_json::Value;

use crate::log;
use crate::support::{Database, Host, create_oplog, eventually, plugin, run};

/// A server for tests that write many ops: the test server reads its whole oplog whenever a host starts.
fn own_server() -> Server {
    Server::start(Default::default()).unwrap()
}

#[tokio::test]
async fn one_that_never_returns_lets_the_others_go_on() {
    let server = own_server();
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
        "--limits-handle-timeout",
        "1h",
        "--set",
        &namespace,
        "--set",
        "misbehave:handle=sleep",
        "--shutdown-grace",
        "100ms",
        "--limits-log-lines",
        "1000000",
        "--limits-log-bytes",
        "1GiB",
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
    let stopped =
        |plugin: &str, count: &str| log::count(&log, "plugin.stop", &[("plugin", plugin), (count, "0")]);
    assert_eq!(stopped("misbehave", "handled"), 1, "{log:?}");
    assert_eq!(stopped("print_ops", "unfinished"), 1, "{log:?}");
}

#[tokio::test]
async fn one_that_was_paused_continues_beside_one_that_never_returns() {
    let server = own_server();
    let own = Database::new(server.uri()).await;
    let (stuck, print_ops) = (plugin("misbehave"), plugin("print_ops"));
    let namespace = format!("misbehave:namespace={}.things", own.name);
    let wanted = format!("print_ops:namespaces={}.things", own.name);
    let plugins = ["--plugin", &stuck, "--plugin", &print_ops, "--set", &namespace, "--set", &wanted];
    let more =
        ["--set", "misbehave:handle=sleep", "--limits-handle-timeout", "1h", "--shutdown-grace", "100ms"];
    let place = ["--uri", server.uri(), "--admin", "127.0.0.1:0", "--limits-log-lines", "1000000"];
    let mut host = Host::tailing(&[&plugins[..], &more, &place].concat());
    let address = host.address();
    let steer =
        |command: &str| assert_eq!(run(&[command, "-p", "print_ops", "--admin", &address]).0, Some(0));
    steer("pause");
    // Alone, the other one fills what may be read ahead for it, and the shared reader waits for it.
    const OPS: i32 = 20_000;
    for some in (0..OPS).collect::<Vec<_>>().chunks(2000) {
        own.collection("things").insert_many(some.iter().map(|n| doc! { "_id": n })).await.unwrap();
    }
    steer("resume");
    host.printed(&own.name, usize::try_from(OPS).unwrap());
    own.collection("things").insert_one(doc! { "_id": OPS }).await.unwrap();
    assert_eq!(host.printed(&own.name, 1)[0]["documentKey"]["_id"], OPS);
    eventually("both have a reader", async || {
        let status = host.status();
        (0..2).all(|n| ["own", "shared"].contains(&status["plugins"][n]["reader"].as_str().unwrap()))
    })
    .await;
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
        "--delivery-lanes",
        "8",
        "--delivery-ordering",
        "none",
        "--retry-initial-delay",
        "10ms",
        "--retry-max-attempts",
        "1000",
    ];
    let mut host = Host::tailing(&arguments);
    own.collection("things").insert_many((0..100).map(|n| doc! { "_id": n })).await.unwrap();
    host.wait_for("breaker.open", &[]);
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let (code, log) = host.stop();
    assert_eq!(code, Some(0));
    assert_eq!(log::count(&log, "breaker.open", &[]), 0, "once: {log:?}");
    assert_eq!(log::count(&log, "plugin.stop", &[("failed", "0")]), 1, "none is given up: {log:?}");
}

#[tokio::test]
async fn one_that_is_slow_reads_by_itself_until_it_has_caught_up() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let oplog = create_oplog(&own, []).await;
    let directory = tempfile::tempdir().unwrap();
    let (slow, print_ops) = (plugin("misbehave"), plugin("print_ops"));
    let settings = format!(
        "[delivery]\nmax_ops = 20\nordering = \"oplog\"\n\
         [plugins.slow]\npath = {slow:?}\nconfig.handle = \"nap\"\n[plugins.print_ops]\npath = {print_ops:?}\n"
    );
    let config = directory.path().join("gtm.toml");
    std::fs::write(&config, settings).unwrap();
    let arguments = [
        "--config",
        config.to_str().unwrap(),
        "--uri",
        server.uri(),
        "--source-oplog",
        &oplog,
        "--admin",
        "127.0.0.1:0",
        "--log",
        "info,gtm_host=debug",
    ];
    let mut host = Host::start(&arguments);
    host.wait_for("source.tail", &[]);
    host.wait_for("source.tail", &[]);
    const OPS: u32 = 800;
    // In parts, each of which the other plugin handles before the next: it takes that one less time than the 2 s of the slow one.
    for part in (1..=OPS).collect::<Vec<_>>().chunks(100) {
        let entries = part.iter().map(|&increment| {
            let ts = bson::Timestamp { time: 1_700_000_000, increment };
            doc! { "op": "i", "ns": "a.b", "o": { "_id": increment }, "ts": ts }
        });
        own.collection("oplog").insert_many(entries).await.unwrap();
        let last = u64::from(*part.last().unwrap());
        eventually("the other has handled the part", async || {
            let status = host.status();
            let plugins = status["plugins"].as_array().unwrap();
            plugins
                .iter()
                .any(|one| one["plugin"] == "print_ops" && one["counts"]["handled"].as_u64() == Some(last))
        })
        .await;
    }
    host.wait_for("reader.leave", &[("plugin", "slow")]);
    host.wait_for("reader.join", &[("plugin", "slow")]);
    host.wait_for_position(&OPS.to_string()).await;
    host.signal(nix::sys::signal::Signal::SIGTERM);
    let (code, log) = host.all();
    assert_eq!(code, Some(0));
    // Where in the log each op of a plugin is.
    let handled = |plugin: &str| -> Vec<(usize, String)> {
        let is_op = |line: &Value| line["plugin"] == plugin && line["target"] == "plugin";
        let lines = log.iter().enumerate().filter(|(_, line)| is_op(line));
        lines.map(|(at, line)| (at, line["op"].as_str().unwrap().to_owned())).collect()
    };
    let expected: Vec<_> = (1..=OPS).map(|n| format!("1700000000.{n}.0")).collect();
    for plugin in ["print_ops", "slow"] {
        let ids: Vec<_> = handled(plugin).into_iter().map(|(_, id)| id).collect();
        assert_eq!(ids, expected, "{plugin}: each once, in order");
    }
    let last = |plugin: &str| handled(plugin).last().map(|(at, _)| *at);
    assert!(last("print_ops") < last("slow"), "the other did not wait");
}
