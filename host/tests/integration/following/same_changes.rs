//! The same changes, read from a change stream and from an oplog in the form of a real server, are the same ops.

use std::collections::HashMap;

use bson::spec::BinarySubtype;
use bson::{Binary, Document, Timestamp, doc};
use gtm_test_support::Server;
use serde_json::{Value, json};

use crate::support::{Database, Host, create_oplog};

/// Changes of every kind. Gives back how MongoDB writes them into its oplog.
async fn change(own: &Database) -> Vec<Document> {
    let database = own.client.database(&own.name);
    let things = own.collection("things");
    let (ns, command) = (format!("{}.things", own.name), format!("{}.$cmd", own.name));
    let key = |id: &str| doc! { "_id": id };
    let update = |id: &str, diff: Document| doc! { "op": "u", "ns": &ns, "o": { "$v": 2, "diff": diff }, "o2": key(id) };
    let insert = |document: Document| {
        let key = doc! { "_id": document.get("_id").unwrap() };
        doc! { "op": "i", "ns": &ns, "o": document, "o2": key }
    };

    database.create_collection("things").await.unwrap();
    let id_index = doc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" };
    let mut entries =
        vec![doc! { "op": "c", "ns": &command, "o": { "create": "things", "idIndex": id_index } }];
    let first = doc! { "_id": "a", "n": 1, "deep": { "er": { "x": 1 } }, "list": [1, 2, 3, 4], "gone": true };
    things.insert_one(&first).await.unwrap();
    entries.push(insert(first));
    let many = ["b", "c"].map(|id| doc! { "_id": id, "n": 0 });
    things.insert_many(&many).await.unwrap();
    entries.push(doc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": many.map(insert).to_vec() } });

    // A field set and one made, nested and not; one taken away; an element set; an array cut.
    let updates = [
        (doc! { "$set": { "n": 2 } }, doc! { "u": { "n": 2 } }),
        (doc! { "$set": { "made": "new" } }, doc! { "i": { "made": "new" } }),
        (doc! { "$set": { "deep.er.x": 2 } }, doc! { "sdeep": { "ser": { "u": { "x": 2 } } } }),
        (doc! { "$unset": { "gone": 1 } }, doc! { "d": { "gone": false } }),
        (doc! { "$set": { "list.1": 9 } }, doc! { "slist": { "a": true, "u1": 9 } }),
    ];
    for (update_of, diff) in updates {
        things.update_one(key("a"), update_of).await.unwrap();
        entries.push(update("a", diff));
    }
    things.replace_one(key("b"), doc! { "whole": "new" }).await.unwrap();
    entries.push(doc! { "op": "u", "ns": &ns, "o": { "_id": "b", "whole": "new" }, "o2": key("b") });
    things.delete_one(key("c")).await.unwrap();
    entries.push(doc! { "op": "d", "ns": &ns, "o": key("c") });

    let mut session = own.client.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    things.insert_one(doc! { "_id": "t" }).session(&mut session).await.unwrap();
    things.update_one(key("a"), doc! { "$set": { "n": 3 } }).session(&mut session).await.unwrap();
    things.delete_one(key("b")).session(&mut session).await.unwrap();
    session.commit_transaction().await.unwrap();
    let transaction = vec![
        insert(doc! { "_id": "t" }),
        update("a", doc! { "u": { "n": 3 } }),
        doc! { "op": "d", "ns": &ns, "o": key("b") },
    ];
    entries.push(doc! {
        "op": "c", "ns": "admin.$cmd", "o": { "applyOps": transaction }, "txnNumber": 1_i64,
        "lsid": { "id": Binary { subtype: BinarySubtype::Uuid, bytes: vec![7; 16] } },
        "prevOpTime": { "ts": Timestamp { time: 0, increment: 0 }, "t": -1_i64 },
    });
    session.start_transaction().await.unwrap();
    things.insert_one(doc! { "_id": "never" }).session(&mut session).await.unwrap();
    session.abort_transaction().await.unwrap();

    let name = format!("{}.renamed", own.name);
    let rename = doc! { "renameCollection": &ns, "to": &name };
    own.client.database("admin").run_command(rename.clone()).await.unwrap();
    entries.push(doc! { "op": "c", "ns": &command, "o": rename });
    own.collection("renamed").drop().await.unwrap();
    entries.push(doc! { "op": "c", "ns": &command, "o": { "drop": "renamed" } });
    for (n, entry) in entries.iter_mut().enumerate() {
        entry.insert("ts", Timestamp { time: 1_700_000_000, increment: u32::try_from(n + 1).unwrap() });
    }
    entries
}

/// The next ops, without what tells one source from the other: where and when, and how a transaction is called.
fn ops(tail: &Host, count: usize) -> Vec<Value> {
    let mut transactions = HashMap::new();
    let ops = (0..count).map(|_| {
        let mut op = tail.op();
        let fields = op.as_object_mut().unwrap();
        for name in ["_id", "clusterTime", "wallTime", "origin"] {
            fields.remove(name);
        }
        if let Some(transaction) = fields.get_mut("transaction") {
            let number = transactions.len();
            let number = *transactions.entry(transaction["id"].clone()).or_insert(number);
            transaction["id"] = json!(number);
        }
        op
    });
    ops.collect()
}

#[tokio::test]
async fn an_oplog_and_a_change_stream_have_the_same_ops() {
    let server = Server::start(Default::default()).unwrap();
    let own = Database::new(server.uri()).await;
    let start = own.now().await;
    let oplog = create_oplog(&own, change(&own).await).await;

    let pattern = format!("/^{}[.](things|renamed)$/", own.name);
    let arguments = ["tail", "--uri", server.uri(), "--namespace", &pattern];
    let by_oplog = Host::start(&[&arguments[..], &["--source-oplog", &oplog, "--start", "oldest"]].concat());
    let by_stream =
        Host::start(&[&arguments[..], &["--source-kind", "change-stream", "--start", &start]].concat());
    let by_oplog = ops(&by_oplog, 16);
    let by_stream = ops(&by_stream, 16);
    for (one, other) in by_oplog.iter().zip(&by_stream) {
        assert_eq!(one, other);
    }
    assert_eq!(by_oplog[15]["operationType"], "drop");
    assert_eq!(by_oplog[12]["transaction"], json!({ "id": 0, "index": 1 }));
}
