//! The progress file: what was read, kept so that a host that was stopped goes on where it was.
//!
//! It is written beside itself, synchronised and renamed, so that a crash leaves the old one or the new one. It
//! is JSON, its values of `_id` canonical Extended JSON.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::error::SnapshotError;
use super::state::{State, VERSION};
use crate::op::Timestamp;

/// Between two times that it is written: what a crash may repeat, beside the ops in work.
const PAUSE: Duration = Duration::from_secs(1);

/// Where progress is kept, and of what.
#[derive(Clone, Debug)]
pub struct ProgressFile {
    /// In a directory that exists.
    pub path: PathBuf,
    /// The deployment: the name of its replica set, say. A file of another one is refused.
    pub deployment: String,
}

/// What a progress file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is no file: no snapshot was begun.
    None,
    /// A snapshot was begun and not ended: the stream is to be opened at this place, and the snapshot to go on.
    Unfinished(Timestamp),
    /// The snapshot that was begun at this place is complete: there is nothing to do.
    Complete(Timestamp),
}

impl ProgressFile {
    /// Forgets what was kept: the next snapshot begins anew.
    ///
    /// # Errors
    /// It cannot be deleted.
    pub async fn remove(&self) -> Result<(), SnapshotError> {
        match tokio::fs::remove_file(&self.path).await {
            Err(reason) if reason.kind() != io::ErrorKind::NotFound => {
                Err(SnapshotError::Write { file: self.path.clone(), reason })
            }
            _ => Ok(()),
        }
    }

    /// What was kept of a snapshot of this deployment and `selection` (its digest), if anything.
    pub(super) async fn read(&self, selection: &str) -> Result<Option<State>, SnapshotError> {
        let file = self.path.clone();
        let bytes = match tokio::fs::read(&file).await {
            Ok(bytes) => bytes,
            Err(reason) if reason.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(reason) => return Err(SnapshotError::Read { file, reason }),
        };
        let state = parse(&bytes, &file)?;
        if state.deployment != self.deployment {
            let (theirs, ours) = (state.deployment, self.deployment.clone());
            return Err(SnapshotError::OtherDeployment { file, theirs, ours });
        }
        if state.selection != selection {
            return Err(SnapshotError::OtherSelection { file });
        }
        Ok(Some(state))
    }
}

fn parse(bytes: &[u8], file: &Path) -> Result<State, SnapshotError> {
    let corrupt = |reason: String| SnapshotError::Corrupt { file: file.to_owned(), reason };
    let value: Value = serde_json::from_slice(bytes).map_err(|error| corrupt(error.to_string()))?;
    let version = value.get("version").and_then(Value::as_u64);
    match version.ok_or_else(|| corrupt("it has no version".to_owned()))? {
        version if version > u64::from(VERSION) => {
            Err(SnapshotError::Newer { file: file.to_owned(), version, known: VERSION })
        }
        _ => State::deserialize(value).map_err(|error| corrupt(error.to_string())),
    }
}

/// Writes the file.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    /// Something is not in the file yet.
    changed: bool,
    written: Instant,
    /// On a thread of its own, as a disk may take its time. It goes on when whoever waits for it does not.
    writing: Option<JoinHandle<io::Result<()>>>,
}

impl Store {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, changed: true, written: Instant::now(), writing: None }
    }

    /// What is to be kept has changed.
    pub(super) fn change(&mut self) {
        self.changed = true;
    }

    /// Writes what has changed, unless that was done just now.
    pub(super) async fn save_if_due(&mut self, state: &State) -> Result<(), SnapshotError> {
        if self.written.elapsed() < PAUSE { Ok(()) } else { self.save(state).await }
    }

    /// Writes what has changed. It is in the file when this returns.
    pub(super) async fn save(&mut self, state: &State) -> Result<(), SnapshotError> {
        self.written().await?;
        if std::mem::take(&mut self.changed) {
            let (path, state) = (self.path.clone(), state.clone());
            self.writing = Some(tokio::task::spawn_blocking(move || write(&path, &state)));
            self.written = Instant::now();
        }
        self.written().await
    }

    async fn written(&mut self) -> Result<(), SnapshotError> {
        let Some(writing) = &mut self.writing else { return Ok(()) };
        let written = writing.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        self.writing = None;
        written.map_err(|reason| {
            self.changed = true;
            SnapshotError::Write { file: self.path.clone(), reason }
        })
    }
}

fn write(path: &Path, state: &State) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = File::create(&beside)?;
    file.write_all(&serde_json::to_vec(state)?)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    // The renaming too is to survive a crash of the machine.
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}
