//! The reasons why a change stream ends.

use gtm_mongo::server_error::{UNAUTHORIZED, command_code, is_retryable, sentence};
use gtm_oplog::Malformed;
use mongodb::error::Error;

use super::scope::Scope;
use crate::position::Position;
use crate::start_at::StartAt;

/// The reason why a change stream ends.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The oplog has moved past the position.
    #[error(
        "history is lost: the change stream of {scope} cannot resume from {from}, as the oplog begins later. Changes between the \
         two cannot be read any more ({reason})", from = words(position)
    )]
    HistoryLost {
        /// What the stream watched.
        scope: Scope,
        /// The position, or the start.
        position: StartAt,
        /// The server's message.
        reason: String,
    },
    /// The server cannot read the token, or it is of another stream.
    #[error(
        "the change stream of {scope} cannot resume from {from}: {reason}. The token is damaged, or of another deployment, \
         database or collection", from = words(position)
    )]
    InvalidToken {
        /// What the stream was to watch.
        scope: Scope,
        /// The token.
        position: StartAt,
        /// The server's message.
        reason: String,
    },
    /// The server abandons the stream: no attempt from this position will succeed.
    #[error(
        "the change stream of {scope} has ended at {from}, from which the server cannot resume it: {reason}",
        from = words(position)
    )]
    Fatal {
        /// What the stream watched.
        scope: Scope,
        /// The position.
        position: StartAt,
        /// The server's message.
        reason: String,
    },
    /// The next event is larger than a reply may be.
    #[error(
        "the next change event of {scope} after {from} is larger than 16 MB, so the server cannot send it: {reason}. Servers \
         split such events from 6.0.9 and 7.0 on", from = words(position)
    )]
    TooLarge {
        /// What the stream watched.
        scope: Scope,
        /// The position.
        position: StartAt,
        /// The server's message.
        reason: String,
    },
    /// The server is standalone.
    #[error(
        "the server is not a member of a replica set and has no change streams. help: make it a replica set of one member: start \
         mongod with --replSet rs0, and run rs.initiate() once in mongosh"
    )]
    NotReplicaSet,
    /// The user lacks the role.
    #[error(
        "this user may not watch {scope}: {reason}. help: ask an administrator to run this in mongosh: \
         db.getSiblingDB(\"admin\").grantRolesToUser(\"USER\", [{role}])", role = scope.role()
    )]
    Unauthorized {
        /// What the stream was to watch.
        scope: Scope,
        /// The server's message.
        reason: String,
    },
    /// The server refuses the stream for another reason, now and later.
    #[error("the change stream of {scope} cannot be read from {from} on: {reason}", from = words(position))]
    Refused {
        /// What the stream was to watch.
        scope: Scope,
        /// The start.
        position: StartAt,
        /// The server's message.
        reason: String,
    },
    /// The start is the oldest change, which only an oplog can find.
    #[error(
        "a change stream cannot start with its oldest change, at the start or after lost history: only the server knows it"
    )]
    NoOldest,
    /// The server's reply is not that of a MongoDB server.
    #[error("the server's reply cannot be read: {0}")]
    Reply(#[from] Malformed),
}

/// Returns a start as it is called in a sentence.
fn words(start: &StartAt) -> String {
    match start {
        StartAt::After(Position::ChangeStream(token)) => format!("the resume token {token}"),
        start => start.to_string(),
    }
}

const FAILED_TO_PARSE: i32 = 9;
/// The codes of a resume token that is not valid: InvalidResumeToken, and those of its single defects.
const INVALID_TOKEN: [i32; 4] = [260, 40647, 40648, 40649];
const FATAL: i32 = 280;
const HISTORY_LOST: i32 = 286;
const OBJECT_TOO_LARGE: i32 = 10334;
const NOT_REPLICA_SET: i32 = 40573;

impl StreamError {
    /// Returns whether changes were lost, so that only another start can continue.
    pub fn is_history_lost(&self) -> bool {
        matches!(self, Self::HistoryLost { .. } | Self::Fatal { .. })
    }

    /// Returns the reason why another attempt from `position` would fail, too. None: it may succeed.
    pub(super) fn of(error: &Error, scope: &Scope, position: &StartAt) -> Option<Self> {
        // Without a code, the error is one of the connection.
        let code = command_code(error)?;
        if is_retryable(error) || error.contains_label("ResumableChangeStreamError") {
            return None;
        }
        let (scope, position, reason) = (scope.clone(), position.clone(), sentence(error));
        let from_token = matches!(position, StartAt::After(Position::ChangeStream(_)));
        Some(match code {
            HISTORY_LOST => Self::HistoryLost { scope, position, reason },
            OBJECT_TOO_LARGE => Self::TooLarge { scope, position, reason },
            NOT_REPLICA_SET => Self::NotReplicaSet,
            UNAUTHORIZED => Self::Unauthorized { scope, reason },
            FAILED_TO_PARSE if from_token => Self::InvalidToken { scope, position, reason },
            code if INVALID_TOKEN.contains(&code) => Self::InvalidToken { scope, position, reason },
            code if code == FATAL || error.contains_label("NonResumableChangeStreamError") => {
                Self::Fatal { scope, position, reason }
            }
            _ => Self::Refused { scope, position, reason },
        })
    }
}
