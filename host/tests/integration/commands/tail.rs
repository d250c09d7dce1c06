//! `gtm-host tail`.

use bson::{Timestamp, doc};
use gtm_test_support::Server;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{self, Database, Host, create_oplog, error_of, message, plugin, usage_error_of};

#[tokio::test]
async fn it_prints_what_a_plugin_gets() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let namespace = format!("{}.things", own.name);
    let mut tail =
        Host::start(&["tail", "--uri", server.uri(), "--namespace", &namespace, "--output", "json"]);
    tail.wait_for("source.tail", &[]);
    let mut host = Host::tailing(&["--plugin", &plugin("print_ops"), "--uri", server.uri()]);
    own.collection("others").insert_one(doc! { "_id": 0 }).await.unwrap();
    own.collection("things")
        .insert_one(doc! { "_id": 1, "at": bson::DateTime::from_millis(1) })
        .await
        .unwrap();
    own.collection("things").update_one(doc! { "_id": 1 }, doc! { "$set": { "a": [1] } }).await.unwrap();

    let in_things = |op: &Value| support::namespace(op) == namespace;
    let by_plugin: Vec<_> = host.printed(&own.name, 3).into_iter().filter(in_things).collect();
    for by_plugin in by_plugin {
        let op = tail.op();
        assert_eq!(op, by_plugin);
        assert_eq!(op["origin"], "oplog");
        assert!(op["wallTime"]["$date"].is_string());
        let time = &op["clusterTime"]["$timestamp"];
        assert_eq!(support::op_id(&op), format!("{}.{}.0", time["t"], time["i"]));
    }
    tail.signal(Signal::SIGINT);
    let (code, log) = tail.ended();
    assert_eq!(code, Some(0));
    let summary = log.iter().find(|line| line["emitted"].is_object()).expect("a summary");
    assert_eq!(summary["emitted"], json!({ "insert": 1, "update": 1 }));
    let position = summary["position"].as_str().unwrap();
    assert!(position.split('.').all(|part| part.parse::<u32>().is_ok()), "as it is typed: {position}");
}

#[tokio::test]
async fn operations_and_regular_expressions_choose() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let pattern = format!("/^{}[.](a|b)$/", own.name);
    let arguments = ["tail", "--uri", server.uri(), "--canonical", "-n", &pattern, "-O", "insert,drop"];
    let mut tail = Host::start(&arguments);
    tail.wait_for("source.tail", &[]);
    for collection in ["c", "a", "b"] {
        own.collection(collection).insert_one(doc! { "_id": 1 }).await.unwrap();
        own.collection(collection).delete_one(doc! { "_id": 1 }).await.unwrap();
        own.collection(collection).drop().await.unwrap();
    }
    let said: Vec<_> = (0..4).map(|_| tail.op()).collect();
    let brief = |op: &Value| {
        let operation = op["operationType"].as_str().unwrap();
        format!("{operation} {}", support::namespace(op)).replace(&own.name, "")
    };
    assert_eq!(said.iter().map(brief).collect::<Vec<_>>(), ["insert .a", "drop .a", "insert .b", "drop .b"]);
    assert_eq!(said[0]["fullDocument"], json!({ "_id": { "$numberInt": "1" } }));
    let arguments = ["tail", "--uri", server.uri(), "-n", "shop"];
    assert!(
        usage_error_of(&arguments).contains("\"shop\" is not a namespace. help: write DATABASE.COLLECTION")
    );
}

