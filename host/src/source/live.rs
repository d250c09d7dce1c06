//! A deployment that is followed: its changes from a start on, and past a history that is lost, as the policy
//! says.

use mongodb::{Client, Namespace};
use serde::Deserialize;

use super::choice::Choice;
use super::oplog::{OplogStart, Skipped, Tail, TailError};
use super::{Selection, Start};
use crate::op::{Op, Timestamp};

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
}

/// How a deployment is followed.
#[derive(Clone, Debug)]
pub struct Follow {
    /// Connected to it.
    pub client: Client,
    /// What of it is read.
    pub choice: Choice,
    /// What is wanted of it.
    pub selection: Selection,
    /// Where reading begins.
    pub start: Start,
    /// What is done when that, or what follows it, is lost.
    pub history_lost: HistoryLost,
}

/// Why a source ends.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The oplog cannot be read any more.
    #[error(transparent)]
    Oplog(#[from] TailError),
}

impl SourceError {
    fn is_history_lost(&self) -> bool {
        match self {
            Self::Oplog(error) => error.is_history_lost(),
        }
    }
}

/// The changes of a deployment, without end.
pub struct Live {
    follow: Follow,
    stream: Tail,
    /// Of the streams before this one.
    skipped: Skipped,
    restarts: u64,
}

impl Live {
    /// Begins to follow. The server is reading when this returns.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub async fn open(follow: Follow) -> Result<Self, SourceError> {
        let (stream, restarts) = match open(&follow, follow.start).await {
            Ok(stream) => (stream, 0),
            Err(error) => (restart(&follow, error).await?, 1),
        };
        Ok(Self { follow, stream, skipped: Skipped::default(), restarts })
    }
