//! Entries as a real mongod writes them, in a capped collection tailed by `--source-oplog`.

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, Document, Timestamp, doc};
use gtm_test_support::Server;

use crate::log;
use crate::support::{Database, Host, create_oplog, error_of, namespace, op_id, plugin};

/// A capped collection that entries are written to, and a host that tails it.
struct Scene {
    own: Database,
    host: Host,
    written: u32,
    _server: Server,
}

impl Scene {
    async fn new() -> Self {
        let server = Server::ready().unwrap();
        let own = Database::new(server.uri()).await;
        // One entry is there before the host comes: it starts after it.
        let first = doc! { "op": "n", "ns": "", "o": {}, "ts": Timestamp { time: 1, increment: 1 } };
        let oplog = create_oplog(&own, [first]).await;
        let host = Host::tailing(&[
            "--plugin",
            &plugin("print_ops"),
            "--uri",
            server.uri(),
            "--source-oplog",
            &oplog,
        ]);
        Self { own, host, written: 0, _server: server }
    }

    /// Writes an entry with the fields that every entry of a current server has.
    async fn write(&mut self, fields: Document) {
        self.written += 1;
        let mut entry = doc! {
            "lsid": { "id": Binary { subtype: BinarySubtype::Uuid, bytes: vec![7; 16] } },
            "txnNumber": 1_i64,
            "ui": Binary { subtype: BinarySubtype::Uuid, bytes: vec![9; 16] },
        };
        entry.extend(fields);
        entry.extend(doc! {
            "ts": Timestamp { time: 1_700_000_000, increment: self.written },
            "t": 1_i64,
            "v": 2_i64,
            "wall": bson::DateTime::from_millis(1_700_000_000_123),
            "stmtId": 0,
            "prevOpTime": { "ts": Timestamp { time: 0, increment: 0 }, "t": -1_i64 },
        });
        self.own.collection("oplog").insert_one(entry).await.unwrap();
    }

    fn namespace(&self) -> String {
        format!("{}.things", self.own.name)
    }
}

