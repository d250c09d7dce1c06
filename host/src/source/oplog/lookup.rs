//! Finds the documents that updates leave out: the oplog says what changed, plugins want the whole.
//! One query per namespace and batch of ops, not one per op.

use std::collections::HashMap;
use std::sync::Arc;

use bson::{RawArrayBuf, RawDocument, RawDocumentBuf};
use bytes::Bytes;
use futures_util::StreamExt;
use mongodb::Client;
use mongodb::options::ReadConcern;

use super::batch::{Reply, id_of};
use super::tail::reply;
use crate::op::{Namespace, Op, OperationType};

/// Keys asked for in one query, so that it stays far below the 48 MB of a message even where the
/// keys are large documents.
const KEYS_PER_QUERY: usize = 1000;

/// Fills in the full documents of the updates among `ops`, as they are now. An update whose document
/// is gone keeps none.
///
/// # Errors
/// The server could not be asked; `ops` then has some of them, and may be given again.
pub(super) async fn full_documents(client: &Client, ops: &mut [Op]) -> mongodb::error::Result<()> {
    let mut wanted: HashMap<Arc<Namespace>, HashMap<Vec<u8>, Vec<usize>>> = HashMap::new();
    for (index, op) in ops.iter().enumerate() {
        if op.operation_type == OperationType::Update
            && op.full_document.is_none()
            && let Some(key) = key(op)
        {
            let keys = wanted.entry(Arc::clone(&op.namespace)).or_default();
            keys.entry(key.into_bytes()).or_default().push(index);
        }
    }
    for (namespace, keys) in wanted {
        let all: Vec<_> = keys.keys().collect();
        for some in all.chunks(KEYS_PER_QUERY) {
            find(client, &namespace, some, |id, document| {
                for index in keys.get(id).into_iter().flatten() {
                    if let Some(op) = ops.get_mut(*index) {
                        op.full_document = Some(document.clone());
                    }
                }
            })
            .await?;
        }
    }
    Ok(())
}

/// Calls `found` with `{_id}` and document of each that is there.
async fn find(
    client: &Client,
    namespace: &Namespace,
    keys: &[&Vec<u8>],
    mut found: impl FnMut(&[u8], Bytes),
) -> mongodb::error::Result<()> {
    let mut ids = RawArrayBuf::new();
    for key in keys {
        if let Ok(Some(id)) = RawDocument::from_bytes(key).and_then(|key| key.get("_id")) {
            ids.push(id);
        }
    }
    let filter = bson::rawdoc! { "_id": { "$in": ids } };
    let mut cursor = client
        .database(&namespace.database)
        .collection::<RawDocumentBuf>(&namespace.collection)
        .find(bson::Document::try_from(filter)?)
        .read_concern(ReadConcern::majority())
        .batch()
        .await?;
    while let Some(batch) = cursor.next().await {
        let reply: Reply = reply(batch?);
        let documents = reply.documents().map_err(mongodb::error::Error::custom)?;
        for value in documents.into_iter() {
            if let Some(document) = value?.as_document()
                && let Some(id) = id_of(document)
            {
                found(id.as_bytes(), reply.cut(document));
            }
        }
    }
    Ok(())
}

fn key(op: &Op) -> Option<RawDocumentBuf> {
    id_of(RawDocument::from_bytes(op.document_key.as_ref()?).ok()?)
}
