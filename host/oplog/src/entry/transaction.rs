//! Holds the pieces of transactions until their end is known.
//!
//! A large transaction is a chain of entries with `partialTxn`, each naming the one before it. A prepared transaction
//! ends with its own `commitTransaction` or `abortTransaction`. Only committed operations are changes, at the position
//! of the committing entry.

use std::collections::HashMap;

use bson::RawDocument;
use bytes::Bytes;

use crate::entry::OplogEntry;
use crate::op::Timestamp;
use crate::value::integer;

/// The role of an entry in a transaction of several entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TransactionRole {
    /// A piece, prepared or not: the outcome is not known yet.
    Piece,
    /// The last piece, which commits the transaction.
    LastPiece,
    /// Commits a prepared transaction.
    Commit,
    /// Ends the transaction without effect.
    Abort,
}

impl TransactionRole {
    /// Returns the role of an entry. None: the entry does not belong to a transaction of several entries.
    pub(super) fn of(entry: &OplogEntry<'_>) -> Option<Self> {
        let linked =
            entry.session.is_some() && entry.transaction_number.is_some() && entry.previous.is_some();
        if entry.kind != "c" || entry.vectored || !linked {
            return None;
        }
        let command = entry.object?;
        let first = command.iter_elements().next()?.ok()?;
        let flag = |name: &str| matches!(command.get_bool(name), Ok(true));
        match first.key().as_str() {
            "applyOps" if flag("partialTxn") || flag("prepare") => Some(Self::Piece),
            "applyOps" => Some(Self::LastPiece),
            "commitTransaction" => Some(Self::Commit),
            "abortTransaction" => Some(Self::Abort),
            _ => None,
        }
    }
}

/// The timestamp of an earlier entry that a transaction needs. The entry is before the start, or was too large to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the entry at {0} is needed first")]
pub struct MissingEntry(pub Timestamp);

/// The transactions that have begun and not ended.
#[derive(Debug)]
pub(super) struct Transactions {
    /// The open transactions by session: a session has one transaction at a time.
    open: HashMap<Box<[u8]>, OpenTransaction>,
    bytes: usize,
    max_bytes: usize,
    /// The number of transactions that ended without effect.
    aborted: u64,
}

#[derive(Debug)]
struct OpenTransaction {
    number: i64,
    pieces: Vec<Piece>,
    /// The position of the piece before the first held one. Null: there is none.
    before: Timestamp,
    /// Whether an earlier piece is lost.
    gap: bool,
}

#[derive(Debug)]
struct Piece {
    timestamp: Timestamp,
    /// The entry. None: it did not fit into the limit, and must be read again.
    entry: Option<Bytes>,
}

/// A committed transaction: its pieces before the committing entry, in order.
#[derive(Debug, Default)]
pub(super) struct Committed {
    pub(super) pieces: Vec<Bytes>,
    /// Whether earlier pieces are lost.
    pub(super) gap: bool,
}

