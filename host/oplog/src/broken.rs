//! Counts ops whose documents are broken inside. Such ops are delivered unchanged.

use bson::RawDocument;

use super::skip::{Skip, Skipped, count};
use crate::fields::check;
use crate::op::Op;

/// Counts the ops with a part that cannot be decoded, and logs the first of them.
pub fn count_broken<'a>(ops: impl IntoIterator<Item = &'a Op>, skipped: &mut Skipped) {
    for op in ops {
        let Some((part, reason)) = broken_part(op) else { continue };
        if count(skipped, Skip::BrokenDocument) == 1 {
            tracing::error!(
                event = "op.deliver_broken", op = %op.id(), namespace = %op.namespace, part, error = reason,
                "a part of the op cannot be decoded; it is delivered unchanged. Further such ops are counted, not logged"
            );
        }
    }
}

/// Returns the name of the first part that cannot be decoded, and the reason.
fn broken_part(op: &Op) -> Option<(&'static str, String)> {
    op.documents().into_iter().find_map(|(name, document)| {
        let document = RawDocument::from_bytes(document?).map_err(|error| error.to_string());
        let checked = document.and_then(|document| check(document).map_err(|broken| broken.to_string()));
        Some((name, checked.err()?))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bson::doc;

    use super::*;
    use crate::op::{Namespace, Origin, Timestamp};

    fn op(time: u32) -> Op {
        let namespace = Arc::new(Namespace { database: "a".into(), collection: "b".into() });
        let document = bson::serialize_to_vec(&doc! { "_id": 1 }).unwrap();
        Op::from_document(Origin::Oplog, Timestamp { time, increment: 0 }, namespace, None, document.into())
    }

    #[test]
    fn a_broken_part_is_counted_anywhere() {
        let mut bytes = bson::serialize_to_vec(&doc! { "a": { "b": true } }).unwrap();
        let at = bytes.iter().position(|byte| *byte == b'b').unwrap();
        bytes[at + 2] = 7;
        let whole = op(1);
        let mut broken = op(2);
        broken.update_description = Some(bytes.into());
        let mut short = op(3);
        short.full_document_before_change = Some(vec![5, 0, 0].into());
        let mut skipped = Skipped::new();
        count_broken([&whole, &broken, &short], &mut skipped);
        assert_eq!(skipped.into_iter().collect::<Vec<_>>(), [(Skip::BrokenDocument, 2)]);
        assert_eq!(broken_part(&broken).unwrap().0, "updateDescription");
    }
}
