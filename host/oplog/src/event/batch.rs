//! Decodes a reply of a change stream into ops and the position after them.

use super::token::ResumeToken;
use crate::event::decoder::{ChangeEventDecoder, EventEffect};
use crate::op::Op;
use crate::reply::{Malformed, Reply, document};

/// The ops and the position in one reply.
#[derive(Debug)]
pub struct ChangeEventBatch {
    /// The wanted ops, in the order of the stream.
    pub ops: Vec<Op>,
    /// The position at which the stream resumes after the reply. None: the position has not changed.
    pub position: Option<ResumeToken>,
    /// Whether the reply ends the stream, which can be opened again at the position.
    pub invalidated: bool,
}

impl ChangeEventDecoder {
    /// Decodes the events of a reply.
    ///
    /// ```
    /// use bson::{doc, serialize_to_vec};
    /// use gtm_oplog::{ChangeEventDecoder, OperationType, Reply, Selection};
    ///
    /// let event = doc! {
    ///     "_id": { "_data": "8263501A0A000000012B0429296E1404" },
    ///     "operationType": "insert",
    ///     "clusterTime": bson::Timestamp { time: 7, increment: 1 },
    ///     "ns": { "db": "shop", "coll": "orders" },
    ///     "documentKey": { "_id": 1 },
    ///     "fullDocument": { "_id": 1, "total": 30 },
    /// };
    /// let reply = doc! { "cursor": { "id": 0_i64, "ns": "shop.orders", "nextBatch": [event] }, "ok": 1 };
    /// let reply = Reply::new(serialize_to_vec(&reply)?.into());
    ///
    /// let batch = ChangeEventDecoder::new(Selection::everything()).read(&reply)?;
    /// let [op] = &batch.ops[..] else { return Err("expected one op".into()) };
    /// assert_eq!((op.operation_type, op.namespace.to_string()), (OperationType::Insert, "shop.orders".to_owned()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The bytes are not the reply of a cursor.
    pub fn read(&mut self, reply: &Reply) -> Result<ChangeEventBatch, Malformed> {
        let mut batch = ChangeEventBatch { ops: Vec::new(), position: None, invalidated: false };
        let mut last = None;
        for value in reply.documents()? {
            match value.map_err(Malformed::from).and_then(document) {
                Ok(event) => {
                    let read = self.read_event(reply, event, &mut batch.ops);
                    if read != EventEffect::Fragment {
                        last = event.get_document("_id").ok().or(last);
                    }
                    batch.invalidated |= read == EventEffect::Invalidate;
                }
                Err(malformed) => {
                    self.report_malformed(&malformed);
                }
            }
        }
        batch.position = last.map(ResumeToken::new);
        // Between the fragments of an event, the server's position after the batch also lies between them.
        if !batch.invalidated && !self.is_amid_fragments() {
            batch.position = place_after(reply)?.or(batch.position);
        }
        Ok(batch)
    }
}

/// Returns the server's position after a reply. It advances even if no events arrive.
fn place_after(reply: &Reply) -> Result<Option<ResumeToken>, Malformed> {
    let reply = reply.as_document()?;
    let token = reply.get_document("cursor").and_then(|cursor| cursor.get_document("postBatchResumeToken"));
    Ok(token.ok().map(ResumeToken::new))
}
