//! Chooses how many entries to ask for per reply. Pure.
//!
//! A reply of about a megabyte stays in the processor's cache while it is read and decoded. Without a number, a server sends up
//! to 16 MB, which takes the driver twice the time and needs more memory.

use mongodb::error::Error;

use crate::fewer_entries::fewer_entries;

/// The first and largest number of entries: 300 KB of usual entries (300 bytes). Documents are looked up for as many together.
const MAX_ENTRIES: u32 = 1000;
/// The smallest number of entries, unless the driver cannot read a reply of as many.
const MIN_ENTRIES: u32 = 16;
/// The intended size of a reply in bytes; the size above which it is too large; and below which a full reply is too small.
const TARGET_BYTES: usize = 1 << 20;
pub(super) const MOST_BYTES: usize = 2 << 20;
const MIN_BYTES: usize = 256 << 10;
/// A larger reply may have fewer entries than it was asked for, as the server sends at most 16 MB.
const TRUNCATED_BYTES: usize = 8 << 20;

/// The number of entries to ask for per reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BatchSize(u32);

impl Default for BatchSize {
    fn default() -> Self {
        Self(MAX_ENTRIES)
    }
}

impl BatchSize {
    pub(super) fn get(self) -> u32 {
        self.0
    }

    /// Reduces the number if a reply failed because it was too large.
    pub(super) fn failed(&mut self, error: &Error) {
        self.0 = fewer_entries(self.0, error).unwrap_or(self.0);
    }

    /// Adjusts the number after a reply of `entries` and `bytes`. Returns whether it has changed.
    pub(super) fn adjust(&mut self, entries: usize, bytes: usize) -> bool {
        let is_full = u32::try_from(entries).is_ok_and(|entries| entries >= self.0);
        // A single large entry does not mean that the next ones are large.
        let is_truncated = entries >= MIN_ENTRIES as usize && bytes > TRUNCATED_BYTES;
        let better = if (is_full || is_truncated) && bytes > MOST_BYTES {
            u32::try_from(entries.saturating_mul(TARGET_BYTES) / bytes).unwrap_or(MAX_ENTRIES)
        } else if is_full && bytes < MIN_BYTES {
            self.0.saturating_mul(4)
        } else {
            return false;
        };
        let before = self.0;
        self.0 = better.clamp(before.min(MIN_ENTRIES), MAX_ENTRIES);
        self.0 != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_small_for_large_entries_and_large_again_for_small_ones() {
        let mut size = BatchSize::default();
        assert!(!size.adjust(1000, 300_000), "usual entries");
        assert!(!size.adjust(3, 900), "there are no more");
        assert!(!size.adjust(3, 15 << 20), "one large one among a few");
        assert!(!size.adjust(300, 3 << 20), "a large one among what has just come");
        assert!(BatchSize::default().adjust(1000, 3 << 20), "entries of 3 KB");
        assert!(size.adjust(250, 16 << 20), "entries of 64 KB");
        assert_eq!(size, BatchSize(MIN_ENTRIES));
        assert!(!size.adjust(16, 1 << 20), "it fits now");
        assert!(!size.adjust(1, 16 << 20), "an entry of 16 MB: fewer are not asked for");
        let mut reopened = 0;
        while size.adjust(size.get() as usize, size.get() as usize * 300) {
            reopened += 1;
        }
        assert_eq!((size, reopened), (BatchSize(MAX_ENTRIES), 3), "no more than at first");
    }

    #[test]
    fn fewer_than_the_smallest_number_are_asked_for_while_entries_are_huge() {
        let mut size = BatchSize(2);
        assert!(!size.adjust(2, 32 << 20), "the next may be as large");
        assert!(!size.adjust(2, 1 << 20), "it fits now");
        assert!(size.adjust(2, 1000), "small entries");
        assert_eq!(size, BatchSize(8));
    }
}
