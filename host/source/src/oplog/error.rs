//! The reasons why an oplog cannot be tailed.

use gtm_oplog::{Malformed, Timestamp};
use mongodb::Namespace;

/// The reason why an oplog cannot be tailed.
#[derive(Debug, thiserror::Error)]
pub enum OplogError {
    /// The server cannot tail this collection.
    #[error("{oplog} cannot be tailed: {reason}")]
    NotTailable {
        /// The collection.
        oplog: Namespace,
        /// The server's message.
        reason: String,
    },
    /// The user lacks the privilege to read the oplog.
    #[error("this user may not read {oplog}: {reason}")]
    Unauthorized {
        /// The oplog.
        oplog: Namespace,
        /// The server's message.
        reason: String,
    },
    /// The server refuses the read for another reason, now and later.
    #[error("the server refuses to read {oplog}: {reason}. help: see the server's log")]
    Refused {
        /// The oplog.
        oplog: Namespace,
        /// The server's message.
        reason: String,
    },
    /// The oplog begins after the start.
    #[error(
        "the oplog begins at {oldest}, after the start {start}: changes between the two cannot be read any more"
    )]
    StartLost {
        /// The start.
        start: Timestamp,
        /// The oldest entry.
        oldest: Timestamp,
    },
    /// The start is in the future.
    #[error(
        "the start {start} is in the future: the newest entry of the oplog is at {newest}. help: check that the start is of \
         this deployment, and that the server's clock is right"
    )]
    StartAhead {
        /// The start.
        start: Timestamp,
        /// The newest entry.
        newest: Timestamp,
    },
    /// The oplog has moved past the position.
    #[error(
        "history is lost: the last change that was read is at {position}, but the oplog now begins at {oldest}. Changes between \
         the two were not read"
    )]
    HistoryLost {
        /// The last entry that was read.
        position: Timestamp,
        /// The oldest entry.
        oldest: Timestamp,
    },
    /// The last entry that was read is missing, though older ones are there.
    #[error(
        "the oplog has another history: the change at {position}, which was read before, is missing, and {found} comes next. Was \
         the server restored from a backup?"
    )]
    Diverged {
        /// The last entry that was read.
        position: Timestamp,
        /// The next entry.
        found: Timestamp,
    },
    /// The start is a resume token without a time.
    #[error("the oplog cannot be read from this resume token on: it contains no time")]
    TokenWithoutTime,
    /// The server's reply is not that of a MongoDB server.
    #[error("the server's reply cannot be read: {0}")]
    Reply(#[from] Malformed),
}

impl OplogError {
    /// Returns whether changes were lost, so that only another start can continue.
    pub fn is_history_lost(&self) -> bool {
        matches!(self, Self::StartLost { .. } | Self::HistoryLost { .. } | Self::Diverged { .. })
    }
}
