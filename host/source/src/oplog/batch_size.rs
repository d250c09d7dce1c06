//! How many entries are asked for at once. Pure.
//!
//! A reply of about a megabyte stays in the processor's cache while it is read and decoded. One of the 16 MB that a server sends where nobody
//! says how many does not, which takes the driver twice the time, and the memory of several.

/// At first: of usual entries (300 bytes) 300 KB. As many as documents are looked up for at once.
const FIRST: u32 = 1000;
/// Of large ones.
const LEAST: u32 = 16;
/// What a reply should have, in bytes; what it may have at most, as a cursor asks for as many as it did at first; and at
/// least, where it is full.
const AIM: usize = 1 << 20;
pub(super) const MOST_BYTES: usize = 2 << 20;
const LEAST_BYTES: usize = 256 << 10;
/// A reply of more than this has fewer entries than were asked for since the server sends 16 MB at most.
const CUT_BYTES: usize = 8 << 20;

/// The number of entries in a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BatchSize(u32);

impl Default for BatchSize {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl BatchSize {
    pub(super) fn get(self) -> u32 {
        self.0
    }

    /// What it should be after a reply of so many entries and bytes. Gives back whether it is another now.
    pub(super) fn adjust(&mut self, entries: usize, bytes: usize) -> bool {
        let is_full = u32::try_from(entries).is_ok_and(|entries| entries >= self.0);
        // One large entry among those that have just come says nothing of what comes next.
        let is_cut = entries >= LEAST as usize && bytes > CUT_BYTES;
        let better = if (is_full || is_cut) && bytes > MOST_BYTES {
            u32::try_from(entries.saturating_mul(AIM) / bytes).unwrap_or(FIRST)
        } else if is_full && bytes < LEAST_BYTES {
            self.0.saturating_mul(4)
        } else {
            return false;
        };
        let before = std::mem::replace(&mut self.0, better.clamp(LEAST, FIRST));
        self.0 != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_small_for_large_entries_and_large_again_for_small_ones() {
        let mut size = BatchSize::default();
        assert!(!size.adjust(1000, 300_000), "usual entries");
        assert!(!size.adjust(3, 900), "there are no more");
        assert!(!size.adjust(3, 15 << 20), "one large one among a few");
        assert!(!size.adjust(300, 3 << 20), "a large one among what has just come");
        assert!(BatchSize::default().adjust(1000, 3 << 20), "entries of 3 KB");
        assert!(size.adjust(250, 16 << 20), "entries of 64 KB");
        assert_eq!(size, BatchSize(LEAST));
        assert!(!size.adjust(16, 1 << 20), "it fits now");
        assert!(!size.adjust(1, 16 << 20), "an entry of 16 MB: fewer are not asked for");
        let mut reopened = 0;
        while size.adjust(size.get() as usize, size.get() as usize * 300) {
            reopened += 1;
        }
        assert_eq!((size, reopened), (BatchSize(FIRST), 3), "no more than at first");
    }
}
