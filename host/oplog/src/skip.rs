//! Why what was read gives no op, or not all of it.

use std::collections::BTreeMap;

/// How much was skipped, by reason.
pub type Skipped = BTreeMap<Skip, u64>;

/// The names of each reason, and how much was skipped for it.
pub fn skipped_by_name(skipped: &Skipped) -> impl Iterator<Item = ((&'static str, &'static str), u64)> {
    skipped.iter().map(|(skip, count)| (skip.names(), *count))
}

/// Counts one more. Gives back how many there are now.
pub(super) fn count(skipped: &mut Skipped, skip: Skip) -> u64 {
    let count = skipped.entry(skip).or_default();
    *count += 1;
    *count
}

/// Why an entry of the oplog, or an event of a change stream, gives no op.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Skip {
    /// The server notes the time, an image of a document, or the end of a transaction.
    Noop,
    /// A copy made by the balancer.
    Migration,
    /// The start or the end in vain of an index build.
    IndexBuild,
    /// A transaction is delivered without its first operations, which the oplog has no more.
    LostPiece,
    /// A fragment of a change event whose other fragments were not seen.
    Fragment,
    /// A change event that is larger than what is put together of fragments.
    TooLarge,
    /// Not skipped, but out of order: its timestamp is before that of the entry before it.
    Backwards,
    /// Not skipped, but delivered without its description: an update whose delta cannot be read.
    BadDelta,
    /// Not skipped, but delivered as it is: one of its documents cannot be decoded.
    BrokenDocument,
    /// Of a kind that this host does not know.
    UnknownKind,
    /// It lacks what its kind must have.
    Malformed,
}

impl Skip {
    /// Whether it means that the bytes that were read are damaged, and not only that they are nothing for plugins.
    pub fn is_damage(self) -> bool {
        matches!(self, Self::BrokenDocument | Self::Malformed)
    }

    /// Its name in logs and counts.
    pub fn name(self) -> &'static str {
        self.names().1
    }

    /// What one is called, and what several are.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Noop => ("no-op", "no-ops"),
            Self::Migration => ("entry of a migration", "entries of migrations"),
            Self::IndexBuild => ("entry of an index build", "entries of index builds"),
            Self::LostPiece => ("transaction with lost operations", "transactions with lost operations"),
            Self::Fragment => ("fragment of an event", "fragments of events"),
            Self::TooLarge => ("event that is too large", "events that are too large"),
            Self::Backwards => ("entry out of order", "entries out of order"),
            Self::BadDelta => ("update without a description", "updates without a description"),
            Self::BrokenDocument => ("op with a broken document", "ops with a broken document"),
            Self::UnknownKind => ("entry of an unknown kind", "entries of unknown kinds"),
            Self::Malformed => ("malformed entry", "malformed entries"),
        }
    }
}
