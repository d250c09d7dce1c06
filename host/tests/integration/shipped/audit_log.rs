//! Each change is in the log once, and the log is not in the log.

use std::time::Duration;

use bson::{Document, doc};
use futures_util::TryStreamExt;

use super::{Shipped, until};
use crate::support::message;

#[tokio::test]
async fn each_change_is_in_the_log_once() {
    let values = ["collection=OWN.log", "namespaces=OWN.*"];
    let shipped = Shipped::start("audit_log", &["mongodb-write=OWN.log"], &values, &[]).await;
    let things = shipped.things();
    things.insert_many((0..1200).map(|n| doc! { "_id": n, "updatedBy": "ada" })).await.unwrap();
    things.update_one(doc! { "_id": 1 }, doc! { "$set": { "a.b": 1, "updatedBy": "bob" } }).await.unwrap();
    things.delete_one(doc! { "_id": 1 }).await.unwrap();
    let log = shipped.own.collection("log");
    let count = async |filter: Document| log.count_documents(filter).await.unwrap();
    until("all are in the log", async || count(doc! { "ns.coll": "things" }).await >= 1202).await;
    let of_one: Vec<Document> =
        log.find(doc! { "documentKey._id": 1 }).await.unwrap().try_collect().await.unwrap();
    let entry = |operation: &str| {
        let is_it = |entry: &&Document| entry.get_str("operationType").unwrap() == operation;
        of_one.iter().find(is_it).unwrap_or_else(|| panic!("{operation}: {of_one:?}"))
    };
    assert_eq!(of_one.len(), 3);
    assert_eq!(entry("insert").get_str("by").unwrap(), "ada");
    assert_eq!(entry("update").get_str("by").unwrap(), "bob");
    let description = entry("update").get_document("updateDescription").unwrap();
    let updated = description.get_document("updatedFields").unwrap();
    assert_eq!(updated.get_str("updatedBy").unwrap(), "bob");
    assert!(entry("delete").get("updateDescription").is_none());
    // It is handed what it writes, and passes over it: nothing more comes.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(count(doc! {}).await, count(doc! { "ns.coll": { "$ne": "log" } }).await);
    let (code, said) = shipped.host.stop();
    assert_eq!(code, Some(0));
    // Nor is it told that it is handed them.
    assert!(
        !said.iter().any(|line| line["level"] == "ERROR" || line["level"] == "WARN"),
        "{:?}",
        said.iter().map(message).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn what_was_written_before_is_not_written_again() {
    let values = ["collection=OWN.log", "namespaces=OWN.things"];
    let shipped =
        Shipped::start("audit_log", &["mongodb-write=OWN.log"], &values, &["--admin", "127.0.0.1:0"]).await;
    shipped.things().insert_many((0..50).map(|n| doc! { "_id": n })).await.unwrap();
    let log = shipped.own.collection("log");
    let count = async || log.count_documents(doc! {}).await.unwrap();
    until("all are in the log", async || count().await >= 50).await;
    // All of it again.
    let address = shipped.host.address();
    let (code, _, said) = crate::support::run(&["seek", "oldest", "--admin", &address]);
    assert_eq!(code, Some(0), "{said}");
    shipped.things().insert_one(doc! { "_id": "last" }).await.unwrap();
    until("the last one is there", async || count().await >= 51).await;
    assert_eq!(count().await, 51);
    assert_eq!(shipped.host.status()["plugins"][0]["counts"]["failed"], 0);
    drop(shipped.host.stop());
}