/// A file with inserts of these documents, a second apart.
fn dump(directory: &std::path::Path, documents: &[(&str, bson::Document)]) -> String {
    let entry = |(n, (ns, document)): (u32, &(&str, bson::Document))| {
        let ts = Timestamp { time: 1_790_000_000 + n, increment: 1 };
        bson::serialize_to_vec(&doc! { "op": "i", "ns": *ns, "o": document, "ts": ts }).unwrap()
    };
    let bytes: Vec<u8> = (0..).zip(documents).flat_map(entry).collect();
    let path = directory.join("oplog.bson");
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn dates_of_any_year_are_printed_exactly() {
    let directory = tempfile::tempdir().unwrap();
    let date = bson::DateTime::from_millis;
    let document = doc! {
        "_id": 1, "expires": date(253_402_300_800_000), "never": date(8_640_000_000_000_000), "born": date(-1),
        "last": date(253_402_300_799_999), "at": date(1_790_000_000_100),
    };
    let file = dump(directory.path(), &[("shop.coupons", document)]);
    let expected = json!({
        "_id": 1, "expires": { "$date": { "$numberLong": "253402300800000" } },
        "never": { "$date": { "$numberLong": "8640000000000000" } }, "born": { "$date": { "$numberLong": "-1" } },
        "last": { "$date": "9999-12-31T23:59:59.999Z" }, "at": { "$date": "2026-09-21T14:13:20.100Z" },
    });
    let mut tail = Host::start(&["tail", &file]);
    let line = tail.line().unwrap();
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["fullDocument"], expected);
    assert_eq!(tail.ended().0, Some(0));

    // The same from gtm-host try, which takes what tail prints.
    let ops = directory.path().join("ops.jsonl");
    std::fs::write(&ops, format!("{line}\n")).unwrap();
    let (trivial, ops) = (plugin("trivial"), ops.to_str().unwrap().to_owned());
    let tried = Host::start(&["try", &trivial, "--op", &ops, "--output", "json"]).op();
    assert_eq!(tried["op"]["fullDocument"], expected, "{tried}");
}

#[test]
fn a_database_that_is_called_as_the_hosts_own_can_be_had() {
    let directory = tempfile::tempdir().unwrap();
    let file =
        dump(directory.path(), &[("gtm.orders", doc! { "_id": 1 }), ("host.leases", doc! { "_id": 2 })]);
    let ns = |arguments: &[&str], environment: &[(&str, &str)]| {
        let mut tail = Host::start_in(&[&["tail", &file], arguments].concat(), environment);
        let printed: Vec<_> = std::iter::from_fn(|| tail.line()).collect();
        assert_eq!(tail.ended().0, Some(0));
        let op = |line: &String| support::namespace(&serde_json::from_str(line).unwrap());
        printed.iter().map(op).collect::<Vec<_>>()
    };
    assert_eq!(ns(&[], &[]), ["host.leases"]);
    assert_eq!(ns(&["--store-database", "host"], &[]), ["gtm.orders"]);
    assert_eq!(ns(&["-n", "gtm.*"], &[("GTM_STORE_DATABASE", "host")]), ["gtm.orders"]);
    let config = directory.path().join("gtm.toml");
    std::fs::write(&config, "[store]\ndatabase = \"host\"\n").unwrap();
    assert_eq!(ns(&["--config", config.to_str().unwrap()], &[]), ["gtm.orders"]);
    let said = usage_error_of(&["tail", &file, "-n", "gtm.*"]);
    assert!(said.contains("give the host another one with --store-database NAME"), "{said}");
}

#[tokio::test]
async fn a_rename_is_seen_under_both_names() {
    // The test server tells of it a stream of the database, but not one of the collection alone.
    for (source, pattern) in [("oplog", "wanted"), ("change-stream", "want*")] {
        let server = Server::start(Default::default()).unwrap();
        let own = Database::new(server.uri()).await;
        let [temporary, wanted] = ["temporary", "wanted"].map(|name| format!("{}.{name}", own.name));
        let pattern = format!("{}.{pattern}", own.name);
        let mut tail = Host::start(&["tail", "--uri", server.uri(), "--source-kind", source, "-n", &pattern]);
        tail.wait_for("source.tail", &[]);
        own.collection("temporary").insert_one(doc! { "_id": 1 }).await.unwrap();
        let rename = doc! { "renameCollection": &temporary, "to": &wanted };
        own.client.database("admin").run_command(rename).await.unwrap();
        let op = tail.op();
        assert_eq!(
            (&op["operationType"], support::namespace(&op)),
            (&json!("rename"), temporary),
            "{source}"
        );
        assert_eq!(op["command"]["to"], wanted.as_str(), "{source}");
    }
}

