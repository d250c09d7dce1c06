//! Stores the state of a snapshot, so that a host resumes where it stopped: as JSON, with each `_id` as canonical Extended JSON.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gtm_oplog::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::error::SnapshotError;
use super::state::{SnapshotState, VERSION};

/// The interval between two writes: a crash repeats at most as much, besides the ops that are not done.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The future of a [`ProgressStore`].
pub type ProgressFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send + 'a>>;

/// A store of the progress of one snapshot. A write that is interrupted leaves the old or the new progress.
pub trait ProgressStore: std::fmt::Debug + Send + Sync {
    /// Reads what was written last, if anything.
    fn read(&self) -> ProgressFuture<'_, Option<Vec<u8>>>;
    /// Replaces the progress.
    fn write(&self, bytes: Vec<u8>) -> ProgressFuture<'_, ()>;
    /// Removes the progress, if there is any.
    fn remove(&self) -> ProgressFuture<'_, ()>;
}

/// Where the progress of a snapshot is stored.
#[derive(Clone, Debug)]
pub struct StoredProgress {
    /// The store of this snapshot's progress.
    pub store: Arc<dyn ProgressStore>,
    /// The deployment, such as the name of its replica set. The progress of another one is refused.
    pub deployment: String,
}

/// The stage of a snapshot, according to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotStage {
    /// No snapshot has begun.
    None,
    /// A snapshot began at this time and is not complete: open the stream there, and resume the snapshot.
    Unfinished(Timestamp),
    /// The snapshot that began at this time is complete.
    Complete(Timestamp),
}

impl StoredProgress {
    /// Removes the progress, so that the next snapshot reads everything.
    ///
    /// # Errors
    /// The progress cannot be removed.
    pub async fn remove(&self) -> Result<(), SnapshotError> {
        self.store.remove().await.map_err(SnapshotError::Write)
    }

    /// Reads the state of a snapshot of this deployment and of the selection with the digest `selection`, if there is one.
    pub(super) async fn read(&self, selection: &str) -> Result<Option<SnapshotState>, SnapshotError> {
        let Some(bytes) = self.store.read().await.map_err(SnapshotError::Read)? else { return Ok(None) };
        let state = parse(&bytes)?;
        if state.deployment != self.deployment {
            let (theirs, ours) = (state.deployment, self.deployment.clone());
            return Err(SnapshotError::OtherDeployment { theirs, ours });
        }
        if state.selection != selection {
            return Err(SnapshotError::OtherSelection);
        }
        Ok(Some(state))
    }
}

fn parse(bytes: &[u8]) -> Result<SnapshotState, SnapshotError> {
    let corrupt = |reason: String| SnapshotError::Corrupt { reason };
    let value: Value = serde_json::from_slice(bytes).map_err(|error| corrupt(error.to_string()))?;
    let version = value.get("version").and_then(Value::as_u64);
    match version.ok_or_else(|| corrupt("it has no version".to_owned()))? {
        version if version > u64::from(VERSION) => Err(SnapshotError::Newer { version, known: VERSION }),
        _ => SnapshotState::deserialize(value).map_err(|error| corrupt(error.to_string())),
    }
}

/// Writes the state of a snapshot.
#[derive(Debug)]
pub(super) struct ProgressWriter {
    store: Arc<dyn ProgressStore>,
    /// Whether the state has changed since it was written.
    changed: bool,
    written: Instant,
    /// A task of its own, which continues if the future that waits for it is dropped.
    writing: Option<JoinHandle<Result<(), BoxError>>>,
}

impl ProgressWriter {
    pub(super) fn new(store: Arc<dyn ProgressStore>) -> Self {
        Self { store, changed: true, written: Instant::now(), writing: None }
    }

    /// Records that the state has changed.
    pub(super) fn change(&mut self) {
        self.changed = true;
    }

    /// Writes the state if it has changed and the interval is over.
    pub(super) async fn save_if_due(&mut self, state: &SnapshotState) -> Result<(), SnapshotError> {
        if self.written.elapsed() < WRITE_INTERVAL { Ok(()) } else { self.save(state).await }
    }

    /// Writes the state if it has changed. It is in the store when this returns.
    pub(super) async fn save(&mut self, state: &SnapshotState) -> Result<(), SnapshotError> {
        self.written().await?;
        if std::mem::take(&mut self.changed) {
            let (store, state) = (Arc::clone(&self.store), state.clone());
            self.writing = Some(tokio::spawn(async move { store.write(serde_json::to_vec(&state)?).await }));
            self.written = Instant::now();
        }
        self.written().await
    }

    async fn written(&mut self) -> Result<(), SnapshotError> {
        let Some(writing) = &mut self.writing else { return Ok(()) };
        let written = writing.await.unwrap_or_else(|error| Err(error.into()));
        self.writing = None;
        written.map_err(|reason| {
            self.changed = true;
            SnapshotError::Write(reason)
        })
    }
}
