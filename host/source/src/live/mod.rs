//! Follows a deployment: first a snapshot of its documents, if it is wanted, then its changes, also past lost history if the
//! policy allows it.

mod changes;
mod snapshot_phase;

use async_trait::async_trait;
use gtm_mongo::SourceHealth;
use gtm_oplog::broken::count_broken;
use gtm_oplog::{Selection, Skipped, Timestamp, add_skipped};
use mongodb::Client;
use serde::Deserialize;
use snapshot_phase::{SnapshotPhase, begin};
pub use snapshot_phase::{now, rolled_off};

use crate::batch::SourceBatch;
use crate::change_stream::{StreamError, WatchedScope};
use crate::error::SourceError;
use crate::position::Position;
use crate::resolved::ResolvedSource;
use crate::snapshot::StoredProgress;
use crate::source::{Source, SourceEnd};
use crate::start_at::StartAt;

/// What to do when changes cannot be read any more, because the server rolled them off or was restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HistoryLost {
    /// Returns the error.
    #[default]
    Stop,
    /// Logs the loss, and restarts from the oldest change.
    RestartFromOldest,
    /// Logs the loss, and restarts from now.
    RestartFromNow,
    /// Logs the loss, takes a snapshot, and continues from the time at which it began.
    Snapshot,
}

/// How to follow a deployment.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// A client of the deployment.
    pub client: Client,
    /// The source of its changes.
    pub choice: ResolvedSource,
    /// The wanted ops.
    pub selection: Selection,
    /// The part of the deployment that the host's change streams watch. All sources of a host share it.
    pub watched: WatchedScope,
    /// The start.
    pub start: StartAt,
    /// What to do if changes from the start on are lost.
    pub history_lost: HistoryLost,
    /// Whether to take a snapshot first.
    pub snapshot: bool,
    /// The store of the progress of a snapshot. None: the progress is not stored.
    pub progress: Option<StoredProgress>,
    /// Receives whether the readers can read.
    pub health: SourceHealth,
}

/// The changes of a deployment, without end: its documents first, if they are wanted, then its changes.
pub struct LiveSource {
    config: SourceConfig,
    /// The snapshot, until all of it was returned.
    snapshot: Option<Box<SnapshotPhase>>,
    changes: Box<dyn Source>,
    /// What earlier sources skipped, and the ops with broken documents.
    skipped: Skipped,
}

