//! Releases the memory of replies whose ops were mostly skipped.
//!
//! Documents are slices of the reply or block that they came in, and keep all of it in memory. If few of them are
//! wanted, their bytes are copied instead.

use bytes::Bytes;

use crate::op::Op;

/// Ops whose documents are less than one part in this many of what was read do not keep it in memory.
const MIN_PART: usize = 4;
/// Replies and blocks below this size, in bytes, are always kept whole.
const MIN_COMPACTED_BYTES: usize = 64 * 1024;

/// Copies the documents of these ops together if they are small compared to the `read` bytes that they would keep in
/// memory. Returns the number of bytes that they keep afterwards.
pub fn compact_documents(ops: &mut [Op], read: usize) -> usize {
    let bytes = ops.iter().map(Op::size).sum::<usize>();
    if read < MIN_COMPACTED_BYTES || bytes >= read / MIN_PART {
        // The ops can be larger than what was read: the pieces of a transaction were read earlier.
        return read.max(bytes);
    }
    let mut copy = Vec::with_capacity(bytes);
    ops.iter_mut().flat_map(Op::documents_mut).for_each(|document| copy.extend_from_slice(document));
    let mut rest = Bytes::from(copy);
    for document in ops.iter_mut().flat_map(Op::documents_mut) {
        *document = rest.split_to(document.len().min(rest.len()));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::op::{Namespace, Origin, Timestamp};

    #[test]
    fn a_few_documents_are_copied_out_of_their_reply_and_many_are_not() {
        let reply = Bytes::from((0..=u8::MAX).cycle().take(2 * MIN_COMPACTED_BYTES).collect::<Vec<_>>());
        let namespace = Arc::new(Namespace { database: "a".into(), collection: "b".into() });
        let op = |at: usize, length: usize| {
            let (key, document) = (reply.slice(at..at + 7), reply.slice(at..at + length));
            Op::from_document(
                Origin::Replay,
                Timestamp::default(),
                Arc::clone(&namespace),
                Some(key),
                document,
            )
        };
        let is_kept = |op: &Op| reply.as_ptr_range().contains(&op.full_document.as_ref().unwrap().as_ptr());
        let mut few = vec![op(3, 500), op(1000, 0), op(9000, 700)];
        let before = few.clone();
        assert_eq!(compact_documents(&mut few, reply.len()), 1200 + 3 * 7);
        for (op, before) in few.iter().zip(&before) {
            assert_eq!((&op.document_key, &op.full_document), (&before.document_key, &before.full_document));
        }
        assert!(!is_kept(&few[0]) && !is_kept(&few[2]));
        let mut many = vec![op(0, MIN_COMPACTED_BYTES)];
        assert_eq!(compact_documents(&mut many, reply.len()), reply.len());
        assert!(is_kept(&many[0]));
    }
}
