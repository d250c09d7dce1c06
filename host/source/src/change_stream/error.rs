//! Why a change stream ends.

use gtm_mongo::server_error::{UNAUTHORIZED, command_code, is_retryable, sentence};
use gtm_oplog::{Malformed, StreamStart};
use mongodb::error::Error;

use super::scope::Scope;

/// Why a change stream ends.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The oplog has moved on past the position.
    #[error(
        "history is lost: the change stream of {scope} cannot go on from {position}, as the oplog begins after it. \
         Changes between the two cannot be read any more. Make the oplog larger (replSetResizeOplog) or the pauses \
         shorter. To go on without them: --source-on-history-lost restart-from-now ({reason})"
    )]
    HistoryLost {
        /// What was watched.
        scope: Scope,
        /// Up to which all was read, or where it was to begin.
        position: StreamStart,
        /// What the server says.
        reason: String,
    },
    /// The server cannot read the token, or it is of another stream.
    #[error(
        "the change stream of {scope} cannot go on from {position}: {reason}. Is the token whole, and from a stream of \
         the same deployment, database or collection? help: pass --restart-from with a time to begin there instead"
    )]
    InvalidToken {
        /// What was to be watched.
        scope: Scope,
        /// The token.
        position: StreamStart,
        /// What the server says.
        reason: String,
    },
    /// The server gives the stream up: no attempt from this position will succeed.
    #[error(
        "the change stream of {scope} has come to an end at {position}, from which the server cannot go on: {reason}"
    )]
    Fatal {
        /// What was watched.
        scope: Scope,
        /// Up to which all was read.
        position: StreamStart,
        /// What the server says.
        reason: String,
    },
    /// The next event is larger than a reply may be.
    #[error(
        "the next change event of {scope} after {position} is larger than 16 MB, so that the server cannot send it: \
         {reason}. From 6.0.9 and 7.0 on servers split such events. help: to continue without it, pass --restart-from with a later time"
    )]
    TooLarge {
        /// What was watched.
        scope: Scope,
        /// Up to which all was read.
        position: StreamStart,
        /// What the server says.
        reason: String,
    },
    /// A standalone server.
    #[error(
        "the server is no member of a replica set and has no change streams. Make it a replica set of one member: start \
         mongod with --replSet rs0, and run rs.initiate() once in mongosh"
    )]
    NotReplicaSet,
    /// The user has not the role.
    #[error(
        "this user may not watch {scope}: {reason}. Let an administrator grant it, in mongosh: \
         db.getSiblingDB(\"admin\").grantRolesToUser(\"USER\", [{role}])", role = scope.role()
    )]
    Unauthorized {
        /// What was to be watched.
        scope: Scope,
        /// What the server says.
        reason: String,
    },
    /// The server refuses the stream for another reason, now and later.
    #[error("the change stream of {scope} cannot be read from {position} on: {reason}")]
    Refused {
        /// What was to be watched.
        scope: Scope,
        /// From where on.
        position: StreamStart,
        /// What the server says.
        reason: String,
    },
    /// The server answers in a way that is no MongoDB's.
    #[error("the server's reply cannot be read: {0}")]
    Reply(#[from] Malformed),
}

const FAILED_TO_PARSE: i32 = 9;
/// InvalidResumeToken, and the numbers of what can be wrong with the form of one.
const INVALID_TOKEN: [i32; 4] = [260, 40647, 40648, 40649];
const FATAL: i32 = 280;
const HISTORY_LOST: i32 = 286;
const OBJECT_TOO_LARGE: i32 = 10334;
const NOT_REPLICA_SET: i32 = 40573;

impl StreamError {
    /// Whether changes cannot be read any more, which another start is the only way past.
    pub fn is_history_lost(&self) -> bool {
        matches!(self, Self::HistoryLost { .. } | Self::Fatal { .. })
    }

    /// Why no further attempt at `position` mends `error`. None: one may.
    pub(super) fn of(error: &Error, scope: &Scope, position: &StreamStart) -> Option<Self> {
        // What is not an answer of the server is from the way to it.
        let code = command_code(error)?;
        if is_retryable(error) || error.contains_label("ResumableChangeStreamError") {
            return None;
        }
        let (scope, position, reason) = (scope.clone(), position.clone(), sentence(error));
        let from_token = matches!(position, StreamStart::After(_));
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
