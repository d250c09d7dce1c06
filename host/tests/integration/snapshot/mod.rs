//! The snapshot source, over the wire, as a library: what all its tests need.

pub mod failing;
mod reading;
mod resuming;

use std::collections::HashMap;
use std::mem::ManuallyDrop;

use bson::{Bson, Document, RawDocument, doc};
use gtm_oplog::{Op, OperationType, Selection, Timestamp};
use gtm_source::{Snapshot, SnapshotOptions, StoredProgress};
use gtm_store::{CheckpointKey, Store, StoreKind};
use gtm_test_support::Server;
use mongodb::Client;
use tempfile::TempDir;

use crate::support::Database;

const AT: Timestamp = Timestamp { time: 1_700_000_000, increment: 7 };

fn inserts(patterns: &[&str]) -> Selection {
    let mut selection = Selection::default();
    patterns.iter().for_each(|pattern| selection.add(pattern, &[OperationType::Insert]).unwrap());
    selection
}

async fn plan(client: &Client, pattern: &str, kept: Option<StoredProgress>) -> Snapshot {
    let options = SnapshotOptions { progress: kept, ..SnapshotOptions::default() };
    Snapshot::plan(client, &mut inserts(&[pattern]), AT, options).await.unwrap()
}

/// A directory, the store in it, and where progress is kept there.
async fn progress(client: &Client) -> (TempDir, Store, StoredProgress) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&StoreKind::File(directory.path().to_owned()), client).await.unwrap();
    let kept = StoredProgress { store: store.progress(progress_key()), deployment: "rs0".to_owned() };
    (directory, store, kept)
}

fn progress_key() -> CheckpointKey {
    CheckpointKey { pipeline: "p".to_owned(), plugin: "x".to_owned(), worker: None }
}

/// The next ops, which are done at once.
async fn next(snapshot: &mut Snapshot) -> Option<Vec<Op>> {
    let batch = snapshot.next().await.unwrap()?;
    batch.ack.done();
    Some(batch.ops)
}

async fn all(snapshot: &mut Snapshot) -> Vec<Op> {
    let mut ops = Vec::new();
    while let Some(more) = next(snapshot).await {
        ops.extend(more);
    }
    ops
}

fn document(bytes: &[u8]) -> Document {
    RawDocument::from_bytes(bytes).unwrap().try_into().unwrap()
}

fn key(id: impl Into<Bson>) -> Vec<u8> {
    bson::serialize_to_vec(&doc! { "_id": id.into() }).unwrap()
}

async fn fill(own: &Database, collection: &str, ids: std::ops::Range<i32>) {
    let documents = ids.map(|id| doc! { "_id": id, "text": "some text" });
    own.collection(collection).insert_many(documents).await.unwrap();
}

/// How often each `_id` is among the ops, by its bytes.
fn counted<'a>(ops: impl IntoIterator<Item = &'a Op>) -> HashMap<Vec<u8>, usize> {
    let mut counts = HashMap::new();
    for op in ops {
        *counts.entry(op.document_key.as_ref().unwrap().to_vec()).or_default() += 1;
    }
    counts
}

/// A thousand of each type that has many values, and all of those that have few.
fn ids_of_every_type() -> Vec<Bson> {
    let mut ids = vec![Bson::MinKey, Bson::MaxKey, Bson::Null, true.into(), false.into(), f64::NAN.into()];
    for n in 0..1_000_i32 {
        let bytes = n.to_le_bytes().to_vec();
        ids.extend([
            Bson::Int32(n),
            Bson::Int64(1 << 40 | i64::from(n)),
            Bson::Double(f64::from(n) + 0.5),
            Bson::Decimal128(format!("{n}.25").parse().unwrap()),
            Bson::String(format!("s{n}")),
            bson::oid::ObjectId::new().into(),
            bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes }.into(),
            bson::Uuid::new().into(),
            bson::DateTime::from_millis(i64::from(n) - 700).into(),
            doc! { "a": n, "b": "c" }.into(),
            bson::Timestamp { time: 1, increment: n.unsigned_abs() }.into(),
        ]);
    }
    ids
}

/// Documents of which few fill a reply.
async fn fill_large(own: &Database, collection: &str, count: i32) {
    let text = "x".repeat(1_000_000);
    let documents = (0..count).map(|id| doc! { "_id": id, "text": &text });
    own.collection(collection).insert_many(documents).await.unwrap();
}

/// A collection `mixed` with an `_id` of each of these, on a server of its own: the test server takes long to drop
/// so many documents, and so they go with it.
async fn mixed() -> (Server, ManuallyDrop<Database>, Vec<Bson>) {
    let server = Server::start(Default::default()).unwrap();
    let own = Database::new(server.uri()).await;
    let ids = ids_of_every_type();
    own.collection("mixed").insert_many(ids.iter().map(|id| doc! { "_id": id })).await.unwrap();
    (server, ManuallyDrop::new(own), ids)
}