#[tokio::test]
async fn entries_of_a_real_server_become_ops() {
    let mut scene = Scene::new().await;
    let (ns, command_ns) = (scene.namespace(), format!("{}.$cmd", scene.own.name));
    scene.own.collection("things").insert_one(doc! { "_id": 1, "looked": "up" }).await.unwrap();

    // 5.3 and later name the key in o2; before that it is the _id, wherever it stands.
    scene
        .write(doc! { "op": "i", "ns": &ns, "o": { "_id": 1, "a": 1 }, "o2": { "shard": "x", "_id": 1 } })
        .await;
    scene.write(doc! { "op": "i", "ns": &ns, "o": { "a": 1, "_id": 2 } }).await;
    scene.write(doc! { "op": "n", "ns": "", "o": { "msg": "periodic noop" } }).await;
    scene.write(doc! { "op": "n", "ns": &ns, "o": { "_id": 1, "image": true } }).await;
    scene
        .write(
            doc! { "op": "u", "ns": &ns, "o": { "$v": 2, "diff": { "u": { "a": 2 } } }, "o2": { "_id": 1 } },
        )
        .await;
    scene
        .write(doc! { "op": "u", "ns": &ns, "o": { "$v": 1, "$set": { "a": 3 } }, "o2": { "_id": 1 } })
        .await;
    scene.write(doc! { "op": "u", "ns": &ns, "o": { "$set": { "a": 3 } }, "o2": { "_id": 3 } }).await;
    scene
        .write(
            doc! { "op": "u", "ns": &ns, "o": { "_id": 1, "diff": "a field", "$v": 9 }, "o2": { "_id": 1 } },
        )
        .await;
    scene.write(doc! { "op": "d", "ns": &ns, "o": { "shard": "x", "_id": 1 }, "b": true }).await;
    scene.write(doc! { "op": "i", "ns": &ns, "o": { "_id": 4 }, "fromMigrate": true }).await;
    scene
        .write(
            doc! { "op": "i", "ns": &ns, "o": { "_id": 5 }, "fromMigrate": false, "unknown": Bson::MaxKey },
        )
        .await;
    scene.write(doc! { "op": "i", "ns": "config.system.sessions", "o": { "_id": 6 } }).await;
    scene
        .write(doc! { "op": "i", "ns": format!("{}.system.views", scene.own.name), "o": { "_id": 6 } })
        .await;
    scene
        .write(doc! { "op": "c", "ns": &command_ns, "o": { "create": "things", "idIndex": { "v": 2 } } })
        .await;
    scene.write(doc! { "op": "c", "ns": &command_ns, "o": { "startIndexBuild": "things" } }).await;
    scene
        .write(doc! { "op": "c", "ns": &command_ns, "o": { "commitIndexBuild": "things", "indexes": [] } })
        .await;
    scene.write(doc! { "op": "c", "ns": &command_ns, "o": { "createIndexes": "things", "v": 2, "key": { "a": 1 } } }).await;
    scene
        .write(doc! { "op": "c", "ns": &command_ns, "o": { "dropIndexes": "things", "index": "a_1" } })
        .await;
    scene.write(doc! { "op": "c", "ns": &command_ns, "o": { "collMod": "things", "validator": {} } }).await;
    scene
        .write(doc! { "op": "c", "ns": &command_ns, "o": { "renameCollection": &ns, "to": "other.things" } })
        .await;
    scene.write(doc! { "op": "c", "ns": &command_ns, "o": { "convertToCapped": "things" } }).await;
    scene.write(doc! { "op": "c", "ns": &command_ns, "o": { "drop": "things" } }).await;
    scene.write(doc! { "op": "c", "ns": &command_ns, "o": { "dropDatabase": 1 } }).await;

    let seen = scene.host.printed(&scene.own.name, 17);
    let brief: Vec<_> = seen
        .iter()
        .map(|op| {
            let part = |name: &str| op.get(name).map(|value| value.to_string()).unwrap_or_default();
            let (kind, ns) = (op["operationType"].as_str().unwrap(), namespace(op));
            let ns = ns.strip_prefix(&scene.own.name).unwrap();
            format!("{kind} {ns} {} {}", part("documentKey"), part("fullDocument")).trim_end().to_owned()
        })
        .collect();
    assert_eq!(
        brief,
        [
            r#"insert .things {"shard":"x","_id":1} {"_id":1,"a":1}"#,
            r#"insert .things {"_id":2} {"a":1,"_id":2}"#,
            r#"update .things {"_id":1} {"_id":1,"looked":"up"}"#,
            r#"update .things {"_id":1} {"_id":1,"looked":"up"}"#,
            r#"update .things {"_id":3}"#,
            r#"replace .things {"_id":1} {"_id":1,"diff":"a field","$v":9}"#,
            r#"delete .things {"shard":"x","_id":1}"#,
            r#"insert .things {"_id":5} {"_id":5}"#,
            "create .things",
            "createIndexes .things",
            "createIndexes .things",
            "dropIndexes .things",
            "modify .things",
            "rename .things",
            "other .things",
            "drop .things",
            "dropDatabase",
        ]
    );
    assert_eq!(op_id(&seen[0]), "1700000000.1.0");
    let last = format!("1700000000.{}.0", scene.written);
    assert_eq!(op_id(&seen[16]), last);
}

#[tokio::test]
async fn what_cannot_be_read_is_said_and_the_rest_goes_on() {
    let mut scene = Scene::new().await;
    let ns = scene.namespace();
    scene.write(doc! { "op": "xi", "ns": &ns, "o": {} }).await;
    scene.host.wait_for("oplog.skip_unknown", &[("kind", "xi")]);
    for entry in [
        doc! { "op": "i", "ns": &ns },
        doc! { "op": "i", "ns": "no dot", "o": {} },
        doc! { "op": "c", "ns": &ns, "o": {} },
    ] {
        scene.write(entry).await;
        let line = scene.host.wait_for("oplog.skip", &[]);
        assert_eq!(line["level"], "ERROR");
    }
    scene.write(doc! { "op": "i", "ns": Bson::Null, "o": {} }).await;
    scene.host.wait_for("oplog.skip", &[]);
    scene.write(doc! { "op": 7, "ns": &ns, "o": {} }).await;
    let line = scene.host.wait_for("oplog.skip", &[]);
    assert!(log::field(&line, "error").contains("it has no op"), "{line}");
    scene.write(doc! { "op": "i", "ns": &ns, "o": { "_id": "last" } }).await;
    assert_eq!(scene.host.printed(&scene.own.name, 1)[0]["documentKey"]["_id"], "last");
    let (code, log) = scene.host.stop();
    assert_eq!(code, Some(0));
    let counts = [("skipped", "1 entry of an unknown kind, 5 malformed entries")];
    assert_eq!(log::count(&log, "source.skip", &counts), 1, "{log:?}");
}

