//! Decodes entries into ops: one, none, or the many of a transaction.

use std::sync::Arc;

use bson::{RawArray, RawDocument};
use bytes::Bytes;

use super::change::{EntryChange, KeyLocation};
use super::delta::update_description;
use super::transaction::{Committed, MissingEntry, TransactionRole, Transactions, announced};
use crate::entry::OplogEntry;
use crate::op::{Op, OpPlace, OperationType, Origin, Timestamp, Transaction};
use crate::reply::{Malformed, Reply, document, id_of};
use crate::selection::Selection;
use crate::session;
use crate::skip::{Skip, Skipped, count};

/// The maximum size of the held pieces of open transactions, in bytes. A committed transaction is in memory as a whole
/// until its ops are returned.
const MAX_HELD_BYTES: usize = 64 << 20;

/// The maximum nesting of one `applyOps` in another. Servers before 4.0 nest them a few levels deep.
const MAX_NESTING: usize = 32;

/// Decodes the entries of one oplog into ops, in their order.
#[derive(Debug)]
pub struct OplogDecoder {
    selection: Selection,
    origin: Origin,
    skipped: Skipped,
    unwanted: u64,
    transactions: Transactions,
}

impl OplogDecoder {
    /// Creates a decoder that returns the ops that `selection` wants.
    pub fn new(selection: Selection) -> Self {
        Self {
            selection,
            origin: Origin::Oplog,
            skipped: Skipped::new(),
            unwanted: 0,
            transactions: Transactions::new(MAX_HELD_BYTES),
        }
    }

    /// Limits the held pieces of open transactions to `bytes`. Pieces beyond that are read again through
    /// [`MissingEntry`].
    #[must_use]
    pub fn with_max_held_bytes(mut self, bytes: usize) -> Self {
        self.transactions = Transactions::new(bytes);
        self
    }

    /// Marks the ops as read from a file.
    #[must_use]
    pub fn for_file(mut self) -> Self {
        self.origin = Origin::Replay;
        self
    }

    /// Replaces the selection for the entries that follow.
    pub fn reselect(&mut self, selection: Selection) {
        self.selection = selection;
    }

    /// Appends the wanted ops of `entry` to `ops`. The entry is `document` in `reply`.
    ///
    /// # Errors
    /// An earlier entry is needed first: pass it to [`supply`](Self::supply), then read this entry again. Nothing was
    /// added to `ops`.
    pub fn read(
        &mut self,
        reply: &Reply,
        document: &RawDocument,
        entry: &OplogEntry<'_>,
        ops: &mut impl Extend<Op>,
    ) -> Result<(), MissingEntry> {
        match TransactionRole::of(entry) {
            None => self.read_single(reply, entry, ops),
            Some(TransactionRole::Piece) => self.transactions.hold(entry, document),
            Some(TransactionRole::Abort) => self.transactions.abort(entry),
            Some(TransactionRole::Commit) => {
                let committed = self.transactions.commit(entry)?;
                self.read_committed(committed, None, entry, ops);
            }
            Some(TransactionRole::LastPiece) => {
                let committed = self.transactions.commit(entry)?;
                self.read_committed(committed, Some(reply), entry, ops);
            }
        }
        Ok(())
    }

    /// Supplies the entry that [`read`](Self::read) asked for, or none if it does not exist anymore.
    pub fn supply(&mut self, to: &OplogEntry<'_>, missing: MissingEntry, entry: Option<Bytes>) {
        self.transactions.supply(to, missing, entry);
    }

    /// Counts an entry that is older than the one before it, and logs the first such entry.
    pub fn report_out_of_order(&mut self, before: Timestamp, timestamp: Timestamp) {
        if count(&mut self.skipped, Skip::Backwards) == 1 {
            tracing::warn!(
                event = "oplog.reorder", %timestamp, %before,
                "the entry is older than the one before it, and is delivered after that. Further such entries are counted, not logged"
            );
        }
    }

    /// Counts and logs an entry that cannot be read.
    pub fn report_malformed(&mut self, malformed: &Malformed) {
        tracing::error!(event = "oplog.skip", error = %malformed, "skipped an oplog entry that cannot be read");
        count(&mut self.skipped, Skip::Malformed);
    }

