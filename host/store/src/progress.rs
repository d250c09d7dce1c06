//! The progress of snapshots, kept in the store.

use std::sync::Arc;

use gtm_source::{ProgressFuture, ProgressStore};

use super::{CheckpointKey, Store, StoreError};

/// The progress of one snapshot.
struct StoredProgress {
    store: Store,
    key: CheckpointKey,
}

impl Store {
    /// Returns where the progress of this plugin's snapshot is kept.
    pub fn progress(&self, key: CheckpointKey) -> Arc<dyn ProgressStore> {
        Arc::new(StoredProgress { store: self.clone(), key })
    }
}

impl std::fmt::Debug for StoredProgress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.key.fmt(f)
    }
}

fn boxed(error: StoreError) -> Box<dyn std::error::Error + Send + Sync> {
    error.into()
}

impl ProgressStore for StoredProgress {
    fn read(&self) -> ProgressFuture<'_, Option<Vec<u8>>> {
        Box::pin(async { self.store.snapshot_progress(&self.key).await.map_err(boxed) })
    }

    fn write(&self, bytes: Vec<u8>) -> ProgressFuture<'_, ()> {
        Box::pin(async move { self.store.save_snapshot_progress(&self.key, &bytes).await.map_err(boxed) })
    }

    fn remove(&self) -> ProgressFuture<'_, ()> {
        Box::pin(async { self.store.remove_snapshot_progress(&self.key).await.map_err(boxed) })
    }
}
