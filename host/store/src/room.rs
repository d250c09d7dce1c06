//! Limits how much a plugin may keep in the store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gtm_text::sanitize::size;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::StoreError;

/// When there is no room, the total is counted again after this time, or this many times the duration of the count if that is longer.
const MAX_COUNT_AGE: Duration = Duration::from_secs(2);
const MAX_COUNT_USES: u32 = 20;

/// The total of what a plugin keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoredTotal {
    /// The number of entries.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl fmt::Display for StoredTotal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.entries, size(self.bytes))
    }
}

impl StoredTotal {
    /// Returns the total with one more entry of this many bytes.
    pub(super) fn and(self, bytes: u64) -> Self {
        Self { entries: self.entries.saturating_add(1), bytes: self.bytes.saturating_add(bytes) }
    }

    /// Returns the total without an entry of this many bytes.
    pub fn without(self, bytes: u64) -> Self {
        Self { entries: self.entries.saturating_sub(1), bytes: self.bytes.saturating_sub(bytes) }
    }

    /// Returns whether one more entry of this many bytes fits into `most`, in which 0 means no limit. The first entry always fits.
    pub fn has_room(self, most: Self, bytes: u64) -> bool {
        let fits = |kept: u64, most: u64| most == 0 || kept <= most;
        let next = self.and(bytes);
        fits(next.entries, most.entries) && (self.entries == 0 || fits(next.bytes, most.bytes))
    }
}

/// The room for what a plugin keeps. Clones share it. The total is counted at the start, and again when there seems to be no room. In
/// between, each entry is added to it, even if it replaces another. Hosts that share the work may together keep a little more.
#[derive(Clone, Debug, Default)]
pub struct Room {
    counted: Arc<Mutex<Option<CountedTotal>>>,
}

#[derive(Clone, Copy, Debug)]
struct CountedTotal {
    kept: StoredTotal,
    /// When to count again if there is no room.
    again: Instant,
    /// Whether nothing was added since the count.
    is_exact: bool,
}

impl CountedTotal {
    async fn count(count: impl Future<Output = Result<StoredTotal, StoreError>>) -> Result<Self, StoreError> {
        let started = Instant::now();
        let kept = count.await?;
        let pause = started.elapsed().saturating_mul(MAX_COUNT_USES).max(MAX_COUNT_AGE);
        Ok(Self { kept, again: Instant::now() + pause, is_exact: true })
    }
}

/// Why there is no room.
#[derive(Debug, thiserror::Error)]
pub enum StoreFull {
    /// The total has reached the limit.
    #[error("the limit is reached: {0}")]
    Full(StoredTotal),
    /// The total cannot be counted.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Room {
    /// Frees the room of a removed entry of this many bytes.
    pub async fn release(&self, bytes: u64) {
        if let Some(counted) = &mut *self.counted.lock().await {
            counted.kept = counted.kept.without(bytes);
        }
    }

    /// Has the total counted again the next time, as something was replaced.
    pub async fn forget(&self) {
        *self.counted.lock().await = None;
    }

    /// Returns what the plugin keeps: counted now, or at most about two seconds ago, and then with what was added since. `count` counts it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn kept(
        &self,
        count: impl Future<Output = Result<StoredTotal, StoreError>>,
    ) -> Result<StoredTotal, StoreError> {
        let mut counted = self.counted.lock().await;
        let known = counted.filter(|counted| Instant::now() < counted.again);
        let total = match known {
            Some(known) => known,
            None => CountedTotal::count(count).await?,
        };
        *counted = Some(total);
        Ok(total.kept)
    }

    /// Takes the room for one more entry of this many bytes. `most` is the limit, and `count` counts the total.
    ///
    /// # Errors
    /// See [`StoreFull`].
    pub async fn take(
        &self,
        most: StoredTotal,
        bytes: u64,
        count: impl Future<Output = Result<StoredTotal, StoreError>>,
    ) -> Result<(), StoreFull> {
        let mut counted = self.counted.lock().await;
        let is_right = |counted: &CountedTotal| {
            counted.kept.has_room(most, bytes) || (counted.is_exact && Instant::now() < counted.again)
        };
        let CountedTotal { kept, again, .. } = match counted.filter(is_right) {
            Some(known) => known,
            None => CountedTotal::count(count).await?,
        };
        if kept.has_room(most, bytes) {
            *counted = Some(CountedTotal { kept: kept.and(bytes), again, is_exact: false });
            Ok(())
        } else {
            *counted = Some(CountedTotal { kept, again, is_exact: true });
            Err(StoreFull::Full(kept))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_limited_by_entries_and_bytes_and_one_entry_always_fits() {
        let most = StoredTotal { entries: 3, bytes: 100 };
        let has = |entries, bytes, more| StoredTotal { entries, bytes }.has_room(most, more);
        assert!(has(2, 50, 50) && has(0, 0, 1000));
        assert!(!has(3, 50, 1) && !has(2, 50, 51));
        assert!(StoredTotal { entries: 1 << 40, bytes: 1 << 50 }.has_room(StoredTotal::default(), 1));
    }

    #[tokio::test]
    async fn the_total_is_counted_again_only_if_there_seems_to_be_no_room() {
        let (room, most) = (Room::default(), StoredTotal { entries: 10, bytes: 100 });
        let never = async || -> Result<StoredTotal, StoreError> { panic!("it is counted") };
        room.take(most, 40, async { Ok(StoredTotal { entries: 1, bytes: 20 }) }).await.unwrap();
        room.take(most, 40, never()).await.unwrap();
        // Both replaced the first entry.
        room.take(most, 40, async { Ok(StoredTotal { entries: 1, bytes: 40 }) }).await.unwrap();
        let full =
            room.take(most, 40, async { Ok(StoredTotal { entries: 3, bytes: 99 }) }).await.unwrap_err();
        assert!(matches!(full, StoreFull::Full(StoredTotal { bytes: 99, .. })), "{full}");
        assert!(matches!(room.take(most, 2, never()).await, Err(StoreFull::Full(_))), "not for each call");
        room.take(most, 1, never()).await.unwrap();
        room.release(80).await;
        room.take(most, 80, never()).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_kept_is_counted_once_in_a_while() {
        let (room, most) = (Room::default(), StoredTotal { entries: 10, bytes: 100 });
        let never = async || -> Result<StoredTotal, StoreError> { panic!("it is counted") };
        let count = async |entries, bytes| Ok(StoredTotal { entries, bytes });
        assert_eq!(room.kept(count(2, 30)).await.unwrap(), StoredTotal { entries: 2, bytes: 30 });
        room.take(most, 5, never()).await.unwrap();
        room.forget().await;
        assert_eq!(room.kept(count(1, 5)).await.unwrap(), StoredTotal { entries: 1, bytes: 5 });
    }
}
