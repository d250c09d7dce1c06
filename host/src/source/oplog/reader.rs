//! Makes ops of entries: one, none, or the many of a transaction. Pure: bytes in, ops out.

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::{RawArray, RawBsonRef, RawDocument};
use bytes::Bytes;

use super::change::{Change, Key, Skip};
use super::delta::update_description;
use super::entry::{Entry, Malformed};
use super::reply::{Reply, id_of};
use super::transaction::{Committed, Missing, Role, Transactions, announced};
use crate::op::{Op, OpId, OperationType, Transaction};
use crate::source::Selection;

/// Bytes of open transactions that are held in memory; the server's own limit is 16 MB an entry.
const HELD: usize = 64 << 20;

/// How deep an `applyOps` may stand in others. Servers before 4.0 nest, to a few levels.
const DEPTH: usize = 32;

/// How many entries were skipped, by reason.
pub type Skipped = BTreeMap<Skip, u64>;

/// Makes ops of the entries of one oplog, in their order.
#[derive(Debug)]
pub struct Reader {
    selection: Selection,
    skipped: Skipped,
    transactions: Transactions,
}

impl Reader {
    /// Makes ops of what `selection` wants.
    pub fn new(selection: Selection) -> Self {
        Self { selection, skipped: Skipped::new(), transactions: Transactions::new(HELD) }
    }

    /// The same, holding no more than `bytes` of open transactions.
    #[must_use]
    pub fn holding(mut self, bytes: usize) -> Self {
        self.transactions = Transactions::new(bytes);
        self
    }

    /// Makes ops of `entry`, which is `document` in `reply`.
    ///
    /// # Errors
    /// An earlier entry has to be read first: give it to [`supply`](Self::supply), then read this one
    /// again. Nothing was added to `ops`.
    pub fn read(
        &mut self,
        reply: &Reply,
        document: &RawDocument,
        entry: &Entry<'_>,
        ops: &mut Vec<Op>,
    ) -> Result<(), Missing> {
        match Role::of(entry) {
            None => self.read_alone(reply, entry, ops),
            Some(Role::Piece) => self.transactions.hold(entry, document),
            Some(Role::Abort) => self.transactions.abort(entry),
            Some(Role::Commit) => {
                let committed = self.transactions.commit(entry)?;
                self.read_committed(committed, None, entry, ops);
            }
            Some(Role::LastPiece) => {
                let committed = self.transactions.commit(entry)?;
                self.read_committed(committed, Some(reply), entry, ops);
            }
        }
        Ok(())
    }

    /// Gives the entry that [`read`](Self::read) found missing, or none where there is no such entry
    /// any more.
    pub fn supply(&mut self, to: &Entry<'_>, missing: Missing, entry: Option<Bytes>) {
        self.transactions.supply(to, missing, entry);
    }

    /// Counts and reports an entry that is none.
    pub fn malformed(&mut self, malformed: &Malformed) {
        tracing::error!("skipped an oplog entry that cannot be read: {malformed}");
        self.count(Skip::Malformed);
    }

    /// How many entries were skipped, by reason.
    pub fn into_skipped(self) -> Skipped {
        self.skipped
    }

    fn read_alone(&mut self, reply: &Reply, entry: &Entry<'_>, ops: &mut Vec<Op>) {
        let mut place = Place::new(entry);
        if let Some(parts) = apply_ops(entry) {
            // In 4.0 a transaction was one entry, with nothing before it.
            let alone = entry.previous.is_none() && !entry.vectored;
            place.transaction = transaction_id(entry).filter(|_| alone);
            self.read_parts(reply, parts, entry, &mut place, ops);
        } else {
            self.read_change(reply, entry, &mut place, ops);
        }
    }

    fn read_committed(
        &mut self,
        committed: Committed,
        last: Option<&Reply>,
        entry: &Entry<'_>,
        ops: &mut Vec<Op>,
    ) {
        let mut place = Place::new(entry);
        place.transaction = transaction_id(entry);
        for piece in committed.pieces {
            let reply = Reply::new(piece.clone());
            let earlier = RawDocument::from_bytes(&piece).map_err(Malformed::from).and_then(Entry::parse);
            match earlier.as_ref().map(apply_ops) {
                Ok(Some(parts)) => self.read_parts(&reply, parts, entry, &mut place, ops),
                _ => self.skip(entry, Skip::Malformed),
            }
        }
        if let (Some(reply), Some(parts)) = (last, apply_ops(entry)) {
            self.read_parts(reply, parts, entry, &mut place, ops);
        }
        let short = announced(entry).is_some_and(|announced| announced != u64::from(place.index));
        if committed.gap || short {
            self.skip(entry, Skip::LostPiece);
        }
    }

