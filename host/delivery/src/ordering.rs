//! Which ops are handled one after another.

use std::hash::{DefaultHasher, Hash, Hasher};

use bson::RawDocument;
use gtm_oplog::reply::id_of;
use gtm_oplog::{Op, OperationType, Origin};
use serde::Deserialize;

/// Which ops are handled one after another; others are handled at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ordering {
    /// Those of one document. A command, such as a drop, waits for all ops before it, and all after it wait for it.
    #[default]
    Document,
    /// Those of one namespace. A rename, and the drop of a database, wait and are waited for as above.
    Namespace,
    /// All.
    Oplog,
    /// None.
    None,
}

/// Where an op is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LaneRoute {
    /// After those before it in this lane.
    Lane(usize),
    /// Wherever there is room.
    Any,
    /// After all before it, and before all after it.
    Alone,
}

impl Ordering {
    /// Where `op` is handled, of so many lanes.
    pub(super) fn route(self, op: &Op, lanes: usize) -> LaneRoute {
        let of_several = matches!(op.operation_type, OperationType::Rename | OperationType::DropDatabase);
        let is_command =
            op.document_key.is_none() && op.full_document.is_none() && op.origin != Origin::Snapshot;
        let mut hasher = DefaultHasher::new();
        match self {
            Self::Oplog => return LaneRoute::Lane(0),
            Self::None => return LaneRoute::Any,
            Self::Namespace if of_several => return LaneRoute::Alone,
            Self::Document if of_several || is_command => return LaneRoute::Alone,
            Self::Namespace => op.namespace.hash(&mut hasher),
            Self::Document => {
                op.namespace.hash(&mut hasher);
                // A shard key stands beside it in some ops and not in others.
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

    fn key(key: bson::RawDocumentBuf) -> Op {
        let mut op = keyed(1, "a.things", 0);
        op.document_key = Some(key.into_bytes().into());
        op
    }

    #[test]
    fn a_document_has_its_lane_with_or_without_a_shard_key() {
        let lanes = 1000;
        let lane = |op: &Op| Ordering::Document.route(op, lanes);
        assert_eq!(lane(&keyed(1, "a.things", 7)), lane(&keyed(2, "a.things", 7)));
        assert_ne!(lane(&keyed(1, "a.things", 7)), lane(&keyed(1, "a.things", 8)));
        assert_ne!(lane(&keyed(1, "a.things", 7)), lane(&keyed(1, "b.things", 7)));
        assert_eq!(
            lane(&key(rawdoc! { "_id": 7_i64 })),
            lane(&key(rawdoc! { "region": "eu", "_id": 7_i64 }))
        );
    }

    #[test]
    fn a_command_is_handled_alone_where_documents_go_by_their_key() {
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