#[tokio::test]
async fn an_oplog_that_is_empty_is_waited_for() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let oplog = create_oplog(&own, []).await;
    let mut host =
        Host::tailing(&["--plugin", &plugin("print_ops"), "--uri", server.uri(), "--source-oplog", &oplog]);
    let ts = Timestamp { time: 1_700_000_000, increment: 1 };
    let entry = doc! { "op": "i", "ns": format!("{}.things", own.name), "o": { "_id": 1 }, "ts": ts };
    own.collection("oplog").insert_one(entry).await.unwrap();
    assert_eq!(host.printed(&own.name, 1)[0]["documentKey"]["_id"], 1);
}

#[tokio::test]
async fn a_collection_that_is_not_capped_ends_the_host() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    own.collection("oplog").insert_one(doc! {}).await.unwrap();
    let oplog = format!("{}.oplog", own.name);
    let said = error_of(&["--plugin", &plugin("print_ops"), "--uri", server.uri(), "--source-oplog", &oplog]);
    assert!(said.contains("non capped collection"), "{said}");
    assert!(
        said.contains("help: pass --source-oplog local.oplog.rs, or another capped collection"),
        "{said}"
    );
}

/// Runs a host over an oplog of the entries 1 to 5, of which the first two have rolled off.
async fn started(start: &str, expected: &[i32]) {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let entries = (3..=5).map(|n| {
        let ts = Timestamp { time: 1_700_000_000, increment: n };
        doc! { "op": "i", "ns": format!("{}.things", own.name), "o": { "_id": n }, "ts": ts }
    });
    let oplog = create_oplog(&own, entries).await;
    let print_ops = plugin("print_ops");
    let arguments =
        ["--plugin", &print_ops, "--uri", server.uri(), "--source-oplog", &oplog, "--start", start];
    if expected.is_empty() {
        let said = error_of(&arguments);
        assert!(said.starts_with("the oplog begins at 1700000000.3, after the start"), "{said}");
        assert!(said.contains("--start oldest"), "{said}");
        return;
    }
    let mut host = Host::tailing(&arguments);
    let seen: Vec<_> =
        host.printed(&own.name, expected.len()).iter().map(|op| op["documentKey"]["_id"].clone()).collect();
    assert_eq!(seen, expected, "{start}");
}

#[tokio::test]
async fn a_host_begins_where_it_is_told_to() {
    started("oldest", &[3, 4, 5]).await;
    started("1700000000.3", &[4, 5]).await;
    started("Timestamp(1700000000, 4)", &[5]).await;
    started("2023-11-14T22:13:19Z", &[]).await;
    started("1700000000.2", &[]).await;
}

#[tokio::test]
async fn a_host_goes_on_where_another_stopped() {
    let server = Server::start(Default::default()).unwrap();
    let own = Database::new(server.uri()).await;
    let print_ops = plugin("print_ops");
    let mut first = Host::tailing(&["--plugin", &print_ops, "--uri", server.uri()]);
    own.collection("things").insert_one(doc! { "_id": 1 }).await.unwrap();
    first.printed(&own.name, 1);
    let (_, log) = first.stop();
    let stopped = log.iter().find(|line| line["event"] == "plugin.stop").unwrap();
    let position = stopped["position"].as_str().unwrap();
    own.collection("things").insert_one(doc! { "_id": 2 }).await.unwrap();
    let mut second = Host::tailing(&["--plugin", &print_ops, "--uri", server.uri(), "--start", position]);
    assert_eq!(second.printed(&own.name, 1)[0]["documentKey"]["_id"], 2);
}
