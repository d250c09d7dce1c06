//! Reads and writes on the cluster.

use bson::doc;
use gtm_test_support::Server;

use super::Errands;
use crate::proxy::Proxy;
use crate::support::{Database, Host, message, plugin};

#[tokio::test]
async fn what_is_granted_is_read_and_written() {
    let mut errands = Errands::granted(&["mongodb-read=OWN.*", "mongodb-write=OWN.things"]).await;
    let ns = "OWN.things";
    for n in 0..3 {
        let document = doc! { "_id": n, "n": n };
        assert_eq!(errands.run(doc! { "do": "insert", "ns": ns, "document": document }).await, "ok inserted");
    }
    let said = errands.run(doc! { "do": "insert", "ns": ns, "document": { "_id": 1 } }).await;
    assert!(said.starts_with("error E11000") || said.contains("duplicate key"), "{said}");
    let said = errands.run(doc! { "do": "find", "ns": ns, "sort": { "n": -1 }, "limit": 2 }).await;
    assert_eq!(said, r#"ok 2 [{"_id":2,"n":2},{"_id":1,"n":1}]"#);
    let update =
        doc! { "do": "update", "ns": ns, "filter": { "n": { "$gt": 0 } }, "update": { "$inc": { "n": 10 } } };
    let mut many = update.clone();
    many.insert("many", true);
    assert_eq!(errands.run(many).await, "ok 2 2 ");
    let upsert =
        doc! { "do": "update", "ns": ns, "filter": { "_id": "new" }, "update": { "$set": { "n": 1 } } };
    assert_eq!(errands.run(upsert).await, r#"ok 0 0 { "_id": "new" }"#);
    let pipeline = vec![doc! { "$group": { "_id": null, "sum": { "$sum": "$n" } } }];
    let said = errands.run(doc! { "do": "aggregate", "ns": ns, "pipeline": pipeline }).await;
    assert_eq!(said, r#"ok 1 [{"_id":null,"sum":24}]"#);
    let replace =
        doc! { "do": "replace", "ns": ns, "filter": { "_id": 0 }, "document": { "_id": 0, "is": "other" } };
    assert_eq!(errands.run(replace).await, "ok 1 1");
    assert_eq!(errands.run(doc! { "do": "delete", "ns": ns, "filter": { "n": 1 } }).await, "ok 1");
    let left = errands.own.collection("things").find_one(doc! { "_id": 0 }).await.unwrap();
    assert_eq!(left, Some(doc! { "_id": 0, "is": "other" }));
}

#[tokio::test]
async fn what_is_not_granted_is_refused() {
    let mut errands =
        Errands::granted(&["mongodb-read=OWN.things", "mongodb-read=*", "mongodb-write=OWN.log"]).await;
    errands.own.collection("things").insert_one(doc! { "_id": 1 }).await.unwrap();
    let refused = [
        (
            doc! { "do": "insert", "ns": "OWN.things", "document": {} },
            "mongodb: to write OWN.things is not granted",
        ),
        (
            doc! { "do": "delete", "ns": "OWN.things", "filter": {} },
            "mongodb: to write OWN.things is not granted",
        ),
        (doc! { "do": "find", "ns": "gtm.checkpoints" }, "mongodb: to read gtm.checkpoints is not granted"),
        (doc! { "do": "find", "ns": "admin.system.users" }, "to read admin.system.users is not granted"),
        (doc! { "do": "find", "ns": "local.oplog.rs" }, "to read local.oplog.rs is not granted"),
        // Before the sentence that repeats it.
        (
            doc! { "do": "find", "ns": "x.".repeat(200) },
            "a namespace has at most 255 bytes, and this one has 400",
        ),
        (doc! { "do": "find", "ns": "OWN.system.views" }, "to read OWN.system.views is not granted"),
        (
            doc! { "do": "aggregate", "ns": "OWN.things", "pipeline": [ { "$listSessions": {} } ] },
            "a plugin may not use the stage $listSessions",
        ),
        (
            doc! { "do": "aggregate", "ns": "OWN.things", "pipeline": [ { "$lookup": { "from": { "db": "local", "coll": "oplog.rs" }, "as": "x" } } ] },
            "to read local.oplog.rs is not granted",
        ),
        (
            doc! { "do": "aggregate", "ns": "OWN.things", "pipeline": [ { "$out": "others" } ] },
            "an aggregation may only read, and $out writes",
        ),
        (
            doc! { "do": "aggregate", "ns": "OWN.things", "pipeline": [ { "$merge": { "into": "log" } } ] },
            "an aggregation may only read, and $merge writes",
        ),
        (
            doc! { "do": "find", "ns": "OWN.things", "filter": { "$where": "sleep(1000)" } },
            "$where runs JavaScript on the server",
        ),
    ];
    for (errand, reason) in refused {
        let said = errands.run(errand).await;
        let reason = reason.replace("OWN", &errands.own.name);
        assert!(said.starts_with("error ") && said.contains(&reason), "{reason}: {said}");
    }
    let named = errands.own.client.database(&errands.own.name).list_collection_names().await.unwrap();
    assert!(!named.iter().any(|name| name == "others" || name == "log"), "{named:?}");
}

#[tokio::test]
async fn a_plugin_that_would_be_fed_its_own_writes_is_told_of() {
    let mut errands = Errands::granted(&["mongodb-write=OWN.*"]).await;
    // An errand that has an errand done, as it were.
    let errand = doc! { "do": "insert", "ns": "OWN.errands", "document": { "_id": "own", "do": "nothing" } };
    assert_eq!(errands.run(errand).await, "ok inserted");
    assert_eq!(errands.host.count("plugin.feed_itself", &[]), 1);
    errands.host.wait_for_plugin_log("\"own\" error nothing is no errand");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_ends_on_the_server_when_the_time_of_a_call_is_over() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let proxy = Proxy::start(server.uri()).await;
    let (errand, database) = (plugin("errand"), format!("database={}", own.name));
    let (grant, namespace) = (format!("mongodb-write={}.things", own.name), format!("{}.things", own.name));
    let arguments = ["--plugin", &errand, "--uri", proxy.uri(), "--set", &database, "--grant", &grant];
    // 0x4141, so that it can be looked for as a text.
    let mut host = Host::start(&[&arguments[..], &["--limits-call-timeout", "16705ms"]].concat());
    host.wait_for("source.tail", &[]);
    for (number, errand) in [
        doc! { "do": "insert", "document": {} },
        doc! { "do": "update", "many": true, "filter": {}, "update": { "$set": { "a": 1 } } },
        doc! { "do": "delete", "filter": {} },
    ]
    .into_iter()
    .enumerate()
    {
        let mut errand = errand;
        errand.insert("_id", i32::try_from(number).unwrap());
        errand.insert("ns", &namespace);
        proxy.lose_answer_to("maxTimeMS\0AA\0\0");
        own.collection("errands").insert_one(errand).await.unwrap();
        let start = format!("{number} ");
        let line = host.wait_until("what came of it", |line| message(line).starts_with(&start));
        assert!(!proxy.is_to_lose(), "{line}");
    }
}

#[tokio::test]
async fn answers_are_charged_to_what_the_host_keeps_for_an_instance() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("gtm.toml");
    std::fs::write(&config, "[limits]\nhost_memory = \"2 MiB\"\n").unwrap();
    let more = ["--config", config.to_str().unwrap()];
    let mut errands = Errands::with(&["mongodb-read=OWN.things"], &more, &[]).await;
    let large = |n: i32| doc! { "_id": n, "text": "x".repeat(600_000) };
    errands.own.collection("things").insert_many([large(0), large(1), large(2)]).await.unwrap();
    let said = errands.run(doc! { "do": "find", "ns": "OWN.things" }).await;
    assert!(said.contains("of its 2 MiB are left") && said.contains("limits.host_memory"), "{said}");
    // What was charged is returned.
    for _ in 0..3 {
        let said = errands.run(doc! { "do": "find", "ns": "OWN.things", "limit": 1 }).await;
        assert!(said.starts_with("ok 1 ["), "{}", said.len());
    }
}
