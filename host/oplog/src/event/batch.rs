//! What a reply of the server brings: ops, and the place after it. Pure: bytes in, ops out.

use super::token::{ResumeToken, StreamStart};
use crate::event::decoder::{ChangeEventDecoder, EventEffect};
use crate::op::Op;
use crate::reply::{Malformed, Reply, document};

/// What a reply brings.
#[derive(Debug)]
pub struct ChangeEventBatch {
    /// The wanted ops, in the order of the stream.
    pub ops: Vec<Op>,
    /// Where the stream goes on after it. None: where it was.
    pub position: Option<StreamStart>,
    /// It ends the stream, which can be opened again at that place.
    pub invalidated: bool,
}

impl ChangeEventDecoder {
    /// Makes ops of the events of a reply.
    ///
    /// # Errors
    /// It is not the reply of a cursor.
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
                    self.malformed(&malformed);
                }
            }
        }
        batch.position = last.map(|token| StreamStart::After(ResumeToken::new(token)));
        // Amid the fragments of an event, the place after the batch is amid them too.
        if !batch.invalidated && !self.is_amid_fragments() {
            batch.position = place_after(reply)?.or(batch.position);
        }
        Ok(batch)
    }
}

/// The place after a reply, as the server says it. It moves on while nothing comes, too.
fn place_after(reply: &Reply) -> Result<Option<StreamStart>, Malformed> {
    let reply = reply.as_document()?;
    let token = reply.get_document("cursor").and_then(|cursor| cursor.get_document("postBatchResumeToken"));
    Ok(token.ok().map(|token| StreamStart::After(ResumeToken::new(token))))
}
