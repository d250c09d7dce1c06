//! Documents are slices of the reply or block that they came in, and keep all of it in memory. Where few of them are wanted, they
//! are kept by themselves. Pure.

use bytes::Bytes;

use crate::op::Op;

/// What ops have less than this part of is not kept for them.
const PART: usize = 4;
/// Less than this may be kept whole.
const LITTLE: usize = 64 * 1024;

/// Copies the documents of these ops together, where these are few beside the `read` bytes that they would keep. Gives back how many
/// bytes they keep then.
pub fn keep_apart(ops: &mut [Op], read: usize) -> usize {
    let bytes = ops.iter().map(Op::size).sum::<usize>();
    if read < LITTLE || bytes >= read / PART {
        // An op can be of more than this: a transaction's pieces were read before.
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
    fn few_documents_do_not_keep_what_they_came_in_and_many_do() {
        let reply = Bytes::from((0..=u8::MAX).cycle().take(2 * LITTLE).collect::<Vec<_>>());
        let namespace = Arc::new(Namespace { database: "a".into(), collection: "b".into() });
        let op = |at: usize, length: usize| {
            let (key, document) = (reply.slice(at..at + 7), reply.slice(at..at + length));
            Op::found(Origin::Replay, Timestamp::default(), Arc::clone(&namespace), Some(key), document)
        };
        let is_kept = |op: &Op| reply.as_ptr_range().contains(&op.full_document.as_ref().unwrap().as_ptr());
        let mut few = vec![op(3, 500), op(1000, 0), op(9000, 700)];
        let before = few.clone();
        assert_eq!(keep_apart(&mut few, reply.len()), 1200 + 3 * 7);
        for (op, before) in few.iter().zip(&before) {
            assert_eq!((&op.document_key, &op.full_document), (&before.document_key, &before.full_document));
        }
        assert!(!is_kept(&few[0]) && !is_kept(&few[2]));
        let mut many = vec![op(0, LITTLE)];
        assert_eq!(keep_apart(&mut many, reply.len()), reply.len());
        assert!(is_kept(&many[0]));
    }
}
