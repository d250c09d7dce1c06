//! Classifies the driver's errors and describes them in a few words.

use mongodb::error::{Error, ErrorKind};

/// The code of an error reply to a user who lacks the privilege.
pub const UNAUTHORIZED: i32 = 13;

/// Returns the code of a server's error reply. None: the error is not a reply.
pub fn command_code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}

/// The codes of a server that is starting, stopping, electing or busy: HostUnreachable, HostNotFound, NetworkTimeout,
/// ShutdownInProgress, ReadConcernMajorityNotAvailableYet, QueryPlanKilled, PrimarySteppedDown, ExceededTimeLimit,
/// SocketException, NotWritablePrimary, InterruptedAtShutdown, InterruptedDueToReplStateChange,
/// NotPrimaryNoSecondaryOk, NotPrimaryOrSecondary.
const TRANSIENT: [i32; 14] = [6, 7, 89, 91, 134, 175, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436];

/// The codes of a lost cursor whose read can resume at its position: CursorNotFound, StaleShardVersion,
/// FailedToSatisfyReadPreference, CappedPositionLost, StaleEpoch, RetryChangeStream, CursorKilled, Interrupted. Whether
/// a lost position means lost history shows when the read resumes.
const LOST_CURSOR: [i32; 8] = [43, 63, 133, 136, 150, 234, 237, 11601];

/// Returns whether a read may succeed a little later, with a new cursor.
pub fn is_retryable(error: &Error) -> bool {
    is_transient(error) || command_code(error).is_some_and(|code| LOST_CURSOR.contains(&code))
}

/// Returns whether a server that replied with this code may reply differently a little later.
pub fn is_retryable_code(code: i32) -> bool {
    TRANSIENT.contains(&code) || LOST_CURSOR.contains(&code)
}

/// Returns whether the operation was abandoned because it took too long.
pub fn is_timeout(error: &Error) -> bool {
    matches!(&*error.kind, ErrorKind::Io(error) if error.kind() == std::io::ErrorKind::TimedOut)
}

/// Returns whether the driver cannot read the server's reply, for example because it is larger than the driver permits.
pub fn is_unreadable(error: &Error) -> bool {
    matches!(&*error.kind, ErrorKind::InvalidResponse { .. })
}

/// Returns whether the same operation may succeed a little later.
fn is_transient(error: &Error) -> bool {
    match &*error.kind {
        ErrorKind::Command(command) => TRANSIENT.contains(&command.code),
        ErrorKind::Io(_) | ErrorKind::ServerSelection { .. } | ErrorKind::ConnectionPoolCleared { .. } => {
            true
        }
        _ => error.contains_label("RetryableReadError"),
    }
}

/// Returns what went wrong, in one sentence: the message and code of a server's reply, or the first server's error from
/// the driver's long server selection report.
pub fn sentence(error: &Error) -> String {
    match &*error.kind {
        ErrorKind::Command(command) => {
            format!("{} (code {}, {})", command.message, command.code, command.code_name)
        }
        ErrorKind::ServerSelection { message, .. } => match message.split_once("Error: ") {
            Some((_, cause)) => first_error(cause),
            None => "it did not answer in time".to_owned(),
        },
        ErrorKind::InvalidArgument { message, .. } => message.clone(),
        kind => kind.to_string(),
    }
}

/// Returns the first error of a report. Each error in it ends with its labels.
fn first_error(report: &str) -> String {
    let cause = report.split_once(", labels: ").map_or(report, |(cause, _)| cause);
    cause.trim_start_matches("Kind: ").trim_end_matches(['.', ' ', '}', ']']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_of_a_server_selection_report_is_kept() {
        let report = "Kind: I/O error: Connection refused (os error 111), labels: {\"RetryableError\"}, source: None } ] }";
        assert_eq!(first_error(report), "I/O error: Connection refused (os error 111)");
    }
}
