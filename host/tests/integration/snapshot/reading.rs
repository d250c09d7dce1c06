//! What is read: which collections, and every document of them once.

use bson::{Bson, doc};
use gtm_oplog::{OpPlace, OperationType, Origin};
use gtm_source::{Snapshot, SnapshotOptions};
use gtm_test_support::Server;

use super::{AT, all, counted, document, fill, inserts, key, mixed, plan, progress, progress_key};
use crate::support::Database;

#[tokio::test]
async fn wanted_collections_of_several_databases_are_read() {
    let server = Server::ready().unwrap();
    let (one, two) = (Database::new(server.uri()).await, Database::new(server.uri()).await);
    one.collection("a.b").insert_one(doc! { "x": 1, "_id": 1 }).await.unwrap();
    one.collection("c").insert_one(doc! { "_id": 2 }).await.unwrap();
    two.collection("a.b").insert_one(doc! { "_id": { "k": 3 } }).await.unwrap();
    two.client.database(&two.name).create_collection("a.empty").await.unwrap();
    let patterns = [format!("{}.a.*", one.name), format!("{}.a.*", two.name)];
    let mut selection = inserts(&[&patterns[0], &patterns[1]]);
    // Deletions alone want no documents.
    selection.add(&format!("{}.c", one.name), &[OperationType::Delete]).unwrap();
    let mut snapshot =
        Snapshot::plan(&one.client, &mut selection, AT, SnapshotOptions::default()).await.unwrap();
    let ops = all(&mut snapshot).await;

    let mut namespaces: Vec<_> = ops.iter().map(|op| op.namespace.to_string()).collect();
    namespaces.sort_unstable();
    let mut expected = [format!("{}.a.b", one.name), format!("{}.a.b", two.name)];
    expected.sort_unstable();
    assert_eq!(namespaces, expected);
    let op = ops.iter().find(|op| *op.namespace.database == *one.name).unwrap();
    assert_eq!((op.timestamp, &op.place, op.origin), (AT, &OpPlace::Document, Origin::Snapshot));
    assert_eq!((op.operation_type, op.wall_time), (OperationType::Insert, None));
    assert_eq!(document(op.document_key.as_ref().unwrap()), doc! { "_id": 1 });
    assert_eq!(document(op.full_document.as_ref().unwrap()).get("x"), Some(&Bson::Int32(1)));
    let progress = snapshot.progress();
    assert!(progress.has_ended());
    assert_eq!((progress.documents, progress.collections, progress.refused), (2, 3, 0));
    assert_eq!(
        progress.bytes,
        ops.iter().map(|op| op.full_document.as_ref().unwrap().len() as u64).sum::<u64>()
    );
}

#[tokio::test]
async fn a_database_without_a_collection_that_is_wanted_has_nothing_to_read() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let mut snapshot = plan(&own.client, &format!("{}.*", own.name), None).await;
    assert!(snapshot.next().await.unwrap().is_none());
    assert!(snapshot.next().await.unwrap().is_none(), "and again nothing");
    assert!(snapshot.progress().has_ended());
}

#[tokio::test]
async fn ids_of_every_type_in_one_collection_are_read_once_each() {
    let (_server, own, ids) = mixed().await;
    let (_directory, store, kept) = progress(&own.client).await;
    let mut snapshot = plan(&own.client, &format!("{}.mixed", own.name), Some(kept)).await;
    let kept = store.snapshot_progress(&progress_key()).await.unwrap().unwrap();
    let kept: serde_json::Value = serde_json::from_slice(&kept).unwrap();
    let ranges = kept["collections"][0]["ranges"].as_array().unwrap().len();
    assert!(ranges > 1, "it is split");
    let counts = counted(&all(&mut snapshot).await);
    for id in &ids {
        assert_eq!(counts.get(&key(id.clone())), Some(&1), "{id}");
    }
    assert_eq!(counts.len(), ids.len());
}

#[tokio::test]
async fn a_view_is_read_if_it_is_named() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    fill(&own, "things", 0..3).await;
    let database = own.client.database(&own.name);
    let pipeline = [doc! { "$project": { "_id": 0, "n": { "$add": ["$_id", 10] } } }];
    database.create_collection("view").view_on("things").pipeline(pipeline).await.unwrap();

    let mut snapshot = plan(&own.client, &format!("{}.*", own.name), None).await;
    let ops = all(&mut snapshot).await;
    assert_eq!(ops.iter().filter(|op| &*op.namespace.collection == "things").count(), 3);
    assert_eq!(ops.len(), 3, "a view is no collection");

    let mut snapshot = plan(&own.client, &format!("{}.view", own.name), None).await;
    let ops = all(&mut snapshot).await;
    assert_eq!(ops.len(), 3);
    assert!(ops.iter().all(|op| op.document_key.is_none()));
    assert_eq!(document(ops[0].full_document.as_ref().unwrap()).len(), 1);
    let ids: std::collections::HashSet<_> = ops.iter().map(|op| op.id().to_string()).collect();
    assert_eq!(ids.len(), 3, "each has an identity of its own");
}
