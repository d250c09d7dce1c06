//! The driver's errors in a few words.

use mongodb::error::{Error, ErrorKind};

/// The code of a server's error reply.
pub(super) fn command_code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}

/// What went wrong: of a server's reply its message and code, of the driver's long report on server
/// selection the first server's error.
pub(super) fn sentence(error: &Error) -> String {
    match &*error.kind {
        ErrorKind::Command(command) => {
            format!("{} (code {}, {})", command.message, command.code, command.code_name)
        }
        ErrorKind::ServerSelection { message, .. } => match message.split_once("Error: ") {
            Some((_, cause)) => first_error(cause),
            None => "it did not answer in time".to_owned(),
        },
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
