//! Looks up the documents of updates: the oplog contains only what changed, and plugins want the whole document. One query
//! serves many ops of a namespace.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bson::{RawArrayBuf, RawDocument, RawDocumentBuf, rawdoc};
use futures_util::StreamExt;
use gtm_mongo::server_error::{is_retryable, is_unreadable, sentence};
use gtm_mongo::wire::reply;
use gtm_oplog::reply::id_of;
use gtm_oplog::{Namespace, Op, OperationType, Reply};
use mongodb::Client;

/// The maximum number of ops whose documents are looked up together: their keys make a command of far less than 16 MB.
pub(super) const MAX_OPS: usize = 1000;
/// The maximum size of the documents that are looked up together, in bytes.
const MAX_BYTES: usize = 32 << 20;

/// The indexes of the ops to complete, by namespace and `{_id}`.
type PendingLookups = HashMap<Arc<Namespace>, HashMap<Vec<u8>, Vec<usize>>>;

/// The namespaces whose documents cannot be looked up. Each is logged once.
pub(super) type RefusedNamespaces = HashSet<Arc<Namespace>>;

/// Adds the current full documents to the updates among `ops`. An update gets none if its document was deleted, or if the
/// namespace cannot be read, which is added to `refused`.
///
/// Returns how many bytes were read. None: the documents together are too large; fewer ops may succeed.
///
/// # Errors
/// The server could not answer now. Another attempt may succeed.
pub(super) async fn full_documents(
    client: &Client,
    ops: &mut [Op],
    refused: &mut RefusedNamespaces,
) -> mongodb::error::Result<Option<usize>> {
    let wanted = wanted(ops);
    let alone = wanted.values().map(HashMap::len).sum::<usize>() == 1;
    // A single document may have any size.
    let budget = if alone { usize::MAX } else { MAX_BYTES };
    let mut room = budget;
    for (namespace, ops_of) in wanted {
        match fill(client, &namespace, &ops_of, ops, &mut room).await {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) if is_unreadable(&error) && !alone => return Ok(None),
            Err(error) if is_retryable(&error) => return Err(error),
            Err(error) => {
                if refused.insert(Arc::clone(&namespace)) {
                    tracing::warn!(
                        event = "lookup.skip", %namespace, error = sentence(&error),
                        "full documents cannot be read; updates are delivered without them"
                    );
                }
            }
        }
    }
    Ok(Some(budget - room))
}

/// Adds the documents of one namespace. Returns false if there is no room for them.
async fn fill(
    client: &Client,
    namespace: &Namespace,
    ops_of: &HashMap<Vec<u8>, Vec<usize>>,
    ops: &mut [Op],
    room: &mut usize,
) -> mongodb::error::Result<bool> {
    // From the primary: another member may not have the latest documents yet.
    let find = find(namespace, ops_of.keys());
    let mut cursor = client.database(&namespace.database).run_raw_cursor_command(find).batch().await?;
    while let Some(batch) = cursor.next().await {
        let reply: Reply = reply(batch?);
        let documents = reply.documents().map_err(mongodb::error::Error::custom)?;
        for value in documents.into_iter() {
            let Some(document) = value?.as_document() else { continue };
            let Some(rest) = room.checked_sub(document.as_bytes().len()) else { return Ok(false) };
            *room = rest;
            let found = id_of(document).and_then(|id| ops_of.get(id.as_bytes()));
            for index in found.into_iter().flatten() {
                if let Some(op) = ops.get_mut(*index) {
                    op.full_document = Some(reply.cut(document));
                }
            }
        }
    }
    Ok(true)
}

fn wanted(ops: &[Op]) -> PendingLookups {
    let mut wanted = PendingLookups::new();
    for (index, op) in ops.iter().enumerate() {
        if let (OperationType::Update, Some(key)) = (op.operation_type, id(op)) {
            let ops_of = wanted.entry(Arc::clone(&op.namespace)).or_default();
            ops_of.entry(key.into_bytes()).or_default().push(index);
        }
    }
    wanted
}

/// Returns `{_id}` of the document that an op changed.
fn id(op: &Op) -> Option<RawDocumentBuf> {
    id_of(RawDocument::from_bytes(op.document_key.as_ref()?).ok()?)
}

/// Returns the query. It is raw, so that the server gets a key that is not UTF-8 as it is.
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