    /// The ops of an `applyOps`, and of those that stand in it.
    fn read_parts(
        &mut self,
        reply: &Reply,
        parts: &RawArray,
        at: &Entry<'_>,
        place: &mut Place,
        ops: &mut Vec<Op>,
    ) {
        let mut open = vec![parts.into_iter()];
        while let Some(parts) = open.last_mut() {
            let Some(part) = parts.next() else {
                open.pop();
                continue;
            };
            let part = match part.map_err(Malformed::from).and_then(document) {
                Ok(part) => at.parse_inner(part),
                Err(malformed) => Err(malformed),
            };
            match part {
                Ok(part) => match apply_ops(&part) {
                    Some(nested) if open.len() < DEPTH => open.push(nested.into_iter()),
                    _ => self.read_change(reply, &part, place, ops),
                },
                Err(malformed) => {
                    place.index += 1;
                    self.malformed(&malformed);
                }
            }
        }
    }

    fn read_change(&mut self, reply: &Reply, entry: &Entry<'_>, place: &mut Place, ops: &mut Vec<Op>) {
        // Counted whether it is wanted or not, so that an op has the same id for everybody.
        let index = place.index;
        place.index += 1;
        match entry.change() {
            Ok(change) => ops.extend(self.op(reply, entry, &change, place, index)),
            Err(skip) => self.skip(entry, skip),
        }
    }

    fn op(
        &mut self,
        reply: &Reply,
        entry: &Entry<'_>,
        change: &Change<'_>,
        place: &Place,
        index: u32,
    ) -> Option<Op> {
        let namespace = self.selection.select(change.database, change.collection, change.operation)?;
        let mut op = Op {
            id: OpId { timestamp: entry.timestamp, index },
            operation_type: change.operation,
            namespace,
            wall_time: entry.wall_time,
            document_key: change.key.and_then(|key| document_key(reply, key)),
            full_document: change.document.map(|document| reply.cut(document)),
            update_description: None,
            command: change.command.map(|command| reply.cut(command)),
            transaction: place.transaction.clone().map(|id| Transaction { id, index }),
        };
        if let (OperationType::Update, Some(object)) = (op.operation_type, entry.object) {
            match update_description(object) {
                Ok(description) => op.update_description = Some(description.into_bytes().into()),
                Err(error) => {
                    op.command = Some(reply.cut(object));
                    if self.count(Skip::BadDelta) == 1 {
                        tracing::warn!(
                            "the update {} is delivered without a description, as its delta cannot be read: {error}; \
                             more are counted, not logged",
                            op.id
                        );
                    }
                }
            }
        }
        Some(op)
    }

    fn skip(&mut self, entry: &Entry<'_>, skip: Skip) {
        let count = self.count(skip);
        let Entry { timestamp, kind, namespace, .. } = entry;
        match skip {
            Skip::Malformed => {
                tracing::error!(
                    "skipped the oplog entry at {timestamp}, op \"{kind}\", in {namespace}: it is malformed"
                );
            }
            Skip::LostPiece => tracing::error!(
                "of the transaction committed at {timestamp}, earlier operations are not in the oplog any more: \
                 they are lost, the later ones are delivered"
            ),
            Skip::UnknownKind if count == 1 => tracing::warn!(
                "skipped the oplog entry at {timestamp}: op \"{kind}\" is not known; more are counted, not logged"
            ),
            _ => {}
        }
    }

    fn count(&mut self, skip: Skip) -> u64 {
        let count = self.skipped.entry(skip).or_default();
        *count += 1;
        *count
    }
}

/// Where the next op stands.
struct Place {
    index: u32,
    transaction: Option<Arc<str>>,
}

impl Place {
    fn new(_: &Entry<'_>) -> Self {
        Self { index: 0, transaction: None }
    }
}

/// The operations of an `applyOps`.
fn apply_ops<'a>(entry: &Entry<'a>) -> Option<&'a RawArray> {
    if entry.kind != "c" {
        return None;
    }
    let first = entry.object?.iter_elements().next()?.ok()?;
    if first.key() == "applyOps" { first.value().ok()?.as_array() } else { None }
}

/// The session and its transaction, in words.
fn transaction_id(entry: &Entry<'_>) -> Option<Arc<str>> {
    let number = entry.transaction_number?;
    let session = entry.session?.get_binary("id").ok()?;
    let mut id = String::with_capacity(64);
    for byte in session.bytes {
        id.push_str(&format!("{byte:02x}"));
    }
    Some(format!("{id}.{number}").into())
}

fn document_key(reply: &Reply, key: Key<'_>) -> Option<Bytes> {
    match key {
        Key::Whole(key) => Some(reply.cut(key)),
        Key::IdOf(document) => id_of(document).map(|key| key.into_bytes().into()),
    }
}

/// The document that a value of an array is.
pub(super) fn document(value: RawBsonRef<'_>) -> Result<&RawDocument, Malformed> {
    value.as_document().ok_or(Malformed::Missing("fields: it is no document"))
}
