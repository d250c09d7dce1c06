//! The store: the same calls, whichever place it keeps things at.

use std::collections::BTreeSet;
use std::path::Path;

use mongodb::Client;

use crate::cluster::ClusterStore;
use crate::directory::DirectoryStore;
use crate::{
    Checkpoint, CheckpointKey, DeadLetter, DeadLetterFilter, LetterPage, StateKey, StoreError, StoreKind,
    StoredTotal,
};

/// A plugin that a store has something of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KnownPlugin {
    /// The name of the pipeline.
    pub pipeline: String,
    /// The name of the plugin.
    pub plugin: String,
    /// Whether it is known by its dead letters, and not by its checkpoint.
    pub has_letters: bool,
}

/// A store. Clones are of the same one.
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

/// The same call, of whichever store it is.
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
    /// Opens it. A directory is made if need be; on the cluster, everything is made by the first write.
    ///
    /// # Errors
    /// The directory cannot be used, another host has it open, or its file is damaged or of another format.
    pub async fn open(kind: &StoreKind, client: &Client) -> Result<Self, StoreError> {
        let backend = match kind {
            StoreKind::Mongodb => Backend::Cluster(ClusterStore::new(client)),
            StoreKind::File(directory) => Backend::Directory(DirectoryStore::open(directory).await?),
            StoreKind::None => Backend::None,
        };
        Ok(Self { backend })
    }

    /// Opens one that is there, and makes nothing.
    ///
    /// # Errors
    /// [`StoreError::Absent`]: there is none in the directory. Else as [`open`](Self::open).
    pub async fn open_existing(kind: &StoreKind, client: &Client) -> Result<Self, StoreError> {
        match kind {
            StoreKind::File(directory) if !DirectoryStore::is_in(directory) => {
                Err(StoreError::Absent { directory: directory.clone() })
            }
            _ => Self::open(kind, client).await,
        }
    }

    /// Makes a store that keeps nothing.
    pub fn none() -> Self {
        Self { backend: Backend::None }
    }

    /// Returns whether the store keeps anything. False for [`StoreKind::None`], which accepts everything and keeps nothing.
    pub fn keeps(&self) -> bool {
        !matches!(self.backend, Backend::None)
    }

    /// Returns the directory that it is in. None: it is not in one.
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

    /// Returns whose checkpoints there are in a pipeline, in order: of one plugin, or of all.
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

    /// Returns the plugins of which there is a checkpoint or a dead letter, with their pipelines: twice if there are both. It may take a while, where there are
    /// many dead letters.
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

    /// Removes a checkpoint. Returns whether it was there.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn remove_checkpoint(&self, key: &CheckpointKey) -> Result<bool, StoreError> {
        ask!(self, remove_checkpoint(key), false)
    }

    /// Stores a checkpoint, unless one of a later epoch is there.
    ///
    /// # Errors
    /// [`StoreError::Fenced`]: that; nothing is written. Else see [`StoreError`].
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
    /// See [`StoreError`]. The letter is not stored then, or perhaps not by a majority.
    pub async fn add_dead_letter(&self, letter: &DeadLetter) -> Result<(), StoreError> {
        ask!(self, add_dead_letter(letter), ())
    }

    /// Returns how many dead letters of a plugin there are, and what they hold.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn dead_letters_kept(&self, pipeline: &str, plugin: &str) -> Result<StoredTotal, StoreError> {
        ask!(self, dead_letters_kept(pipeline, plugin), StoredTotal::default())
    }

    /// Returns at most `limit` dead letters in the order of their ids, which is that of the changes; with `after`, those after this
    /// id. One that cannot be read holds up no other.
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

    /// Removes a dead letter. Gives back whether it was there.
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

    /// Stores how far a snapshot came: JSON.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn save_snapshot_progress(&self, key: &CheckpointKey, bytes: &[u8]) -> Result<(), StoreError> {
        ask!(self, save_snapshot_progress(key, bytes), ())
    }

    /// Forgets how far a snapshot came.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn remove_snapshot_progress(&self, key: &CheckpointKey) -> Result<(), StoreError> {
        ask!(self, remove_snapshot_progress(key), ())
    }

    /// Returns the value that a plugin keeps under this key.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn state(&self, key: &StateKey) -> Result<Option<Vec<u8>>, StoreError> {
        ask!(self, state(key), None)
    }

    /// Returns how many values a plugin keeps, and their bytes with those of their keys.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn state_kept(&self, pipeline: &str, plugin: &str) -> Result<StoredTotal, StoreError> {
        ask!(self, state_kept(pipeline, plugin), StoredTotal::default())
    }

    /// Has a plugin keep this; none: nothing any more.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn set_state(&self, key: &StateKey, value: Option<&[u8]>) -> Result<(), StoreError> {
        ask!(self, set_state(key, value), ())
    }

    /// Has a plugin keep this, if it keeps what is expected; none: nothing. Gives back whether it did.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn swap_state(
        &self,
        key: &StateKey,
        expected: Option<&[u8]>,
        value: &[u8],
    ) -> Result<bool, StoreError> {
        ask!(self, swap_state(key, expected, value), false)
    }
}
