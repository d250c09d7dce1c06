//! The entries of one reply of the server, made into ops. Pure: bytes in, ops out.

use std::collections::BTreeMap;

use bson::{RawArray, RawBsonRef, RawDocument, RawDocumentBuf};
use bytes::Bytes;

use super::entry::{Change, Entry, Key, Malformed, Skip};
use crate::op::{Op, OpId, Timestamp};
use crate::source::Selection;

/// How many entries were skipped, by reason.
pub type Skipped = BTreeMap<Skip, u64>;

/// What a reply held.
#[derive(Debug, Default)]
pub struct Batch {
    /// The ops that are wanted, in the order of the oplog.
    pub ops: Vec<Op>,
    /// Of the last entry, wanted or not. None: the reply was empty.
    pub position: Option<Timestamp>,
}

/// The reply to a `find` or `getMore`, from which documents are cut without copying them.
#[derive(Clone, Debug)]
pub struct Reply(Bytes);

impl Reply {
    /// Takes the bytes of a whole reply.
    pub fn new(reply: Bytes) -> Self {
        Self(reply)
    }

    /// The documents in it.
    ///
    /// # Errors
    /// It is not the reply of a cursor.
    pub fn documents(&self) -> Result<&RawArray, Malformed> {
        let cursor = RawDocument::from_bytes(&self.0)?
            .get("cursor")?
            .and_then(RawBsonRef::as_document)
            .ok_or(Malformed::Missing("cursor"))?;
        ["nextBatch", "firstBatch"]
            .into_iter()
            .find_map(|name| cursor.get(name).ok().flatten()?.as_array())
            .ok_or(Malformed::Missing("cursor.nextBatch"))
    }

    /// A document of this reply, which it keeps alive.
    pub fn cut(&self, document: &RawDocument) -> Bytes {
        let (start, whole) = (document.as_bytes().as_ptr().addr(), self.0.as_ptr().addr());
        match start.checked_sub(whole) {
            Some(offset) if offset + document.as_bytes().len() <= self.0.len() => {
                self.0.slice(offset..offset + document.as_bytes().len())
            }
            // Not a part of this reply, so that keeping it alive would not keep the document.
            _ => Bytes::copy_from_slice(document.as_bytes()),
        }
    }

    /// Makes ops of the entries that `selection` wants and counts those that can be none.
    ///
    /// `from` gives back whether an entry is to be read, by its place in the oplog.
    ///
    /// # Errors
    /// It is not the reply of a cursor.
    pub fn read(
        &self,
        selection: &mut Selection,
        skipped: &mut Skipped,
        mut from: impl FnMut(Timestamp) -> bool,
    ) -> Result<Batch, Malformed> {
        let mut batch = Batch::default();
        for value in self.documents()? {
            let entry = match value.map_err(Malformed::from).and_then(entry) {
                Ok(entry) => entry,
                Err(malformed) => {
                    tracing::error!("skipped an oplog entry that cannot be read: {malformed}");
                    *skipped.entry(Skip::Malformed).or_default() += 1;
                    continue;
                }
            };
            if !from(entry.timestamp) {
                continue;
            }
            batch.position = Some(entry.timestamp);
            match entry.change() {
                Ok(change) => batch.ops.extend(self.op(&entry, &change, selection)),
                Err(skip) => self.skip(&entry, skip, skipped),
            }
        }
        Ok(batch)
    }

    fn op(&self, entry: &Entry<'_>, change: &Change<'_>, selection: &mut Selection) -> Option<Op> {
        let namespace = selection.select(change.database, change.collection, change.operation)?;
        Some(Op {
            id: OpId { timestamp: entry.timestamp, index: 0 },
            operation_type: change.operation,
            namespace,
            wall_time: entry.wall_time,
            document_key: change.key.and_then(|key| self.document_key(key)),
            full_document: change.document.map(|document| self.cut(document)),
            update_description: None,
            command: change.command.map(|command| self.cut(command)),
        })
    }

    fn document_key(&self, key: Key<'_>) -> Option<Bytes> {
        match key {
            Key::Whole(key) => Some(self.cut(key)),
            Key::IdOf(document) => id_of(document).map(|key| key.into_bytes().into()),
        }
    }

    fn skip(&self, entry: &Entry<'_>, skip: Skip, skipped: &mut Skipped) {
        let count = skipped.entry(skip).or_default();
        *count += 1;
        let Entry { timestamp, kind, namespace, .. } = entry;
        match skip {
            Skip::Noop | Skip::Migration | Skip::IndexBuild => {}
            Skip::Malformed => {
                tracing::error!(
                    "skipped the oplog entry at {timestamp}, op \"{kind}\", in {namespace}: it is malformed"
                );
            }
            Skip::Transaction if *count == 1 => tracing::warn!(
                "skipped the oplog entry at {timestamp}: it is a transaction or a batch of writes, which this \
                 version does not read yet; more are counted, not logged"
            ),
            Skip::UnknownKind if *count == 1 => tracing::warn!(
                "skipped the oplog entry at {timestamp}: op \"{kind}\" is not known; more are counted, not logged"
            ),
            Skip::Transaction | Skip::UnknownKind => {}
        }
    }
}

fn entry(value: RawBsonRef<'_>) -> Result<Entry<'_>, Malformed> {
    match value {
        RawBsonRef::Document(document) => Entry::parse(document),
        _ => Err(Malformed::Missing("fields: it is no document")),
    }
}

/// `{_id}` of a document.
pub(super) fn id_of(document: &RawDocument) -> Option<RawDocumentBuf> {
    let id = document.get("_id").ok()??;
    let mut key = RawDocumentBuf::new();
    key.append(bson::raw::cstr!("_id"), id);
    Some(key)
}
