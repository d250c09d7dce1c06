//! What was not understood: the command line, the environment or the settings file. Whatever finds it, the program ends with the same
//! status as where clap finds it.

use std::fmt;
use std::process::ExitCode;

use gtm_host::config::ConfigError;
use gtm_host::remedy::WithRemedy;

/// The exit status where nothing was done, as it is not clear what is to be.
const NOT_UNDERSTOOD: u8 = 2;

/// Something that was said to the host and cannot be done by any machine.
#[derive(Debug)]
pub(super) struct UsageError(pub(super) anyhow::Error);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        WithRemedy(self.0.as_ref()).fmt(f)
    }
}

impl std::error::Error for UsageError {}

/// Makes what was found wrong an error of usage.
pub(super) trait OrUsage<T> {
    /// An error is one of usage.
    fn or_usage(self) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrUsage<T> for Result<T, E> {
    fn or_usage(self) -> anyhow::Result<T> {
        self.map_err(|error| UsageError(error.into()).into())
    }
}

/// The same of the settings: a file that cannot be read is not misunderstood.
pub(super) fn of_settings(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref() {
        Some(ConfigError::Unreadable { .. } | ConfigError::Exposed(_)) => error,
        _ => UsageError(error).into(),
    }
}

/// The exit status of a program that ends with this error.
pub(super) fn status(error: &anyhow::Error) -> ExitCode {
    status_of_all(std::slice::from_ref(error))
}

/// The same, where several were found: success if there are none.
pub(super) fn status_of_all(errors: &[anyhow::Error]) -> ExitCode {
    match errors {
        [] => ExitCode::SUCCESS,
        errors if errors.iter().any(|error| error.is::<UsageError>()) => ExitCode::from(NOT_UNDERSTOOD),
        _ => ExitCode::FAILURE,
    }
}

/// Like `anyhow::bail`, with an error of usage.
macro_rules! bail_usage {
    ($($words:tt)*) => {
        return $crate::cli::usage::OrUsage::or_usage(Err(anyhow::anyhow!($($words)*)))
    };
}
pub(super) use bail_usage;

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn an_error_of_usage_is_one_under_any_context_and_says_all_its_causes() {
        let error: anyhow::Result<()> = Err(anyhow!("cause")).context("what").or_usage().context("where");
        let error = error.unwrap_err();
        assert_eq!(format!("{error:#}"), "where: what: cause");
        assert_eq!(format!("{:?}", status(&error)), format!("{:?}", ExitCode::from(2)));
        assert_eq!(format!("{:?}", status(&anyhow!("other"))), format!("{:?}", ExitCode::from(1)));
    }
}
