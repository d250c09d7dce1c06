//! The reasons why an entry or event produces no op, or an incomplete one.

use std::collections::BTreeMap;

/// The number of skipped entries and events, by reason.
pub type Skipped = BTreeMap<Skip, u64>;

/// Returns the singular and plural name of each reason, with its number.
pub fn skipped_by_name(skipped: &Skipped) -> impl Iterator<Item = ((&'static str, &'static str), u64)> {
    skipped.iter().map(|(skip, count)| (skip.names(), *count))
}

/// Adds the counts of another source.
pub fn add_skipped(skipped: &mut Skipped, others: Skipped) {
    for (skip, count) in others {
        *skipped.entry(skip).or_default() += count;
    }
}

/// Counts one more, and returns the new number.
pub(super) fn count(skipped: &mut Skipped, skip: Skip) -> u64 {
    let count = skipped.entry(skip).or_default();
    *count += 1;
    *count
}

/// The reason why an oplog entry or a change event produces no op, or an incomplete one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Skip {
    /// The server recorded the time, an image of a document, or the end of a transaction.
    Noop,
    /// A copy made by the balancer.
    Migration,
    /// The start or the failed end of an index build.
    IndexBuild,
    /// A transaction is delivered without its first operations, which the oplog does not have anymore.
    LostPiece,
    /// A fragment of a change event whose other fragments did not arrive.
    Fragment,
    /// A change event that is larger than the limit for joined fragments.
    TooLarge,
    /// Not skipped, but out of order: its timestamp is before that of the previous entry.
    Backwards,
    /// Not skipped, but delivered without a description: an update whose delta cannot be read.
    BadDelta,
    /// Not skipped, but delivered unchanged: one of its documents cannot be decoded.
    BrokenDocument,
    /// An entry of an unknown kind.
    UnknownKind,
    /// An entry or event without a field that its kind requires.
    Malformed,
}

impl Skip {
    /// Returns whether the reason means that the bytes are damaged, instead of merely irrelevant for plugins.
    pub fn is_damage(self) -> bool {
        matches!(self, Self::BrokenDocument | Self::Malformed)
    }

    /// Returns the name in logs and counts.
    pub fn name(self) -> &'static str {
        self.names().1
    }

    /// Returns the singular and the plural name.
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
