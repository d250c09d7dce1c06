//! The reasons why a source ends.

use crate::change_stream::error::StreamError;
use crate::file::FileError;
use crate::oplog::error::OplogError;
use crate::snapshot::SnapshotError;

/// The reason why a source ends.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The oplog cannot be read any further.
    #[error(transparent)]
    Oplog(#[from] OplogError),
    /// The change stream cannot be read any further.
    #[error(transparent)]
    ChangeStream(#[from] StreamError),
    /// The snapshot cannot be taken.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The files cannot be read any further.
    #[error(transparent)]
    File(#[from] FileError),
    /// The server does not report its time, which a snapshot needs to begin.
    #[error("the server cannot be asked for its time, at which the snapshot would begin: {0}")]
    NoTime(String),
    /// The source reads what one selection wants, and cannot change that.
    #[error("{source_name} cannot be read for another selection")]
    FixedSelection {
        /// What is read.
        source_name: String,
    },
    /// A source without an end has ended.
    #[error("{source_name} has ended")]
    Ended {
        /// What was read.
        source_name: String,
    },
}

impl SourceError {
    /// Returns whether changes were lost, so that only another start can continue.
    pub(crate) fn is_history_lost(&self) -> bool {
        match self {
            Self::Oplog(error) => error.is_history_lost(),
            Self::ChangeStream(error) => error.is_history_lost(),
            _ => false,
        }
    }
}
