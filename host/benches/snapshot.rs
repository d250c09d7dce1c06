//! Compares a snapshot with a bare loop of parallel cursors over the same ranges, which only counts the documents.
//!
//! Both run in turn, and the ratio of their medians counts, because times alone mean little on a shared machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark panics if it fails, and prints its results"
)]

mod entries;

use std::time::{Duration, Instant};

use bson::{Document, doc};
use futures_util::StreamExt;
use gtm_oplog::{Selection, Timestamp};
use gtm_source::{Snapshot, SnapshotOptions, StoredProgress};
use gtm_store::{CheckpointKey, Store, StoreKind};
use gtm_test_support::Server;
use mongodb::Client;
use mongodb::action::Action;
use mongodb::options::{Hint, ReadConcern};
use serde_json::Value;
use tokio::task::JoinSet;

const DOCUMENTS: i32 = 40_000;
const ROUNDS: usize = 5;
const PARALLEL: usize = 2;

#[tokio::main]
async fn main() {
    // `cargo test --all-targets` runs benchmarks too; a long one is useless there.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let server = Server::ready().unwrap();
    let client = Client::with_uri_str(server.uri()).await.unwrap();
    let database = client.database(&format!("gtm_bench_{}", bson::oid::ObjectId::new()));
    let documents = database.collection::<Document>("documents");
    for start in (0..DOCUMENTS).step_by(10_000) {
        let some = (start..start + 10_000).map(|id| doc! { "_id": id, "text": "x".repeat(270) });
        documents.insert_many(some).await.unwrap();
    }
    let namespace = documents.namespace().to_string();
    let ranges = ranges(&client, &namespace).await;

    let (mut bare, mut taken) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let started = Instant::now();
        assert_eq!(count(&documents, &ranges).await, DOCUMENTS);
        bare.push(started.elapsed().as_secs_f64());
        let started = Instant::now();
        assert_eq!(take(&client, &namespace).await, DOCUMENTS);
        taken.push(started.elapsed().as_secs_f64());
    }
    let (bare, taken) = (entries::median(bare), entries::median(taken));
    let rate = |time: f64| f64::from(DOCUMENTS) / time;
    println!("{DOCUMENTS} documents of 300 bytes in {} ranges, {PARALLEL} at a time:", ranges.len());
    println!(
        "  bare cursors {:.0}/s, a snapshot with its plan {:.0}/s: ratio {:.2}",
        rate(bare),
        rate(taken),
        bare / taken
    );
    println!("  the server, {}, bounds both", server.describe());
    // The test server takes long to drop a database, and ends with this process.
    let _ = tokio::time::timeout(Duration::from_secs(5), database.drop()).await;
}

fn selection(namespace: &str) -> Selection {
    let mut selection = Selection::default();
    selection.add(namespace, &[]).unwrap();
    selection
}

/// Returns the bounds of the ranges of a snapshot.
async fn ranges(client: &Client, namespace: &str) -> Vec<(Option<Document>, Option<Document>)> {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&StoreKind::File(directory.path().to_owned()), client).await.unwrap();
    let key = CheckpointKey { pipeline: String::new(), plugin: String::new(), worker: None };
    let kept = Some(StoredProgress { store: store.progress(key.clone()), deployment: String::new() });
    let options = SnapshotOptions { parallel: PARALLEL, progress: kept };
    drop(Snapshot::plan(client, &mut selection(namespace), Timestamp::default(), options).await.unwrap());
    let state: Value =
        serde_json::from_slice(&store.snapshot_progress(&key).await.unwrap().unwrap()).unwrap();
    let bound = |range: &Value, name| {
        range.get(name).map(|id| Document::try_from(id.as_object().unwrap().clone()).unwrap())
    };
    let ranges = state.pointer("/collections/0/ranges").unwrap().as_array().unwrap();
    ranges.iter().map(|range| (bound(range, "from"), bound(range, "to"))).collect()
}

/// Counts the documents as a program without gtm-host would at best.
async fn count(
    documents: &mongodb::Collection<Document>,
    ranges: &[(Option<Document>, Option<Document>)],
) -> i32 {
    let (mut running, mut counted) = (JoinSet::new(), 0);
    for (from, to) in ranges.iter().cloned() {
        if running.len() == PARALLEL {
            counted += running.join_next().await.unwrap().unwrap();
        }
        let documents = documents.clone();
        running.spawn(async move {
            let find = documents.find(doc! {}).sort(doc! { "_id": 1 }).hint(Hint::Keys(doc! { "_id": 1 }));
            let find = find.read_concern(ReadConcern::majority()).batch_size(5_000);
            let find = find.optional(from, |find, from| find.min(from)).optional(to, |find, to| find.max(to));
            let (mut cursor, mut counted) = (find.batch().await.unwrap(), 0);
            while let Some(batch) = cursor.next().await {
                counted += i32::try_from(batch.unwrap().doc_slices().unwrap().into_iter().count()).unwrap();
            }
            counted
        });
    }
    counted + running.join_all().await.into_iter().sum::<i32>()
}

async fn take(client: &Client, namespace: &str) -> i32 {
    let options = SnapshotOptions { parallel: PARALLEL, progress: None };
    let mut snapshot =
        Snapshot::plan(client, &mut selection(namespace), Timestamp::default(), options).await.unwrap();
    let mut taken = 0;
    while let Some(batch) = snapshot.next().await.unwrap() {
        taken += i32::try_from(batch.ops.len()).unwrap();
        batch.ack.done();
    }
    taken
}
