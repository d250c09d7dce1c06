//! Change streams of a real server, by the library.

mod cases;
mod failures;
mod places;
mod shapes;

use bson::{RawDocument, doc};
use gtm_oplog::{Op, Selection};
use gtm_source::{ChangeStream, Scope, StartAt, StreamError, StreamOptions};
use mongodb::{Client, Namespace};

use crate::cases::describe;
use crate::support::{Database, LIMIT};

async fn open(client: &Client, scope: Scope, start: StartAt) -> Result<ChangeStream, StreamError> {
    ChangeStream::open(client, scope, Selection::everything(), start, StreamOptions::default()).await
}

/// The next `count` ops of a database.
async fn ops(stream: &mut ChangeStream, own: &Database, count: usize) -> Vec<Op> {
    let mut ops = Vec::new();
    let reading = async {
        while ops.len() < count {
            let next = stream.next().await.unwrap().ops;
            ops.extend(next.into_iter().filter(|op| *op.namespace.database == *own.name));
        }
    };
    let done = tokio::time::timeout(LIMIT, reading).await.is_ok();
    assert!(done && ops.len() == count, "{count} ops should have come, not {}", brief(own, &ops).join("\n"));
    ops
}

/// The next `count` ops, each in a line, without what is different in each run.
async fn seen(stream: &mut ChangeStream, own: &Database, count: usize) -> Vec<String> {
    brief(own, &ops(stream, own, count).await)
}

fn brief(own: &Database, ops: &[Op]) -> Vec<String> {
    let parts = ["documentKey", "fullDocument", "fullDocumentBeforeChange", "updateDescription", "command"];
    let line = |op| {
        let described = describe(op);
        let part = |name: &str| described.get(name).map(|part| format!(" {part}")).unwrap_or_default();
        let [operation, ns] = ["operationType", "ns"].map(|name| described[name].as_str().unwrap());
        format!("{operation} {ns}{}", parts.map(part).concat()).replace(&own.name, "own")
    };
    ops.iter().map(line).collect()
}

fn ids(ops: &[Op]) -> Vec<i32> {
    let id =
        |op: &Op| RawDocument::from_bytes(op.document_key.as_ref().unwrap()).unwrap().get_i32("_id").unwrap();
    ops.iter().map(id).collect()
}

async fn insert(own: &Database, ids: impl IntoIterator<Item = i32>) {
    own.collection("things").insert_many(ids.into_iter().map(|id| doc! { "_id": id })).await.unwrap();
}

async fn create(own: &Database) {
    own.client.database(&own.name).create_collection("things").await.unwrap();
}

fn things(own: &Database) -> Scope {
    Scope::Collection(Namespace { db: own.name.clone(), coll: "things".to_owned() })
}
