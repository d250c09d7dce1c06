//! Finds the documents that updates leave out: the oplog says what changed, plugins want the whole.
//! One query per namespace for many ops, not one per op.

use std::collections::HashMap;
use std::sync::Arc;

use bson::{RawArrayBuf, RawDocument, RawDocumentBuf, rawdoc};
use futures_util::StreamExt;
use mongodb::Client;

use super::reply::{Reply, id_of};
use super::tail::reply;
use crate::op::{Namespace, Op, OperationType};

/// Ops whose documents are looked up at once: their keys make a command of far less than its 16 MB.
pub(super) const MOST: usize = 1000;
/// Bytes of documents that are looked up at once.
const BUDGET: usize = 32 << 20;

/// The ops to fill in, by namespace and `{_id}`.
type Wanted = HashMap<Arc<Namespace>, HashMap<Vec<u8>, Vec<usize>>>;

/// Fills in the full documents of the updates among `ops`, as they are now. An update whose document
/// is gone keeps none.
///
/// Gives back whether all were found out: false where the documents are larger than the host keeps at
/// once. It may then be called again for fewer ops.
///
/// # Errors
/// The server could not be asked. It may be called again.
pub(super) async fn full_documents(client: &Client, ops: &mut [Op]) -> mongodb::error::Result<bool> {
    let mut bytes = 0;
    let wanted = wanted(ops);
    let alone = wanted.values().map(HashMap::len).sum::<usize>() == 1;
    for (namespace, ops_of) in wanted {
        let mut cursor = client
            .database(&namespace.database)
            // From the primary: another member may not yet have what was just read.
            .run_raw_cursor_command(find(&namespace, ops_of.keys()))
            .batch()
            .await?;
        while let Some(batch) = cursor.next().await {
            let reply: Reply = reply(batch?);
            let documents = reply.documents().map_err(mongodb::error::Error::custom)?;
            for value in documents.into_iter() {
                let Some(document) = value?.as_document() else { continue };
                bytes += document.as_bytes().len();
                if bytes > BUDGET && !alone {
                    return Ok(false);
                }
                let found = id_of(document).and_then(|id| ops_of.get(id.as_bytes()));
                for index in found.into_iter().flatten() {
                    if let Some(op) = ops.get_mut(*index) {
                        op.full_document = Some(reply.cut(document));
                    }
                }
            }
        }
    }
    Ok(true)
}

fn wanted(ops: &[Op]) -> Wanted {
    let mut wanted = Wanted::new();
    for (index, op) in ops.iter().enumerate() {
        if let (OperationType::Update, Some(key)) = (op.operation_type, id(op)) {
            let ops_of = wanted.entry(Arc::clone(&op.namespace)).or_default();
            ops_of.entry(key.into_bytes()).or_default().push(index);
        }
    }
    wanted
}

/// `{_id}` of the document that an op changed.
fn id(op: &Op) -> Option<RawDocumentBuf> {
    id_of(RawDocument::from_bytes(op.document_key.as_ref()?).ok()?)
}

/// Raw, so that a key which is not UTF-8 is the server's to judge, as the document with it was.
fn find<'a>(namespace: &Namespace, keys: impl Iterator<Item = &'a Vec<u8>>) -> RawDocumentBuf {
    let mut ids = RawArrayBuf::new();
    for key in keys {
        if let Ok(Some(id)) = RawDocument::from_bytes(key).and_then(|key| key.get("_id")) {
            ids.push(id);
        }
    }
    rawdoc! {
        "find": namespace.collection.to_string(),
        "filter": { "_id": { "$in": ids } },
        "readConcern": { "level": "majority" },
    }
}
