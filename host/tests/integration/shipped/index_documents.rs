//! An index is in the end what the collection is.

use std::collections::BTreeMap;

use bson::{Document, doc};
use futures_util::TryStreamExt;
use serde_json::Value;

use super::sinks::Sink;
use super::{Shipped, dump, replay, until};
use crate::log;
use crate::support::{error_of, plugin};

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
    let line = shipped.host.wait_for("op.reject", &[]);
    assert!(log::error(&line).contains("total"), "{line}");
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

/// A sink, and what the plugin is set up with for it.
async fn engines() -> [(Sink, Vec<String>); 2] {
    let (solr, elasticsearch) = (Sink::solr().await, Sink::elasticsearch().await);
    let core = vec![format!("url={}/solr/shop", solr.url())];
    let server = vec![format!("url={}", elasticsearch.url()), "engine=elasticsearch".to_owned()];
    [(solr, core), (elasticsearch, server)]
}

/// The ids in the index, without the namespace.
fn ids(sink: &Sink) -> Vec<String> {
    let id = |id: &str| id.split_once('/').map_or(id, |(_, id)| id).to_owned();
    sink.with(|index| index.documents.keys().map(|(_, of)| id(of)).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_is_renamed_is_followed() {
    for (sink, mut values) in engines().await {
        values.push("namespaces=OWN.report".to_owned());
        let values: Vec<_> = values.iter().map(String::as_str).collect();
        let grants = [&*format!("http={}", sink.url()), "mongodb-read=OWN.report"];
        let mut shipped = Shipped::start("index_documents", &grants, &values, &[]).await;
        let (report, made) = (shipped.own.collection("report"), shipped.own.collection("made"));
        report.insert_many([doc! { "_id": 1, "total": 1 }, doc! { "_id": -1, "total": 1 }]).await.unwrap();
        until("both are there", async || ids(&sink).len() == 2).await;

        // As $out does it: what is not indexed is renamed over what is. More than are read at once, with ids of several types.
        made.insert_many((0..1500).map(|n| doc! { "_id": n, "total": n })).await.unwrap();
        made.insert_many((0..1500).map(|n| doc! { "_id": n.to_string(), "total": n })).await.unwrap();
        shipped.rename("made", "report").await;
        until("those of the new one alone are there", async || {
            let ids = ids(&sink);
            ids.len() == 3000 && !ids.contains(&"-1".to_owned())
        })
        .await;
        assert!(ids(&sink).contains(&"1".to_owned()) && ids(&sink).contains(&"\"1\"".to_owned()));
        let line = shipped.host.wait_for_plugin_log("indexed 3000 documents");
        assert_eq!(line["level"], "INFO");
        report.delete_many(doc! { "_id": { "$type": "string" } }).await.unwrap();
        until("changes after it are indexed", async || ids(&sink).len() == 1500).await;

        shipped.rename("report", "report_2026").await;
        until("all is gone", async || ids(&sink).is_empty()).await;
        sink.with(|index| assert_eq!(index.wrong, Vec::<String>::new()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_that_cannot_be_followed_says_what_is_to_be_indexed_anew() {
    for (sink, mut values) in engines().await {
        values.push("namespaces=OWN.report".to_owned());
        let values: Vec<_> = values.iter().map(String::as_str).collect();
        let mut shipped =
            Shipped::start("index_documents", &[&format!("http={}", sink.url())], &values, &[]).await;
        let report = shipped.own.collection("report");
        report.insert_one(doc! { "_id": 1 }).await.unwrap();
        shipped.own.collection("made").insert_one(doc! { "_id": 2 }).await.unwrap();
        shipped.rename("made", "report").await;
        let line = shipped.host.wait_for("op.reject", &[]);
        let incomplete = format!("{}.report is not complete in the index", shipped.own.name);
        let error = log::error(&line);
        assert!(error.contains(&incomplete), "{line}");
        assert!(error.contains(&format!("mongodb-read={}.report", shipped.own.name)), "{line}");
        report.insert_one(doc! { "_id": 3 }).await.unwrap();
        until("what comes after it is indexed, and nothing else is there", async || ids(&sink) == ["3"])
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_with_renames_leaves_nothing_stale_and_says_what_is_missing() {
    for (sink, values) in engines().await {
        let (code, summary, log) = replay("index_documents", &dump("out_renames"), &sink, &values);
        assert_eq!(code, Some(1), "{summary}");
        let said = "sales.report_2026 is not complete in the index";
        assert!(log.iter().any(|line| log::error(line).contains(said)), "{log:?}");
        assert_eq!(ids(&sink), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_read_alike_are_different_documents() {
    for (sink, values) in engines().await {
        let (code, summary, _) = replay("index_documents", &dump("ids_that_read_alike"), &sink, &values);
        assert_eq!(code, Some(0), "{summary}");
        let ids = ids(&sink);
        assert!(ids.len() == 2 && ids.iter().all(|id| id.starts_with('"')), "{ids:?}");
        assert!(ids.contains(&"\"1\"".to_owned()), "{ids:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_that_is_far_is_in_the_index() {
    let forms = [r#""+10000-01-01T00:00:00Z""#, "253402300800000"];
    for ((sink, values), form) in engines().await.into_iter().zip(forms) {
        let (code, summary, _) = replay("index_documents", &dump("dates_far"), &sink, &values);
        assert_eq!(code, Some(0), "{summary}");
        sink.with(|index| {
            let has_it = |document: &serde_json::Map<String, Value>| {
                Value::from(document.clone()).to_string().contains(form)
            };
            assert!(index.documents.values().any(has_it), "{:?}", index.documents);
        });
    }
}

#[test]
fn a_wrong_setting_keeps_the_host_from_starting() {
    let path = plugin("index_documents");
    let host = ["--plugin", &path, "--uri", "mongodb://localhost:1", "--set"];
    let said = error_of(&[&host[..], &["namespace=shop.*", "--set", "url=http://localhost:1"]].concat());
    assert!(said.contains("unknown setting namespace (did you mean namespaces?). help: "), "{said}");
    let said = error_of(&[&host[..], &["url=localhost:1"]].concat());
    assert!(
        said.ends_with(
            "the setting url is localhost:1, which is not a URL. help: begin it with https:// or http://"
        ),
        "{said}"
    );
}