impl LiveSource {
    /// Opens the source. Every change from the start on is returned, even if it happens before the first read.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub async fn open(mut config: SourceConfig) -> Result<Self, SourceError> {
        let is_stream = matches!(config.choice, ResolvedSource::ChangeStream(_));
        if is_stream && config.history_lost == HistoryLost::RestartFromOldest {
            return Err(StreamError::NoOldest.into());
        }
        match Self::start(&mut config).await {
            Err(error) if error.is_history_lost() => Self::restart(config, error).await,
            Err(error) => Err(error),
            Ok((snapshot, changes)) => Ok(Self { config, snapshot, changes, skipped: Skipped::new() }),
        }
    }

    async fn start(
        config: &mut SourceConfig,
    ) -> Result<(Option<Box<SnapshotPhase>>, Box<dyn Source>), SourceError> {
        let at = begin(config).await?;
        let changes = changes::open(config).await?;
        let snapshot = match at {
            Some(at) => Some(SnapshotPhase::plan(config, at).await?),
            None => None,
        };
        Ok((snapshot, changes))
    }

    /// Restarts after lost history if the policy permits it, or returns the error.
    async fn restart(mut config: SourceConfig, lost: SourceError) -> Result<Self, SourceError> {
        let (start, from) = match config.history_lost {
            HistoryLost::Stop => return Err(lost),
            HistoryLost::RestartFromOldest => (StartAt::Oldest, "oldest"),
            HistoryLost::RestartFromNow => (StartAt::Now, "now"),
            HistoryLost::Snapshot => (StartAt::Now, "snapshot"),
        };
        tracing::error!(
            event = "source.restart",
            from,
            error = &lost as &(dyn std::error::Error + 'static),
            "history is lost; restarting, as the settings ask"
        );
        config.start = start;
        // A snapshot that was not complete began before the loss, too.
        config.snapshot |= config.history_lost == HistoryLost::Snapshot;
        if let (true, Some(progress)) = (config.snapshot, &config.progress) {
            progress.remove().await?;
        }
        let (snapshot, changes) = Self::start(&mut config).await?;
        Ok(Self { config, snapshot, changes, skipped: Skipped::new() })
    }

    /// Returns the next wanted ops: those of the snapshot first, if there is one, in no order; then the changes, in
    /// theirs. The batch has no ops if none came for about a second.
    ///
    /// After a batch of a snapshot, it waits until that is acknowledged. The future can be dropped: nothing is lost.
    ///
    /// # Errors
    /// See [`SourceError`]. The source must not be used again.
    pub async fn next(&mut self) -> Result<SourceBatch, SourceError> {
        loop {
            if let Some(snapshot) = &mut self.snapshot {
                match snapshot.next().await? {
                    Some(batch) => return Ok(self.counted(batch)),
                    None => {
                        self.snapshot = None;
                        self.config.snapshot = false;
                    }
                }
            }
            match self.changes.next().await {
                Err(error) if error.is_history_lost() => {
                    let next = Self::restart(self.config.clone(), error).await?;
                    let before = std::mem::replace(self, next);
                    self.skipped = before.into_skipped();
                }
                Ok(None) => return Err(SourceError::Ended { source_name: self.changes.describe() }),
                Ok(Some(batch)) => return Ok(self.counted(batch)),
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until the last batch of a snapshot is acknowledged or dropped, and stores the progress of the snapshot.
    ///
    /// # Errors
    /// The progress cannot be stored.
    pub async fn settle(&mut self) -> Result<(), SourceError> {
        match &mut self.snapshot {
            Some(snapshot) => snapshot.settle().await,
            None => Ok(()),
        }
    }

    fn counted(&mut self, batch: SourceBatch) -> SourceBatch {
        count_broken(&batch.ops, &mut self.skipped);
        batch
    }

    /// Tells it that an entry of the oplog is at `time`, so that its position advances there soon if nothing before is wanted.
    pub fn expect_entry(&mut self, time: Timestamp) {
        self.changes.expect_entry(time);
    }

    /// Returns how many ops were read and not returned yet. The next batches have them without asking the server.
    pub fn left(&self) -> usize {
        self.changes.left()
    }

    /// Returns whether the documents of a snapshot are still to come.
    pub fn in_snapshot(&self) -> bool {
        self.snapshot.is_some()
    }

    /// Replaces the selection for the changes that are not read yet; a snapshot keeps the one that it was planned for.
    /// Must be called only if no ops are [left](Self::left).
    ///
    /// # Errors
    /// See [`SourceError`]. The source must not be used again.
    pub async fn reselect(&mut self, selection: Selection) -> Result<(), SourceError> {
        self.config.selection = selection.clone();
        self.changes.reselect(selection).await
    }

    /// Returns the position up to which the changes were returned. None: the server has not sent a position yet, or ops are
    /// [left](Self::left).
    pub fn position(&self) -> Option<Position> {
        self.changes.position()
    }

    /// Returns how many entries or events were skipped, by reason.
    pub fn into_skipped(mut self) -> Skipped {
        add_skipped(&mut self.skipped, self.changes.end().skipped);
        self.skipped
    }
}

#[async_trait]
impl Source for LiveSource {
    fn describe(&self) -> String {
        self.changes.describe()
    }

    async fn next(&mut self) -> Result<Option<SourceBatch>, SourceError> {
        Self::next(self).await.map(Some)
    }

    fn left(&self) -> usize {
        Self::left(self)
    }

    fn position(&self) -> Option<Position> {
        Self::position(self)
    }

    async fn reselect(&mut self, selection: Selection) -> Result<(), SourceError> {
        Self::reselect(self, selection).await
    }

    async fn settle(&mut self) -> Result<(), SourceError> {
        Self::settle(self).await
    }

    fn end(self: Box<Self>) -> SourceEnd {
        SourceEnd { skipped: self.into_skipped(), files: None }
    }
}
