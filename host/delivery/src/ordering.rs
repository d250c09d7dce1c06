//! Which ops are handled one after another.

use std::hash::{DefaultHasher, Hash, Hasher};

use bson::RawDocument;
use gtm_oplog::reply::id_of;
use gtm_oplog::{Op, OperationType, Origin};
use serde::Deserialize;

/// Which ops are handled one after another. Others are handled at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ordering {
    /// The ops of one document. A command, such as a drop, waits for all ops before it, and all ops after it wait for it.
    #[default]
    Document,
    /// The ops of one namespace. A rename and the drop of a database wait for all ops before them, and all ops after them wait.
    Namespace,
    /// All ops.
    Oplog,
    /// None: all ops may be handled at the same time.
    None,
}

/// Where an op is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LaneRoute {
    /// In this lane, after those before it.
    Lane(usize),
    /// In any lane.
    Any,
    /// After all ops before it, and before all ops after it.
    Alone,
}

impl Ordering {
    /// Returns where `op` is queued, given the number of lanes.
    pub(super) fn route(self, op: &Op, lanes: usize) -> LaneRoute {
        let concerns_several =
            matches!(op.operation_type, OperationType::Rename | OperationType::DropDatabase);
        let is_command =
            op.document_key.is_none() && op.full_document.is_none() && op.origin != Origin::Snapshot;
        let mut hasher = DefaultHasher::new();
        match self {
            Self::Oplog => return LaneRoute::Lane(0),
            Self::None => return LaneRoute::Any,
            Self::Namespace if concerns_several => return LaneRoute::Alone,
            Self::Document if concerns_several || is_command => return LaneRoute::Alone,
            Self::Namespace => op.namespace.hash(&mut hasher),
            Self::Document => {
                op.namespace.hash(&mut hasher);
                // Only some ops of a document have the shard key beside `_id`.
                let key = op.document_key.as_deref().and_then(|key| RawDocument::from_bytes(key).ok());
                match key.filter(|key| key.iter_elements().nth(1).is_some()).and_then(id_of) {
                    Some(id) => id.as_bytes().hash(&mut hasher),
                    None => op.document_key.as_deref().unwrap_or_default().hash(&mut hasher),
                }
            }
        }
        let lanes = u64::try_from(lanes).unwrap_or(1).max(1);
        LaneRoute::Lane(usize::try_from(hasher.finish() % lanes).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;
    use crate::testing::keyed;

    fn op_with_key(key: bson::RawDocumentBuf) -> Op {
        let mut op = keyed(1, "a.things", 0);
        op.document_key = Some(key.into_bytes().into());
        op
    }

    #[test]
    fn a_document_has_one_lane_with_or_without_a_shard_key() {
        let lanes = 1000;
        let lane = |op: &Op| Ordering::Document.route(op, lanes);
        assert_eq!(lane(&keyed(1, "a.things", 7)), lane(&keyed(2, "a.things", 7)));
        assert_ne!(lane(&keyed(1, "a.things", 7)), lane(&keyed(1, "a.things", 8)));
        assert_ne!(lane(&keyed(1, "a.things", 7)), lane(&keyed(1, "b.things", 7)));
        assert_eq!(
            lane(&op_with_key(rawdoc! { "_id": 7_i64 })),
            lane(&op_with_key(rawdoc! { "region": "eu", "_id": 7_i64 }))
        );
    }

    #[test]
    fn a_command_is_handled_alone_if_documents_are_ordered() {
        let mut drop = keyed(1, "a.things", 7);
        (drop.document_key, drop.full_document) = (None, None);
        drop.operation_type = OperationType::Drop;
        assert_eq!(Ordering::Document.route(&drop, 4), LaneRoute::Alone);
        assert_eq!(
            Ordering::Namespace.route(&drop, 4),
            Ordering::Namespace.route(&keyed(1, "a.things", 1), 4)
        );
        drop.operation_type = OperationType::Rename;
        assert_eq!(Ordering::Namespace.route(&drop, 4), LaneRoute::Alone);
        assert_eq!(Ordering::Oplog.route(&drop, 4), LaneRoute::Lane(0));
        assert_eq!(Ordering::None.route(&drop, 4), LaneRoute::Any);
    }
}
