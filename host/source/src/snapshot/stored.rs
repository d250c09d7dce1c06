//! What was read, kept so that a host that was stopped goes on where it was: JSON, its values of `_id` canonical Extended
//! JSON.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gtm_oplog::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::error::SnapshotError;
use super::state::{SnapshotState, VERSION};

/// Between two times that it is written: what a crash may repeat, beside the ops in work.
const PAUSE: Duration = Duration::from_secs(1);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a store answers, in its time.
pub type KeptSnapshot<'a, T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send + 'a>>;

/// Where the progress of one snapshot is kept. A write that is stopped half-way leaves the old or the new.
pub trait ProgressStore: std::fmt::Debug + Send + Sync {
    /// What was written last, if anything.
    fn read(&self) -> KeptSnapshot<'_, Option<Vec<u8>>>;
    /// Keeps this instead.
    fn write(&self, bytes: Vec<u8>) -> KeptSnapshot<'_, ()>;
    /// Forgets it, if there is anything.
    fn remove(&self) -> KeptSnapshot<'_, ()>;
}

/// Where progress is kept, and of what.
#[derive(Clone, Debug)]
pub struct KeptProgress {
    /// Of this snapshot alone.
    pub store: Arc<dyn ProgressStore>,
    /// The deployment: the name of its replica set, say. Progress of another one is refused.
    pub deployment: String,
}

/// What the store says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotStanding {
    /// Nothing: no snapshot was begun.
    None,
    /// A snapshot was begun and not ended: the stream is to be opened at this place, and the snapshot to go on.
    Unfinished(Timestamp),
    /// The snapshot that was begun at this place is complete: there is nothing to do.
    Complete(Timestamp),
}

impl KeptProgress {
    /// Forgets what was kept: the next snapshot begins anew.
    ///
    /// # Errors
    /// It cannot be removed.
    pub async fn remove(&self) -> Result<(), SnapshotError> {
        self.store.remove().await.map_err(SnapshotError::Write)
    }

    /// What was kept of a snapshot of this deployment and `selection` (its digest), if anything.
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

/// Writes it.
#[derive(Debug)]
pub(super) struct Keeper {
    store: Arc<dyn ProgressStore>,
    /// Something is not written yet.
    changed: bool,
    written: Instant,
    /// A task of its own: it goes on when whoever waits for it does not.
    writing: Option<JoinHandle<Result<(), BoxError>>>,
}

impl Keeper {
    pub(super) fn new(store: Arc<dyn ProgressStore>) -> Self {
        Self { store, changed: true, written: Instant::now(), writing: None }
    }

    /// What is to be kept has changed.
    pub(super) fn change(&mut self) {
        self.changed = true;
    }

    /// Writes what has changed, unless that was done just now.
    pub(super) async fn save_if_due(&mut self, state: &SnapshotState) -> Result<(), SnapshotError> {
        if self.written.elapsed() < PAUSE { Ok(()) } else { self.save(state).await }
    }

    /// Writes what has changed. It is in the store when this returns.
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
