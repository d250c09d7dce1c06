use gtm_plugin::OperationType;
use gtm_plugin::bson::raw::cstr;
use gtm_plugin::bson::{Bson, RawDocumentBuf, doc, rawdoc};
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
    let entry = written(&mut harness, &insert("shop.orders", doc! { "_id": 1, "updatedBy": "ada" }));
    assert_eq!(entry.get("by"), Some(&"ada".into()));
    assert_eq!((entry["operation"].as_str(), entry["ns"].as_str()), (Some("insert"), Some("shop.orders")));
    assert_eq!(entry["key"], doc! { "_id": 1 }.into());
    assert_eq!(entry["document"], doc! { "_id": 1, "updatedBy": "ada" }.into());

    let description = doc! { "updatedFields": { "a.b": 1, "$c": 2 }, "removedFields": ["d"], "truncatedArrays": [{ "field": "e", "newSize": 3 }] };
    let entry = written(&mut harness, &update("shop.orders", doc! { "_id": 1 }, description));
    let changed = vec![
        Bson::from(doc! { "field": "a.b", "value": 1 }),
        doc! { "field": "$c", "value": 2 }.into(),
        doc! { "field": "d", "removed": true }.into(),
        doc! { "field": "e", "truncatedTo": 3 }.into(),
    ];
    assert_eq!(entry["changed"], changed.into());
    assert!(!entry.contains_key("document"));

    // Two paths that look the same: a field "a.b", and a field b in a document a.
    let mut updated = RawDocumentBuf::new();
    updated.append(cstr!("a.b"), 1);
    updated.append(cstr!("a.b"), 2);
    let both = OpBuilder::new("shop.orders", OperationType::Update).key(&doc! { "_id": 1 });
    let both = both.raw_description(&rawdoc! { "updatedFields": updated }).build();
    let changed =
        vec![Bson::from(doc! { "field": "a.b", "value": 1 }), doc! { "field": "a.b", "value": 2 }.into()];
    assert_eq!(written(&mut harness, &both)["changed"], changed.into());

    // A document that a client wrote with a field twice: the last of them is written.
    let mut twice = RawDocumentBuf::new();
    twice.append(cstr!("x"), 1);
    twice.append(cstr!("x"), 2);
    let op = OpBuilder::new("shop.orders", OperationType::Update).key(&doc! { "_id": 1 });
    let op = op.raw_description(&rawdoc! { "updatedFields": { "a": twice } }).build();
    let changed = vec![Bson::from(doc! { "field": "a", "value": { "x": 2 } })];
    assert_eq!(written(&mut harness, &op)["changed"], changed.into());

    // The document is gone by now.
    let gone = OpBuilder::new("shop.orders", OperationType::Update).key(&doc! { "_id": 1 });
    let gone = gone.description(&doc! { "updatedFields": { "updatedBy": "bob" } }).build();
    assert_eq!(written(&mut harness, &gone)["by"], "bob".into());

    let drop = OpBuilder::new("shop.orders", OperationType::Drop).command(&doc! { "drop": "orders" }).build();
    assert_eq!(written(&mut harness, &drop)["command"], "{\"drop\":\"orders\"}".into());
}

#[test]
fn what_is_written_can_be_chosen() {
    let mut harness = Harness::new().config("actor_field", "meta.user").config("documents", "false");
    let op = insert("shop.orders", doc! { "_id": 1, "meta": { "user": 7 } });
    let entry = written(&mut harness, &op);
    assert_eq!(entry["by"], 7.into());
    assert!(!entry.contains_key("document"));
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
