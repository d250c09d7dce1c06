//! The store: the same interface for all places.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use mongodb::Client;

use crate::cluster::ClusterStore;
use crate::directory::DirectoryStore;
use crate::{
    Checkpoint, CheckpointKey, DeadLetter, DeadLetterFilter, LetterPage, StateEntry, StateKey, StateQuery,
    StoreError, StoreKind, StoredTotal, TimerKey, TimerProgress,
};

/// A plugin with a checkpoint or dead letters in a store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KnownPlugin {
    /// The name of the pipeline.
    pub pipeline: String,
    /// The name of the plugin.
    pub plugin: String,
    /// Whether it has dead letters. False: it has a checkpoint.
    pub has_letters: bool,
}

/// A store. Clones share it.
#[derive(Clone)]
pub struct Store {
    backend: Backend,
}

#[derive(Clone)]
enum Backend {
    Cluster(ClusterStore),
    Directory(DirectoryStore),
    None,
}

/// Makes the same call on any store.
macro_rules! ask {
    ($self:ident, $call:ident($($argument:expr),*), $none:expr) => {
        match &$self.backend {
            Backend::Cluster(store) => store.$call($($argument),*).await,
            Backend::Directory(store) => store.$call($($argument),*).await,
            Backend::None => Ok($none),
        }
    };
}

impl Store {
    /// Opens a store. It makes a directory if necessary; on the cluster, the first write makes everything.
    ///
    /// # Errors
    /// The directory cannot be used, another host has it open, or its file is damaged or has another format.
    pub async fn open(kind: &StoreKind, client: &Client) -> Result<Self, StoreError> {
        let backend = match kind {
            StoreKind::Mongodb => Backend::Cluster(ClusterStore::new(client)),
            StoreKind::File(directory) => Backend::Directory(DirectoryStore::open(directory).await?),
            StoreKind::None => Backend::None,
        };
        Ok(Self { backend })
    }

    /// Opens an existing store.
    ///
    /// # Errors
    /// [`StoreError::Absent`] if the directory has none; otherwise those of [`open`](Self::open).
    pub async fn open_existing(kind: &StoreKind, client: &Client) -> Result<Self, StoreError> {
        match kind {
            StoreKind::File(directory) if !DirectoryStore::is_in(directory) => {
                Err(StoreError::Absent { directory: directory.clone() })
            }
            _ => Self::open(kind, client).await,
        }
    }

    /// Makes a store that lives in memory, for a trial.
    ///
    /// # Errors
    /// Fails only by a defect.
    pub async fn in_memory() -> Result<Self, StoreError> {
        Ok(Self { backend: Backend::Directory(DirectoryStore::in_memory().await?) })
    }

    /// Makes a store that keeps nothing.
    pub fn none() -> Self {
        Self { backend: Backend::None }
    }

    /// Returns whether the store keeps anything. [`StoreKind::None`] accepts everything and keeps nothing.
    pub fn keeps(&self) -> bool {
        !matches!(self.backend, Backend::None)
    }

    /// Returns its directory. None: it is not in a directory.
    pub fn directory(&self) -> Option<&Path> {
        match &self.backend {
            Backend::Directory(store) => store.directory(),
            Backend::Cluster(_) | Backend::None => None,
        }
    }

