//! The state of a snapshot: what to read, and how much of it was read. Pure.

use std::sync::Arc;

use gtm_oplog::{Namespace, Timestamp};
use serde::{Deserialize, Serialize};

use super::id::Id;

/// The version of the format. A host that does not know it refuses the state.
pub(super) const VERSION: u32 = 1;

/// The state of a snapshot, in the form in which it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SnapshotState {
    pub(super) version: u32,
    pub(super) deployment: String,
    /// The digest of the selection.
    pub(super) selection: String,
    pub(super) at: bson::Timestamp,
    pub(super) complete: bool,
    /// The databases whose collections may not be listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) unlisted: Vec<String>,
    pub(super) collections: Vec<SnapshotCollection>,
}

/// A collection, or a view.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SnapshotCollection {
    database: String,
    collection: String,
    /// The UUID that servers have since 3.6. A collection that is dropped and created again has another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) uuid: Option<String>,
    /// Whether it is a view, which is read by one plain cursor, as it has no index on `_id`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) view: bool,
    /// The approximate number of its documents.
    pub(super) estimated: u64,
    pub(super) ranges: Vec<Range>,
}

/// The documents whose `_id` is in a range of the index.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Range {
    /// The first `_id`, inclusive. None: the smallest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<Id>,
    /// The last `_id`, exclusive. None: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) to: Option<Id>,
    /// The `_id` up to which the range is done, inclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<Id>,
    /// The number of documents that are done.
    pub(super) documents: u64,
    /// Set if the range has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ended: Option<RangeEnd>,
}

/// How a range ended, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum RangeEnd {
    /// Everything was read.
    Read,
    /// The collection was dropped or renamed.
    Gone,
    /// The server refuses to read it.
    Refused,
}

impl SnapshotState {
    pub(super) fn new(deployment: String, selection: String, at: Timestamp) -> Self {
        Self {
            version: VERSION,
            deployment,
            selection,
            at: at.into(),
            complete: false,
            unlisted: Vec::new(),
            collections: Vec::new(),
        }
    }

    /// Returns whether everything was read.
    pub(super) fn has_ended(&self) -> bool {
        self.collections.iter().all(|collection| collection.ended().is_some())
    }
}

/// The indexes of a range and its collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RangePlace {
    pub(super) collection: usize,
    pub(super) range: usize,
}

impl SnapshotCollection {
    pub(super) fn new(namespace: &Namespace, uuid: Option<String>, view: bool) -> Self {
        Self {
            database: namespace.database.to_string(),
            collection: namespace.collection.to_string(),
            uuid,
            view,
            estimated: 0,
            ranges: vec![Range::default()],
        }
    }

    pub(super) fn namespace(&self) -> Arc<Namespace> {
        let (database, collection) = (self.database.as_str().into(), self.collection.as_str().into());
        Arc::new(Namespace { database, collection })
    }

    /// Returns how the collection ended. None: it has not ended.
    pub(super) fn ended(&self) -> Option<RangeEnd> {
        self.ranges.iter().try_fold(RangeEnd::Read, |worst, range| Some(worst.max(range.ended?)))
    }
}
