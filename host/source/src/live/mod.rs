//! A deployment that is followed: the documents that are there, where they are wanted; then its changes, from a
//! start on, and past a history that is lost, as the policy says.

mod snapshot_phase;
mod stream;

use gtm_mongo::SourceHealth;
use gtm_oplog::broken::count_broken;
use gtm_oplog::{Selection, Skipped};
use mongodb::Client;
use serde::Deserialize;
use snapshot_phase::{Taking, begin};
pub use snapshot_phase::{now, rolled_off};
use stream::LiveStream;

use super::resolved::ResolvedSource;
use super::snapshot::{KeptProgress, SnapshotError};
use crate::batch::SourceBatch;
pub(crate) use crate::change_stream::error::StreamError;
pub(crate) use crate::oplog::error::OplogError;
use crate::position::Position;
use crate::start::Start;

/// What is done when changes cannot be read any more: the server has rolled them off, or was restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HistoryLost {
    /// The host stops and says so.
    #[default]
    Stop,
    /// It goes on from the oldest change there is, having said so.
    RestartFromOldest,
    /// It goes on from now, having said so.
    RestartFromNow,
    /// It takes a snapshot, having said so, and goes on from where that began.
    Snapshot,
}

/// How a deployment is followed.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// Connected to it.
    pub client: Client,
    /// What of it is read.
    pub choice: ResolvedSource,
    /// What is wanted of it.
    pub selection: Selection,
    /// Of a change stream: what decides how much of the deployment is watched, as the tokens of a stream are those of its
    /// scope only. None: the selection.
    pub watched: Option<Selection>,
    /// Where reading begins.
    pub start: Start,
    /// What is done when that, or what follows it, is lost.
    pub history_lost: HistoryLost,
    /// Whether the documents that are there come first.
    pub snapshot: bool,
    /// Where the progress of a snapshot is kept. None: it is not kept.
    pub progress: Option<KeptProgress>,
    /// Where readers report whether they can read.
    pub health: SourceHealth,
}

/// Why a source ends.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The oplog cannot be read any more.
    #[error(transparent)]
    Oplog(#[from] OplogError),
    /// The change stream cannot be read any more.
    #[error(transparent)]
    ChangeStream(#[from] StreamError),
    /// The documents that are there cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The server does not say what time it is, which a snapshot needs to begin.
    #[error("the server cannot be asked for its time, at which the snapshot would begin: {0}")]
    NoTime(String),
    /// A start that only a change stream has.
    #[error(
        "the oplog cannot be read from this resume token on: this server writes no time into its tokens. help: read a change \
         stream (--source-kind change-stream), or give a time or SECONDS.INCREMENT instead of the token"
    )]
    TokenForOplog,
    /// A start that only an oplog has.
    #[error(
        "a change stream cannot be read from its oldest change on, at the start or when history is lost: only the server \
         knows it. Give a time that its oplog still has, or --source-on-history-lost restart-from-now; or read the oplog (--source-kind \
         oplog)"
    )]
    NoOldest,
}

impl SourceError {
    fn is_history_lost(&self) -> bool {
        match self {
            Self::Oplog(error) => error.is_history_lost(),
            Self::ChangeStream(error) => error.is_history_lost(),
            Self::Snapshot(_) | Self::NoTime(_) | Self::TokenForOplog | Self::NoOldest => false,
        }
    }
}

/// The changes of a deployment, without end.
pub struct LiveSource {
    follow: SourceConfig,
    /// What is still to be given out before the stream.
    snapshot: Option<Box<Taking>>,
    stream: LiveStream,
    /// By the streams before this one.
    skipped: Skipped,
}