    /// Records an entry without wanted ops: it may be a piece of a transaction that is committed later.
    pub fn skip_entry(&mut self, document: &RawDocument, entry: &OplogEntry<'_>) {
        match TransactionRole::of(entry) {
            None => {}
            Some(TransactionRole::Piece) => self.transactions.hold(entry, document),
            Some(_) => self.transactions.end(entry),
        }
    }

    /// Returns how many entries were skipped so far, by reason.
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// Returns how many ops the selection did not want so far.
    pub fn unwanted(&self) -> u64 {
        self.unwanted
    }

    /// Returns how many transactions were aborted so far, or abandoned for another one of their session.
    pub fn aborted_transactions(&self) -> u64 {
        self.transactions.aborted()
    }

    /// Returns how many transactions have begun and not ended so far.
    pub fn open_transactions(&self) -> u64 {
        self.transactions.open().try_into().unwrap_or(u64::MAX)
    }

    /// Returns how many entries were skipped, by reason.
    pub fn into_skipped(self) -> Skipped {
        self.skipped
    }

    fn read_single(&mut self, reply: &Reply, entry: &OplogEntry<'_>, ops: &mut impl Extend<Op>) {
        let mut sequence = OpSequence::default();
        if let Some(parts) = apply_ops(entry) {
            // In 4.0, a transaction was one entry without a predecessor.
            let alone = entry.previous.is_none() && !entry.vectored;
            sequence.transaction = transaction_id(entry).filter(|_| alone);
            self.read_parts(reply, parts, entry, &mut sequence, ops);
        } else {
            self.read_change(reply, entry, &mut sequence, ops);
        }
    }

    fn read_committed(
        &mut self,
        committed: Committed,
        last: Option<&Reply>,
        entry: &OplogEntry<'_>,
        ops: &mut impl Extend<Op>,
    ) {
        let mut sequence = OpSequence { transaction: transaction_id(entry), index: 0 };
        for piece in committed.pieces {
            let reply = Reply::new(piece.clone());
            let earlier =
                RawDocument::from_bytes(&piece).map_err(Malformed::from).and_then(OplogEntry::parse);
            // A piece takes effect at the place and time of the commit.
            let earlier = earlier.map(|earlier| OplogEntry {
                timestamp: entry.timestamp,
                wall_time: entry.wall_time,
                ..earlier
            });
            match earlier.as_ref().map(|earlier| (earlier, apply_ops(earlier))) {
                Ok((earlier, Some(parts))) => self.read_parts(&reply, parts, earlier, &mut sequence, ops),
                _ => self.skip(entry, Skip::Malformed),
            }
        }
        if let (Some(reply), Some(parts)) = (last, apply_ops(entry)) {
            self.read_parts(reply, parts, entry, &mut sequence, ops);
        }
        let announced = announced(entry).filter(|announced| *announced != u64::from(sequence.index));
        if committed.gap {
            self.skip(entry, Skip::LostPiece);
        } else if let Some(announced) = announced {
            count(&mut self.skipped, Skip::LostPiece);
            tracing::error!(
                event = "transaction.mismatch", timestamp = %entry.timestamp, announced, found = sequence.index,
                "the transaction has another number of operations than its commit announces; those found are delivered"
            );
        }
    }

    /// Reads the operations of an `applyOps`, including nested ones.
    fn read_parts(
        &mut self,
        reply: &Reply,
        parts: &RawArray,
        at: &OplogEntry<'_>,
        sequence: &mut OpSequence,
        ops: &mut impl Extend<Op>,
    ) {
        let mut open = vec![(*at, parts.into_iter())];
        while let Some((around, parts)) = open.last_mut() {
            let Some(part) = parts.next() else {
                open.pop();
                continue;
            };
            let part = match part.map_err(Malformed::from).and_then(document) {
                Ok(part) => around.parse_inner(part),
                Err(malformed) => Err(malformed),
            };
            match part {
                Ok(part) => match apply_ops(&part) {
                    Some(nested) if open.len() < MAX_NESTING => open.push((part, nested.into_iter())),
                    _ => self.read_change(reply, &part, sequence, ops),
                },
                Err(malformed) => {
                    sequence.index += 1;
                    self.report_malformed(&malformed);
                }
            }
        }
    }

