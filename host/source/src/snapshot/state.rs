//! What a snapshot is to read, and how much of it was read. Pure.

use std::sync::Arc;

use gtm_oplog::{Namespace, Timestamp};
use serde::{Deserialize, Serialize};

use super::id::Id;

/// Of the format. One that knows less of it says so instead of reading on.
pub(super) const VERSION: u32 = 1;

/// All of it, as it is kept.
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
    /// As the server has it since 3.6: a collection dropped and created again has another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) uuid: Option<String>,
    /// It is read by one plain cursor, as it has no index on `_id`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) view: bool,
    /// How many documents it has, about.
    pub(super) estimated: u64,
    pub(super) ranges: Vec<Range>,
}

/// The documents whose `_id` is, as an index has them, from one (inclusive) to another (exclusive).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Range {
    /// None: from the smallest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<Id>,
    /// None: to the largest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) to: Option<Id>,
    /// Up to here, inclusive, it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<Id>,
    /// How many documents are done.
    pub(super) documents: u64,
    /// Nothing more is to be read of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ended: Option<RangeEnd>,
}

/// How the reading of a range ended; the later the graver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum RangeEnd {
    /// All was read.
    Read,
    /// The collection is not there any more.
    Gone,
    /// The server does not let it be read.
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

    /// Whether nothing more is to be read.
    pub(super) fn has_ended(&self) -> bool {
        self.collections.iter().all(|collection| collection.ended().is_some())
    }
}

/// Which range of which collection.
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

    /// How it ended, once nothing more is to be read of it.
    pub(super) fn ended(&self) -> Option<RangeEnd> {
        self.ranges.iter().try_fold(RangeEnd::Read, |worst, range| Some(worst.max(range.ended?)))
    }
}
