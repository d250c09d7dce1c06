//! Why a tail ends.

use gtm_oplog::{Malformed, Timestamp};
use mongodb::Namespace;

/// Why a tail ends.
#[derive(Debug, thiserror::Error)]
pub enum OplogError {
    /// The server refuses to be read, now and later.
    #[error("the oplog {oplog} cannot be read: {reason}. {remedy}")]
    Refused {
        /// Which oplog.
        oplog: Namespace,
        /// What the server says.
        reason: String,
        /// What can be done.
        remedy: &'static str,
    },
    /// The oplog has moved on past the start that was asked for.
    #[error(
        "the oplog begins at {oldest}, after the start {start}: changes between the two cannot be read any more. \
         help: to continue without them, pass --restart-from oldest; gtm-host tail takes --start oldest"
    )]
    StartLost {
        /// The start.
        start: Timestamp,
        /// The oldest entry there is.
        oldest: Timestamp,
    },
    /// The start that was asked for is yet to come.
    #[error(
        "the start {start} is in the future: the newest entry of the oplog is of {newest}. Is it of another \
         deployment, or the server's clock wrong?"
    )]
    StartAhead {
        /// The start.
        start: Timestamp,
        /// The newest entry there is.
        newest: Timestamp,
    },
    /// The oplog has moved on past the position.
    #[error(
        "history is lost: the last change read is of {position}, but the oplog now begins at {oldest}. Changes \
         between the two were not seen. Make the oplog larger (replSetResizeOplog) or the pauses shorter. To go on without them: \
         --source-on-history-lost restart-from-oldest, or restart-from-now"
    )]
    HistoryLost {
        /// Up to which all was read.
        position: Timestamp,
        /// The oldest entry there is.
        oldest: Timestamp,
    },
    /// The last entry read is not in the oplog any more, though older ones are.
    #[error(
        "the oplog has another history: the change of {position}, read before, is not in it any more, and {found} comes \
         next. Was the server restored from a backup? To go on: --source-on-history-lost \
         restart-from-oldest, or restart-from-now"
    )]
    Diverged {
        /// The last entry read.
        position: Timestamp,
        /// What stands in its place.
        found: Timestamp,
    },
    /// The server answers in a way that is no MongoDB's.
    #[error("the server's reply cannot be read: {0}")]
    Reply(#[from] Malformed),
}

impl OplogError {
    /// Whether changes cannot be read any more, which another start is the only way past.
    pub fn is_history_lost(&self) -> bool {
        matches!(self, Self::StartLost { .. } | Self::HistoryLost { .. } | Self::Diverged { .. })
    }
}
