//! The driver's errors in a few words.

use mongodb::error::{Error, ErrorKind};

/// The user has not the right to do it.
pub const UNAUTHORIZED: i32 = 13;

/// The code of a server's error reply.
pub fn command_code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}

/// Answers of a server that is starting, stopping, electing or busy: HostUnreachable, HostNotFound,
/// NetworkTimeout, ShutdownInProgress, ReadConcernMajorityNotAvailableYet, QueryPlanKilled,
/// PrimarySteppedDown, ExceededTimeLimit, SocketException, NotWritablePrimary, InterruptedAtShutdown,
/// InterruptedDueToReplStateChange, NotPrimaryNoSecondaryOk, NotPrimaryOrSecondary.
const TRANSIENT: [i32; 14] = [6, 7, 89, 91, 134, 175, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436];

/// The cursor is lost, and the read can be begun again where it was: CursorNotFound, StaleShardVersion,
/// FailedToSatisfyReadPreference, CappedPositionLost, StaleEpoch, RetryChangeStream, CursorKilled, Interrupted. Whether
/// a lost position is lost history, is seen when it is begun again.
const LOST_CURSOR: [i32; 8] = [43, 63, 133, 136, 150, 234, 237, 11601];

/// Whether a read may work a little later, with a new cursor.
pub fn may_pass(error: &Error) -> bool {
    is_transient(error) || command_code(error).is_some_and(|code| LOST_CURSOR.contains(&code))
}

/// Whether a server that answers with this code may answer otherwise a little later.
pub fn is_code_that_passes(code: i32) -> bool {
    TRANSIENT.contains(&code) || LOST_CURSOR.contains(&code)
}

/// Whether it was given up because it took too long.
pub fn is_timeout(error: &Error) -> bool {
    matches!(&*error.kind, ErrorKind::Io(error) if error.kind() == std::io::ErrorKind::TimedOut)
}

/// Whether the same may work a little later.
fn is_transient(error: &Error) -> bool {
    match &*error.kind {
        ErrorKind::Command(command) => TRANSIENT.contains(&command.code),
        ErrorKind::Io(_) | ErrorKind::ServerSelection { .. } | ErrorKind::ConnectionPoolCleared { .. } => {
            true
        }
        _ => error.contains_label("RetryableReadError"),
    }
}

/// What went wrong: of a server's reply its message and code, of the driver's long report on server
/// selection the first server's error.
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

/// The report ends each error with its labels.
fn first_error(report: &str) -> String {
    let cause = report.split_once(", labels: ").map_or(report, |(cause, _)| cause);
    cause.trim_start_matches("Kind: ").trim_end_matches(['.', ' ', '}', ']']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_report_on_server_selection_the_first_error_is_kept() {
        let report = "Kind: I/O error: Connection refused (os error 111), labels: {\"RetryableError\"}, source: None } ] }";
        assert_eq!(first_error(report), "I/O error: Connection refused (os error 111)");
    }
}