impl Transactions {
    /// Creates an empty set that holds up to `max_bytes` bytes of entries, and only the positions of further ones.
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { open: HashMap::new(), bytes: 0, max_bytes, aborted: 0 }
    }

    /// Holds a piece.
    pub(super) fn hold(&mut self, entry: &OplogEntry<'_>, document: &RawDocument) {
        let Some((session, number)) = key(entry) else { return };
        self.forget_other(session, number);
        let bytes = document.as_bytes();
        // The copy keeps a piece from holding the whole reply that it came in.
        let held = (self.bytes + bytes.len() <= self.max_bytes).then(|| Bytes::copy_from_slice(bytes));
        self.bytes += held.as_ref().map_or(0, Bytes::len);
        let open =
            self.open.entry(session.into()).or_insert_with(|| OpenTransaction::new(number, previous(entry)));
        open.pieces.push(Piece { timestamp: entry.timestamp, entry: held });
    }

    /// Removes and returns the transaction that `entry` commits.
    ///
    /// # Errors
    /// An earlier piece is missing: [`supply`](Self::supply) it and try again.
    pub(super) fn commit(&mut self, entry: &OplogEntry<'_>) -> Result<Committed, MissingEntry> {
        let Some((session, number)) = key(entry) else { return Ok(Committed::default()) };
        self.forget_other(session, number);
        let before = previous(entry);
        let open = self.open.entry(session.into()).or_insert_with(|| OpenTransaction::new(number, before));
        if open.before != Timestamp::default() {
            return Err(MissingEntry(open.before));
        }
        if let Some(piece) = open.pieces.iter().find(|piece| piece.entry.is_none()) {
            return Err(MissingEntry(piece.timestamp));
        }
        Ok(self.forget(session).map_or_else(Committed::default, |open| Committed {
            gap: open.gap,
            pieces: open.pieces.into_iter().filter_map(|piece| piece.entry).collect(),
        }))
    }

    /// Supplies the entry that [`MissingEntry`] asked for, or none if the oplog does not have it anymore.
    pub(super) fn supply(
        &mut self,
        of: &OplogEntry<'_>,
        MissingEntry(timestamp): MissingEntry,
        entry: Option<Bytes>,
    ) {
        let Some(open) = key(of).and_then(|(session, _)| self.open.get_mut(session)) else { return };
        let earlier =
            entry.as_ref().and_then(|bytes| OplogEntry::parse(RawDocument::from_bytes(bytes).ok()?).ok());
        // A different entry than the requested one would be requested again, forever.
        let earlier = earlier.filter(|earlier| earlier.timestamp == timestamp);
        let before = earlier.as_ref().map(previous);
        open.gap |= before.is_none();
        if open.before == timestamp {
            open.before = before.unwrap_or_default();
            if before.is_some() {
                self.bytes += entry.as_ref().map_or(0, Bytes::len);
                open.pieces.insert(0, Piece { timestamp, entry });
            }
            return;
        }
        let missing = |piece: &Piece| piece.timestamp == timestamp && piece.entry.is_none();
        match open.pieces.iter().position(missing) {
            Some(at) if before.is_none() => drop(open.pieces.remove(at)),
            Some(at) => {
                self.bytes += entry.as_ref().map_or(0, Bytes::len);
                open.pieces.get_mut(at).into_iter().for_each(|piece| piece.entry.clone_from(&entry));
            }
            None => {}
        }
    }

    /// Drops the transaction that `entry` aborts, and counts it.
    pub(super) fn abort(&mut self, entry: &OplogEntry<'_>) {
        self.aborted += 1;
        self.end(entry);
    }

    /// Drops the transaction that `entry` ends, of which nothing is wanted.
    pub(super) fn end(&mut self, entry: &OplogEntry<'_>) {
        if let Some((session, _)) = key(entry) {
            self.forget(session);
        }
    }

    /// Returns how many transactions have ended without effect.
    pub(super) fn aborted(&self) -> u64 {
        self.aborted
    }

    /// Returns how many transactions have begun and not ended.
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// Drops a session's previous transaction: a session that continues with another one has abandoned it.
    fn forget_other(&mut self, session: &[u8], number: i64) {
        if self.open.get(session).is_some_and(|open| open.number != number) {
            self.aborted += 1;
            self.forget(session);
        }
    }

    fn forget(&mut self, session: &[u8]) -> Option<OpenTransaction> {
        let open = self.open.remove(session)?;
        let held: usize = open.pieces.iter().filter_map(|piece| piece.entry.as_ref()).map(Bytes::len).sum();
        self.bytes = self.bytes.saturating_sub(held);
        Some(open)
    }
}

impl OpenTransaction {
    fn new(number: i64, before: Timestamp) -> Self {
        Self { number, pieces: Vec::new(), before, gap: false }
    }
}

fn key<'a>(entry: &OplogEntry<'a>) -> Option<(&'a [u8], i64)> {
    Some((entry.session?.as_bytes(), entry.transaction_number?))
}

/// Returns the position of the previous piece, or null for the first of a chain. A chain goes back in time: one that
/// does not would be followed forever.
fn previous(entry: &OplogEntry<'_>) -> Timestamp {
    let previous = entry.previous.and_then(|previous| previous.get_timestamp("ts").ok());
    previous.map(Timestamp::from).filter(|previous| *previous < entry.timestamp).unwrap_or_default()
}

/// Returns the number of operations in the transaction, according to its last piece.
pub(super) fn announced(entry: &OplogEntry<'_>) -> Option<u64> {
    u64::try_from(integer(entry.object?.get("count").ok()??)?).ok()
}
