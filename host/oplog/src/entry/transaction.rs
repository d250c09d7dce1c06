//! Transactions, which the oplog tells in pieces: held until it is known how they end. Pure.
//!
//! A large transaction is a chain of entries with `partialTxn`, each naming the one before it; a
//! prepared one ends with a `commitTransaction` or `abortTransaction` of its own. Only what is
//! committed is a change, at the place of the entry that commits it.

use std::collections::HashMap;

use bson::RawDocument;
use bytes::Bytes;

use crate::entry::OplogEntry;
use crate::op::Timestamp;
use crate::value::integer;

/// What an entry means for a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TransactionRole {
    /// A piece of it, or a piece that is prepared: nothing is known yet.
    Piece,
    /// The last piece, which commits it.
    LastPiece,
    /// Commits what was prepared.
    Commit,
    /// Ends it without effect.
    Abort,
}

impl TransactionRole {
    /// None: the entry has no part in a transaction of several entries.
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

/// An earlier entry of a transaction is needed: it was before the start, or too large to be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing(pub Timestamp);

/// The transactions that have begun and not ended.
#[derive(Debug)]
pub(super) struct Transactions {
    /// By session: a session has one transaction at a time.
    open: HashMap<Box<[u8]>, OpenTransaction>,
    bytes: usize,
    bound: usize,
    /// Transactions that ended without effect.
    aborted: u64,
}

#[derive(Debug)]
struct OpenTransaction {
    number: i64,
    pieces: Vec<Piece>,
    /// Where the piece before the first one held stands. Null: there is none.
    before: Timestamp,
    /// An earlier piece cannot be had any more.
    gap: bool,
}

#[derive(Debug)]
struct Piece {
    timestamp: Timestamp,
    /// None: past the bound. To be read again.
    entry: Option<Bytes>,
}

/// A transaction that was committed: its pieces before the committing entry, in order.
#[derive(Debug, Default)]
pub(super) struct Committed {
    pub(super) pieces: Vec<Bytes>,
    /// It had more, which cannot be had any more.
    pub(super) gap: bool,
}

impl Transactions {
    /// Holds up to `bound` bytes of entries; of what is beyond, positions only.
    pub(super) fn new(bound: usize) -> Self {
        Self { open: HashMap::new(), bytes: 0, bound, aborted: 0 }
    }

    /// Holds a piece.
    pub(super) fn hold(&mut self, entry: &OplogEntry<'_>, document: &RawDocument) {
        let Some((session, number)) = key(entry) else { return };
        self.forget_other(session, number);
        let bytes = document.as_bytes();
        // A copy, so that a piece does not keep the whole reply that it came in.
        let held = (self.bytes + bytes.len() <= self.bound).then(|| Bytes::copy_from_slice(bytes));
        self.bytes += held.as_ref().map_or(0, Bytes::len);
        let open =
            self.open.entry(session.into()).or_insert_with(|| OpenTransaction::new(number, previous(entry)));
        open.pieces.push(Piece { timestamp: entry.timestamp, entry: held });
    }

    /// Takes out the transaction that `entry` commits.
    ///
    /// # Errors
    /// An earlier piece is missing: [`supply`](Self::supply) it and ask again.
    pub(super) fn commit(&mut self, entry: &OplogEntry<'_>) -> Result<Committed, Missing> {
        let Some((session, number)) = key(entry) else { return Ok(Committed::default()) };
        self.forget_other(session, number);
        let before = previous(entry);
        let open = self.open.entry(session.into()).or_insert_with(|| OpenTransaction::new(number, before));
        if open.before != Timestamp::default() {
            return Err(Missing(open.before));
        }
        if let Some(piece) = open.pieces.iter().find(|piece| piece.entry.is_none()) {
            return Err(Missing(piece.timestamp));
        }
        Ok(self.forget(session).map_or_else(Committed::default, |open| Committed {
            gap: open.gap,
            pieces: open.pieces.into_iter().filter_map(|piece| piece.entry).collect(),
        }))
    }

    /// Gives what [`Missing`] asked for, or none where the oplog has no such entry any more.
    pub(super) fn supply(&mut self, of: &OplogEntry<'_>, Missing(timestamp): Missing, entry: Option<Bytes>) {
        let Some(open) = key(of).and_then(|(session, _)| self.open.get_mut(session)) else { return };
        let earlier =
            entry.as_ref().and_then(|bytes| OplogEntry::parse(RawDocument::from_bytes(bytes).ok()?).ok());
        // Another entry than was asked for would be asked for again, without end.
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

    /// Drops the transaction that `entry` aborts.
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

    /// How many transactions have ended without effect.
    pub(super) fn aborted(&self) -> u64 {
        self.aborted
    }

    /// How many transactions have begun and not ended.
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// A session that has gone on to another transaction has left the one before it without effect.
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

/// Null for the first of a chain. A chain goes back in time: one that does not would be followed for ever.
fn previous(entry: &OplogEntry<'_>) -> Timestamp {
    let previous = entry.previous.and_then(|previous| previous.get_timestamp("ts").ok());
    previous.map(Timestamp::from).filter(|previous| *previous < entry.timestamp).unwrap_or_default()
}

/// The number of ops that the last piece says the transaction has.
pub(super) fn announced(entry: &OplogEntry<'_>) -> Option<u64> {
    u64::try_from(integer(entry.object?.get("count").ok()??)?).ok()
}
