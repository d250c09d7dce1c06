//! The ids of transactions, made from their sessions.

use std::sync::Arc;

use bson::RawDocument;

use super::value::integer;

/// Returns the id of a session's (`lsid`) transaction (`txnNumber`), which is the same for every source. None: the
/// session has no id.
///
/// A transaction that the server starts itself, within one of a client's, has the client's session with further fields
/// (`txnUUID`, `txnNumber`).
pub(super) fn transaction_id(session: &RawDocument, number: i64) -> Option<Arc<str>> {
    let mut id = hex::encode(session.get_binary("id").ok()?.bytes);
    if let Ok(inner) = session.get_binary("txnUUID") {
        id = format!("{id}.{}", hex::encode(inner.bytes));
    }
    if let Some(inner) = session.get("txnNumber").ok().flatten().and_then(integer) {
        id = format!("{id}.{inner}");
    }
    Some(format!("{id}.{number}").into())
}