    /// Returns the checkpoint, if there is one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn checkpoint(&self, key: &CheckpointKey) -> Result<Option<Checkpoint>, StoreError> {
        ask!(self, checkpoint(key), None)
    }

    /// Returns the keys of the checkpoints of a pipeline, in order: those of one plugin, or of all.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn checkpoint_keys(
        &self,
        pipeline: &str,
        plugin: Option<&str>,
    ) -> Result<Vec<CheckpointKey>, StoreError> {
        let mut keys = ask!(self, checkpoint_keys(pipeline, plugin), Vec::new())?;
        keys.sort();
        Ok(keys)
    }

    /// Returns the plugins with a checkpoint or dead letters, with their pipelines: twice if they have both. It may take a while with many
    /// dead letters.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn known(&self) -> Result<BTreeSet<KnownPlugin>, StoreError> {
        ask!(self, known(), BTreeSet::new())
    }

    /// Returns the checkpoints of a plugin, of all workers.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn checkpoints(
        &self,
        pipeline: &str,
        plugin: &str,
    ) -> Result<Vec<(CheckpointKey, Checkpoint)>, StoreError> {
        let mut checkpoints = Vec::new();
        for key in self.checkpoint_keys(pipeline, Some(plugin)).await? {
            if let Some(checkpoint) = self.checkpoint(&key).await? {
                checkpoints.push((key, checkpoint));
            }
        }
        Ok(checkpoints)
    }

    /// Removes a checkpoint. Returns whether it existed.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn remove_checkpoint(&self, key: &CheckpointKey) -> Result<bool, StoreError> {
        ask!(self, remove_checkpoint(key), false)
    }

    /// Stores a checkpoint, unless the stored one has a later epoch.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if it has; nothing is written. Otherwise, see [`StoreError`].
    pub async fn save_checkpoint(
        &self,
        key: &CheckpointKey,
        checkpoint: &Checkpoint,
    ) -> Result<(), StoreError> {
        ask!(self, save_checkpoint(key, checkpoint), ())
    }

    /// Stores a dead letter, in place of one with the same id.
    ///
    /// # Errors
    /// See [`StoreError`]. The letter is not stored, or perhaps not by a majority.
    pub async fn add_dead_letter(&self, letter: &DeadLetter) -> Result<(), StoreError> {
        ask!(self, add_dead_letter(letter), ())
    }

    /// Returns the number of dead letters of a plugin, and their bytes.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn dead_letters_kept(&self, pipeline: &str, plugin: &str) -> Result<StoredTotal, StoreError> {
        ask!(self, dead_letters_kept(pipeline, plugin), StoredTotal::default())
    }

    /// Returns at most `limit` dead letters in the order of their ids, which is that of the changes; with `after`, those after this id. A
    /// letter that cannot be read does not affect the others.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<LetterPage, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        ask!(self, dead_letters(filter, after, limit), LetterPage::default())
    }

    /// Returns the dead letter with this id.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn dead_letter(&self, id: &str) -> Result<Option<DeadLetter>, StoreError> {
        ask!(self, dead_letter(id), None)
    }

    /// Removes a dead letter. Returns whether it existed.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn drop_dead_letter(&self, id: &str) -> Result<bool, StoreError> {
        ask!(self, drop_dead_letter(id), false)
    }

    /// Returns the saved progress of a snapshot.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn snapshot_progress(&self, key: &CheckpointKey) -> Result<Option<Vec<u8>>, StoreError> {
        ask!(self, snapshot_progress(key), None)
    }

    /// Stores the progress of a snapshot, as JSON.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn save_snapshot_progress(&self, key: &CheckpointKey, bytes: &[u8]) -> Result<(), StoreError> {
        ask!(self, save_snapshot_progress(key, bytes), ())
    }

    /// Removes the progress of a snapshot.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn remove_snapshot_progress(&self, key: &CheckpointKey) -> Result<(), StoreError> {
        ask!(self, remove_snapshot_progress(key), ())
    }

    /// Returns the progress of a timer, if there is one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn timer(&self, key: &TimerKey) -> Result<Option<TimerProgress>, StoreError> {
        ask!(self, timer(key), None)
    }

    /// Stores the progress of a timer.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn save_timer(&self, key: &TimerKey, progress: &TimerProgress) -> Result<(), StoreError> {
        ask!(self, save_timer(key, progress), ())
    }

    /// Returns the value that a plugin keeps under this key. A number is returned in decimal digits.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn state(&self, key: &StateKey) -> Result<Option<Vec<u8>>, StoreError> {
        ask!(self, state(key), None)
    }

    /// Removes the expired values of a plugin, and returns the number of the others, and their bytes with those of their keys.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn state_kept(&self, pipeline: &str, plugin: &str) -> Result<StoredTotal, StoreError> {
        ask!(self, state_kept(pipeline, plugin), StoredTotal::default())
    }

    /// Returns values that a plugin keeps, in the order of the bytes of their keys. None are left after an empty result.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn state_entries(&self, query: &StateQuery) -> Result<Vec<StateEntry>, StoreError> {
        ask!(self, state_entries(query), Vec::new())
    }

    /// Sets a value that a plugin keeps. After `time_to_live`, it is absent; none: it lasts.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn set_state(
        &self,
        key: &StateKey,
        value: &[u8],
        time_to_live: Option<Duration>,
    ) -> Result<(), StoreError> {
        ask!(self, set_state(key, value, time_to_live), ())
    }

    /// Removes a value that a plugin keeps. Returns its bytes with those of its key. None: there was no value.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn delete_state(&self, key: &StateKey) -> Result<Option<u64>, StoreError> {
        ask!(self, delete_state(key), None)
    }

    /// Sets a value that a plugin keeps, as [`set_state`](Self::set_state), if the current value is the expected one (none: no value).
    /// Returns whether it did.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn swap_state(
        &self,
        key: &StateKey,
        expected: Option<&[u8]>,
        value: &[u8],
        time_to_live: Option<Duration>,
    ) -> Result<bool, StoreError> {
        ask!(self, swap_state(key, expected, value, time_to_live), false)
    }

    /// Adds to a number that a plugin keeps, in one step, and returns the sum. No value counts as 0. With `time_to_live`, the sum is absent
    /// after it; none: the value lasts as long as before.
    ///
    /// # Errors
    /// [`StoreError::NotIncremented`] if the value is not a number or the sum is too large; nothing changes. Otherwise, see [`StoreError`].
    pub async fn increment_state(
        &self,
        key: &StateKey,
        by: i64,
        time_to_live: Option<Duration>,
    ) -> Result<i64, StoreError> {
        ask!(self, increment_state(key, by, time_to_live), by)
    }
}
