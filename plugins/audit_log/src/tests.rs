use gtm_plugin::OperationType;
use gtm_plugin::bson::raw::cstr;
use gtm_plugin::bson::{DateTime, Document, RawDocumentBuf, Timestamp, doc, rawdoc};
use gtm_plugin::testing::{Harness, OpBuilder, delete, insert, update};

use super::*;

fn written(harness: &mut Harness, op: &Op) -> Document {
    let run = harness.run_in_batch::<AuditLog>(op);
    assert_eq!(run.outcome, Some(Ok(())));
    let (namespace, command) = &run.writes[0];
    assert_eq!(namespace, "audit.log");
    command.get_array("insert").unwrap()[0].as_document().unwrap().clone()
}

#[test]
fn who_changed_what_is_written() {
    let mut harness = Harness::new();
    let op = insert("shop.orders", doc! { "_id": 1, "updatedBy": "ada" });
    let entry = written(&mut harness, &op);
    let expected = doc! {
        "_id": { "_data": op.id() }, "operationType": "insert",
        "clusterTime": Timestamp { time: 1_700_000_000, increment: op.timestamp().increment },
        "wallTime": DateTime::from_millis(1_700_000_000_000), "ns": { "db": "shop", "coll": "orders" },
        "documentKey": { "_id": 1 }, "fullDocument": { "_id": 1, "updatedBy": "ada" }, "origin": "oplog", "by": "ada",
    };
    assert_eq!(entry, expected);

    let description = doc! { "updatedFields": { "a.b": 1, "$c": 2 }, "removedFields": ["d"], "truncatedArrays": [{ "field": "e", "newSize": 3 }] };
    let entry = written(&mut harness, &update("shop.orders", doc! { "_id": 1 }, description.clone()));
    assert_eq!(entry["updateDescription"], description.into());
    assert!(!entry.contains_key("fullDocument"));

    // The document is gone by now.
    let gone = OpBuilder::new("shop.orders", OperationType::Update).key(&doc! { "_id": 1 });
    let gone =
        gone.description(&doc! { "updatedFields": { "updatedBy": "bob" } }).transaction("t", 3).build();
    let entry = written(&mut harness, &gone);
    assert_eq!(entry["by"], "bob".into());
    assert_eq!(entry["transaction"], doc! { "id": "t", "index": 3_i64 }.into());

    let drop = OpBuilder::new("shop", OperationType::DropDatabase).command(&doc! { "dropDatabase": 1 });
    let entry = written(&mut harness, &drop.wall_time(None).build());
    assert_eq!(entry["command"], "{\"dropDatabase\":1}".into());
    assert_eq!(entry["ns"], doc! { "db": "shop" }.into());
    assert_eq!(entry["wallTime"], DateTime::from_millis(1_700_000_000_000).into());
}

#[test]
fn two_paths_that_look_the_same_are_both_written() {
    // A field "a.b", and a field b in a document a.
    let mut updated = RawDocumentBuf::new();
    updated.append(cstr!("a.b"), 1);
    updated.append(cstr!("a.b"), 2);
    let description = rawdoc! { "updatedFields": updated };
    let op = OpBuilder::new("shop.orders", OperationType::Update).key(&doc! { "_id": 1 });
    let op = op.raw_description(&description).build();
    let settings = AuditSettings {
        collection: "audit.log".to_owned(),
        actor_field: "updatedBy".to_owned(),
        documents: true,
        selection: Selection::default(),
    };
    assert_eq!(entry(&op, &settings).unwrap().get_document("updateDescription").unwrap(), &*description);
}

#[test]
fn what_is_written_can_be_chosen() {
    let mut harness = Harness::new().config("actor_field", "meta.user").config("documents", "false");
    let op = insert("shop.orders", doc! { "_id": 1, "meta": { "user": 7 } });
    let entry = written(&mut harness, &op);
    assert_eq!(entry["by"], 7.into());
    assert!(!entry.contains_key("fullDocument"));
    let mut harness = Harness::new().config("namespaces", "shop.*");
    assert!(!harness.run_in_batch::<AuditLog>(&delete("hr.people", doc! { "_id": 1 })).wanted);
}

#[test]
fn a_wrong_setting_is_refused() {
    let refused = |name: &str, value: &str| {
        Harness::new().config(name, value).start_batch::<AuditLog>().unwrap_err().to_string()
    };
    assert!(refused("documents", "no").contains("documents"));
    assert!(refused("collection", "audit").contains("write DATABASE.COLLECTION"));
    assert!(refused("nmespaces", "shop.*").contains("did you mean namespaces?"));
    assert!(refused("operations", "insrt").contains("did you mean insert?"));
}

#[test]
fn its_own_collection_is_skipped() {
    let op = insert("audit.log", doc! { "_id": 1 });
    assert!(!Harness::new().run_in_batch::<AuditLog>(&op).wanted);
    assert!(Harness::new().config("collection", "other.log").run_in_batch::<AuditLog>(&op).wanted);
}

#[test]
fn many_are_written_at_once() {
    let ops: Vec<_> = (0..1500).map(|n| insert("shop.orders", doc! { "_id": n })).collect();
    let (outcomes, run) = Harness::new().run_batch::<AuditLog>(&ops);
    assert_eq!(outcomes.len(), 1500);
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(run.writes.len(), 2);
}