    fn read_change(
        &mut self,
        reply: &Reply,
        entry: &OplogEntry<'_>,
        sequence: &mut OpSequence,
        ops: &mut impl Extend<Op>,
    ) {
        // The index counts unwanted ops too, so that an op has the same id for every reader.
        let index = sequence.index;
        sequence.index += 1;
        match entry.change() {
            Ok(change) => ops.extend(self.op(reply, entry, &change, sequence, index)),
            Err(skip) => self.skip(entry, skip),
        }
    }

    fn op(
        &mut self,
        reply: &Reply,
        entry: &OplogEntry<'_>,
        change: &EntryChange<'_>,
        sequence: &OpSequence,
        index: u32,
    ) -> Option<Op> {
        let EntryChange { database, collection, operation, command, .. } = *change;
        let renamed_to = command.filter(|_| operation == OperationType::Rename);
        let selected = match renamed_to.and_then(|command| command.get_str("to").ok()) {
            Some(to) => self.selection.select_rename(database, collection, to),
            None => self.selection.select(database, collection, operation),
        };
        let Some(namespace) = selected else {
            self.unwanted += 1;
            return None;
        };
        let mut op = Op {
            timestamp: entry.timestamp,
            place: OpPlace::Index(index),
            origin: self.origin,
            operation_type: change.operation,
            namespace,
            wall_time: entry.wall_time,
            document_key: change.key.and_then(|key| document_key(reply, key)),
            full_document: change.document.map(|document| reply.cut(document)),
            full_document_before_change: None,
            update_description: None,
            command: change.command.map(|command| reply.cut(command)),
            transaction: sequence.transaction.clone().map(|id| Transaction { id, index }),
        };
        if let (OperationType::Update, Some(object)) = (op.operation_type, entry.object) {
            match update_description(object) {
                Ok(description) => op.update_description = Some(description.into_bytes().into()),
                Err(error) => {
                    op.command = Some(reply.cut(object));
                    if count(&mut self.skipped, Skip::BadDelta) == 1 {
                        tracing::warn!(
                            event = "op.drop_description", op = %op.id(), %error,
                            "the delta of the update cannot be read; it is delivered without a description. Further such updates \
                             are counted, not logged"
                        );
                    }
                }
            }
        }
        Some(op)
    }

    fn skip(&mut self, entry: &OplogEntry<'_>, skip: Skip) {
        let count = count(&mut self.skipped, skip);
        let OplogEntry { timestamp, kind, namespace, .. } = entry;
        match skip {
            Skip::Malformed => {
                tracing::error!(
                    event = "oplog.skip", %timestamp, kind, %namespace, "skipped a malformed oplog entry"
                );
            }
            Skip::LostPiece => tracing::error!(
                event = "transaction.truncate", %timestamp,
                "earlier operations of the transaction are not in the oplog any more: they are lost; the later ones are delivered"
            ),
            Skip::UnknownKind if count == 1 => tracing::warn!(
                event = "oplog.skip_unknown", %timestamp, kind,
                "skipped an oplog entry of an unknown kind. Further such entries are counted, not logged"
            ),
            _ => {}
        }
    }
}

/// The sequence of ops in one entry or transaction.
#[derive(Default)]
struct OpSequence {
    index: u32,
    transaction: Option<Arc<str>>,
}

/// Returns the operations of an `applyOps`. None: the entry is something else.
fn apply_ops<'a>(entry: &OplogEntry<'a>) -> Option<&'a RawArray> {
    if entry.kind != "c" {
        return None;
    }
    let first = entry.object?.iter_elements().next()?.ok()?;
    if first.key() == "applyOps" { first.value().ok()?.as_array() } else { None }
}

fn transaction_id(entry: &OplogEntry<'_>) -> Option<Arc<str>> {
    session::transaction_id(entry.session?, entry.transaction_number?)
}

fn document_key(reply: &Reply, key: KeyLocation<'_>) -> Option<Bytes> {
    match key {
        KeyLocation::Whole(key) => Some(reply.cut(key)),
        KeyLocation::IdOf(document) => id_of(document).map(|key| key.into_bytes().into()),
    }
}
