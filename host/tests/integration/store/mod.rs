//! The store, on the cluster and in a directory: what all its tests need.

mod checkpoints;
mod commands;
mod damaged;
mod directory;
mod letters;
mod state;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bson::oid::ObjectId;
use bytes::Bytes;
use gtm_oplog::{Namespace, Op, OpPlace, OperationType, Origin, Timestamp};
use gtm_source::Position;
use gtm_store::{Checkpoint, CheckpointKey, DeadLetter, DeadLetterKind, Store, StoreKind};
use gtm_test_support::Server;
use tempfile::TempDir;

use crate::support::Database;

/// A server, and a store of each kind: on it, and in a directory.
async fn both() -> (Server, Database, TempDir, [Store; 2]) {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let directory = tempfile::tempdir().unwrap();
    let cluster = Store::open(&StoreKind::Mongodb, &own.client).await.unwrap();
    let file = in_directory(&directory, &own).await;
    (server, own, directory, [cluster, file])
}

async fn in_directory(directory: &TempDir, own: &Database) -> Store {
    Store::open(&StoreKind::File(directory.path().to_owned()), &own.client).await.unwrap()
}

/// A key that no other test has.
fn key() -> CheckpointKey {
    CheckpointKey { pipeline: ObjectId::new().to_hex(), plugin: "mail".to_owned(), worker: None }
}

fn checkpoint(increment: u32, epoch: u64) -> Checkpoint {
    Checkpoint {
        deployment: "the replica set rs0".to_owned(),
        position: Position::OplogOp(Timestamp { time: 1_700_000_000, increment }, 3),
        timestamp: Some(Timestamp { time: 1_700_000_000, increment }),
        workers: Some(vec!["a".to_owned(), "b".to_owned()]),
        epoch,
        restarted: Some("oldest".to_owned()),
    }
}

fn op(increment: u32, document: impl Into<Bytes>) -> Op {
    let namespace = Arc::new(Namespace { database: "shop".into(), collection: "orders".into() });
    let timestamp = Timestamp { time: 1_700_000_000, increment };
    let key = bson::serialize_to_vec(&bson::doc! { "_id": increment }).unwrap();
    let mut op = Op::from_document(Origin::Oplog, timestamp, namespace, Some(key.into()), document.into());
    op.operation_type = OperationType::Update;
    op.place = OpPlace::Index(0);
    op
}

fn letter(pipeline: &str, op: Op) -> DeadLetter {
    // The store keeps milliseconds.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let now = UNIX_EPOCH + Duration::from_millis(u64::try_from(now).unwrap());
    DeadLetter {
        id: DeadLetter::id_of(pipeline, "mail", &op),
        pipeline: pipeline.to_owned(),
        plugin: "mail".to_owned(),
        version: "0123456789ab".to_owned(),
        op,
        kind: DeadLetterKind::Failed,
        error: "connection refused".to_owned(),
        attempts: 8,
        first_attempt: now - Duration::from_secs(60),
        time: now,
    }
}