#[tokio::test]
async fn an_op_is_a_start() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let inserts =
        [1, 2, 3].map(|n| doc! { "op": "i", "ns": format!("{}.things", own.name), "o": { "_id": n } });
    let ts = Timestamp { time: 1_700_000_000, increment: 1 };
    let entries = [
        doc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": inserts.to_vec() }, "ts": ts },
        doc! { "op": "i", "ns": format!("{}.things", own.name), "o": { "_id": 4 }, "ts": Timestamp { increment: 2, ..ts } },
        doc! { "op": "i", "ns": format!("{}.things", own.name), "o": { "_id": 5 }, "ts": Timestamp { increment: 5, ..ts } },
    ];
    let oplog = create_oplog(&own, entries).await;
    // A resume token of mongod, of the time of the second entry.
    let token = "826553F100000000022B042C0100296E";
    for (start, expected) in [
        ("oldest", &[1, 2, 3, 4, 5][..]),
        ("1700000000.1.0", &[2, 3, 4, 5]),
        ("1700000000.1.2", &[4, 5]),
        ("1700000000.4", &[5]),
        (token, &[4, 5]),
    ] {
        let tail = Host::start(&["tail", "--uri", server.uri(), "--source-oplog", &oplog, "--start", start]);
        let ids: Vec<_> = expected.iter().map(|_| tail.op()["documentKey"]["_id"].clone()).collect();
        assert_eq!(ids, expected, "{start}");
    }
    // An op that was printed was read before, so it must be there.
    let said =
        error_of(&["tail", "--uri", server.uri(), "--source-oplog", &oplog, "--start", "1700000000.4.0"]);
    assert!(said.contains("another history: the change at 1700000000.4, which was read before"), "{said}");
    let said = error_of(&["tail", "--uri", server.uri(), "--source-oplog", &oplog, "--start", "2033-01-01"]);
    assert!(said.contains("is in the future: the newest entry of the oplog is at 1700000000.5"), "{said}");
    // One of another server.
    let token = "4f000000107300010000007400";
    let said = error_of(&["tail", "--uri", server.uri(), "--source-oplog", &oplog, "--start", token]);
    assert!(
        said.contains("it contains no time. help: read a change stream with --source-kind change-stream"),
        "{said}"
    );
    let stream = ["tail", "--uri", server.uri(), "--source-kind", "change-stream", "--start", "oldest"];
    assert!(error_of(&stream).contains("a change stream cannot start with its oldest change"));
    let policy = [
        "tail",
        "--uri",
        server.uri(),
        "--source-kind",
        "change-stream",
        "--source-on-history-lost",
        "restart-from-oldest",
    ];
    assert!(error_of(&policy).contains("a change stream cannot start with its oldest change"));
}

#[test]
fn nobody_need_read_it_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let dump = directory.path().join("many.jsonl");
    let lines: String = (0..100_000).map(|n| format!("{{\"_id\": {n}}}\n")).collect();
    std::fs::write(&dump, lines).unwrap();
    let script = format!(
        "{} tail {} --collection a.b 2>/dev/null | head -n 1; exit ${{PIPESTATUS[0]}}",
        env!("CARGO_BIN_EXE_gtm-host"),
        dump.display()
    );
    let ended = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    let line: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!((support::namespace(&line).as_str(), &line["origin"]), ("a.b", &json!("replay")));
}

#[tokio::test]
async fn an_idle_stream_moves_on_while_others_write() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let entry = |n: u32| {
        let ts = Timestamp { time: 1_700_000_000, increment: n };
        doc! { "op": "i", "ns": "some.others", "o": { "_id": n }, "ts": ts }
    };
    let oplog = create_oplog(&own, [entry(1)]).await;
    let arguments = ["tail", "--uri", server.uri(), "--source-oplog", &oplog, "-n", "what.is_wanted"];
    let mut tail = Host::start(&[&arguments[..], &["--log", "debug", "--output", "json"]].concat());
    tail.wait_for("source.tail", &[]);
    own.collection("oplog").insert_one(entry(2)).await.unwrap();
    tail.wait_for("source.idle", &[("position", "1700000000.2")]);
    // What it moved on past may now roll off.
    own.collection("oplog").insert_one(entry(3)).await.unwrap();
    tail.wait_for("source.idle", &[("position", "1700000000.3")]);
    own.collection("oplog").drop().await.unwrap();
    create_oplog(&own, [entry(3), entry(4)]).await;
    tail.wait_for("source.recover", &[("position", "1700000000.3")]);
    let (code, log) = tail.stop();
    assert_eq!(code, Some(0), "no history is lost: {:?}", log.iter().map(message).collect::<Vec<_>>());
}
