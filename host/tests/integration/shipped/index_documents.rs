//! An index is in the end what the collection is.

use std::collections::BTreeMap;

use bson::{Document, doc};
use futures_util::TryStreamExt;
use serde_json::Value;

use super::sinks::Sink;
use super::{Shipped, until};
use crate::support::message;

/// What the collection holds, by id: the totals.
async fn totals(shipped: &Shipped) -> BTreeMap<String, Option<i64>> {
    let all: Vec<Document> = shipped.things().find(doc! {}).await.unwrap().try_collect().await.unwrap();
    all.iter()
        .map(|one| (one.get_i32("_id").unwrap().to_string(), one.get_i32("total").ok().map(i64::from)))
        .collect()
}

fn indexed(sink: &Sink) -> BTreeMap<String, Option<i64>> {
    sink.with(|index| {
        let total = |one: &serde_json::Map<String, Value>| one.get("total").and_then(Value::as_i64);
        let id = |id: &str| id.rsplit('/').next().unwrap().to_owned();
        index.documents.iter().map(|((_, of), one)| (id(of), total(one))).collect()
    })
}

/// Changes of all kinds; the index is to be as the collection is then.
async fn follows(shipped: &mut Shipped, sink: &Sink) {
    let things = shipped.things();
    things
        .insert_many((0..300).map(|n| doc! { "_id": n, "total": n, "to": { "city": "Köln" } }))
        .await
        .unwrap();
    things.update_many(doc! { "_id": { "$lt": 100 } }, doc! { "$inc": { "total": 1000 } }).await.unwrap();
    for n in 0..20 {
        things.replace_one(doc! { "_id": n }, doc! { "total": -n }).await.unwrap();
    }
    things.delete_many(doc! { "_id": { "$gte": 250 } }).await.unwrap();
    let expected = totals(shipped).await;
    assert_eq!(expected.len(), 250);
    until("the index is as the collection is", async || indexed(sink) == expected).await;
    sink.with(|index| assert_eq!(index.wrong, Vec::<String>::new()));

    // A server that is busy loses nothing.
    sink.with(|index| index.busy = 3);
    things.update_many(doc! {}, doc! { "$inc": { "total": 1 } }).await.unwrap();
    let expected = totals(shipped).await;
    until("the index is as the collection is", async || indexed(sink) == expected).await;

    // One that is refused is rejected alone.
    things
        .insert_many([doc! { "_id": 900 }, doc! { "_id": 901, "total": "no number" }, doc! { "_id": 902 }])
        .await
        .unwrap();
    let line = shipped.host.wait_for("rejected by the plugin, the op is not handled: ");
    assert!(message(&line).contains("total"), "{line}");
    until("the others are there", async || {
        let all = indexed(sink);
        all.contains_key("900") && all.contains_key("902") && !all.contains_key("901")
    })
    .await;
    let batches = sink.with(|index| index.requests);
    assert!(batches < 300, "many go together: {batches} requests");

    things.drop().await.unwrap();
    until("all is gone", async || indexed(sink).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn solr_has_what_the_collection_has() {
    let sink = Sink::solr().await;
    let (grant, url) = (format!("http={}", sink.url()), format!("url={}/solr/shop", sink.url()));
    let mut shipped = Shipped::start("index_documents", &[&grant], &[&url, "namespaces=OWN.*"], &[]).await;
    follows(&mut shipped, &sink).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn elasticsearch_has_what_the_collection_has() {
    let sink = Sink::elasticsearch().await;
    let (grant, url) = (format!("http={}", sink.url()), format!("url={}", sink.url()));
    let values = [&*url, "engine=elasticsearch", "namespaces=OWN.*"];
    let mut shipped = Shipped::start("index_documents", &[&grant], &values, &[]).await;
    follows(&mut shipped, &sink).await;
}
