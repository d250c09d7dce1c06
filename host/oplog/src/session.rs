//! Sessions, and the transactions in them.

use std::sync::Arc;

use bson::RawDocument;

use super::value::integer;
use crate::hexadecimal::hexadecimal;

/// A session (`lsid`) and its transaction (`txnNumber`), in words: the same whatever the source.
/// Transactions that the server makes for itself, within one of a client's, have the client's session and
/// something more in it (`txnUUID`, `txnNumber`).
pub(super) fn transaction_id(session: &RawDocument, number: i64) -> Option<Arc<str>> {
    let mut id = hexadecimal(session.get_binary("id").ok()?.bytes);
    if let Ok(inner) = session.get_binary("txnUUID") {
        id = format!("{id}.{}", hexadecimal(inner.bytes));
    }
    if let Some(inner) = session.get("txnNumber").ok().flatten().and_then(integer) {
        id = format!("{id}.{inner}");
    }
    Some(format!("{id}.{number}").into())
}