impl LiveSource {
    /// Begins to follow. The server is reading when this returns.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub async fn open(mut follow: SourceConfig) -> Result<Self, SourceError> {
        let of_stream = matches!(follow.choice, ResolvedSource::ChangeStream(_));
        if of_stream && follow.history_lost == HistoryLost::RestartFromOldest {
            return Err(SourceError::NoOldest);
        }
        match Self::start(&mut follow).await {
            Err(error) if error.is_history_lost() => Self::past(follow, error).await,
            Err(error) => Err(error),
            Ok((snapshot, stream)) => Ok(Self { follow, snapshot, stream, skipped: Skipped::new() }),
        }
    }

    async fn start(follow: &mut SourceConfig) -> Result<(Option<Box<Taking>>, LiveStream), SourceError> {
        let at = begin(follow).await?;
        let stream = LiveStream::open(follow).await?;
        let snapshot = match at {
            Some(at) => Some(Taking::plan(follow, at).await?),
            None => None,
        };
        Ok((snapshot, stream))
    }

    /// Goes on past what is lost, if that is the policy.
    async fn past(mut follow: SourceConfig, lost: SourceError) -> Result<Self, SourceError> {
        let (start, from) = match follow.history_lost {
            HistoryLost::Stop => return Err(lost),
            HistoryLost::RestartFromOldest => (Start::Oldest, "from the oldest change there is"),
            HistoryLost::RestartFromNow => (Start::Now, "from now"),
            HistoryLost::Snapshot => (Start::Now, "with a snapshot"),
        };
        tracing::error!("going on {from}, as asked for: {lost}");
        follow.start = start;
        // One that was not complete is of before the loss, too.
        follow.snapshot |= follow.history_lost == HistoryLost::Snapshot;
        if let (true, Some(kept)) = (follow.snapshot, &follow.progress) {
            kept.remove().await?;
        }
        let (snapshot, stream) = Self::start(&mut follow).await?;
        Ok(Self { follow, snapshot, stream, skipped: Skipped::new() })
    }

    /// Returns the next wanted ops: those of the snapshot first, if there is one, in no order; then the changes, in
    /// theirs. No ops come if there are none for about a second.
    ///
    /// After a batch of a snapshot, it waits until that is acknowledged. This can be cancelled: nothing is lost.
    ///
    /// # Errors
    /// See [`SourceError`]. The source is of no more use then.
    pub async fn next(&mut self) -> Result<SourceBatch, SourceError> {
        loop {
            if let Some(taking) = &mut self.snapshot {
                match taking.next().await? {
                    Some(batch) => return Ok(self.counted(batch)),
                    None => {
                        self.snapshot = None;
                        self.follow.snapshot = false;
                    }
                }
            }
            match self.stream.next().await {
                Err(error) if error.is_history_lost() => {
                    let next = Self::past(self.follow.clone(), error).await?;
                    let before = std::mem::replace(self, next);
                    self.skipped = before.into_skipped();
                }
                batch => return Ok(self.counted(batch?)),
            }
        }
    }

    /// Waits until the last batch of a snapshot is acknowledged or dropped, and stores how far the snapshot came.
    ///
    /// # Errors
    /// It cannot be stored.
    pub async fn settle(&mut self) -> Result<(), SourceError> {
        match &mut self.snapshot {
            Some(taking) => taking.settle().await,
            None => Ok(()),
        }
    }

    fn counted(&mut self, batch: SourceBatch) -> SourceBatch {
        count_broken(&batch.ops, &mut self.skipped);
        batch
    }

    /// Returns how many ops were read and not given out. The next of them come without asking the server.
    pub fn left(&self) -> usize {
        self.stream.left()
    }

    /// Whether the documents that are there are still to come.
    pub fn in_snapshot(&self) -> bool {
        self.snapshot.is_some()
    }

    /// From now on, gives out what this selection wants, too; of a change stream, which gives out what it was opened
    /// for, nothing changes. To be called when nothing is [left](Self::left).
    ///
    /// # Errors
    /// See [`SourceError`]. The source is of no more use then.
    pub async fn reselect(&mut self, selection: Selection) -> Result<(), SourceError> {
        self.follow.selection = selection.clone();
        self.stream.reselect(selection).await
    }

    /// Returns the position up to which the changes were read. None: a change stream that has not said yet where it
    /// stands, or ops are [left](Self::left).
    pub fn position(&self) -> Option<Position> {
        self.stream.position()
    }

    /// How much was skipped, by reason.
    pub fn into_skipped(mut self) -> Skipped {
        for (skip, count) in self.stream.into_skipped() {
            *self.skipped.entry(skip).or_default() += count;
        }
        self.skipped
    }
}
