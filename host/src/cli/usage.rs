//! Usage errors: a command line, an environment or a settings file that is not valid. The program ends with the same status, whether clap
//! or a later check finds the error.

use std::fmt;
use std::process::ExitCode;

use gtm_host::config::ConfigError;
use gtm_host::remedy::WithRemedy;

/// The exit status after a usage error. The program has done nothing.
const USAGE_ERROR: u8 = 2;

/// An error in the arguments, the environment or the settings.
#[derive(Debug)]
pub(super) struct UsageError(pub(super) anyhow::Error);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        WithRemedy(self.0.as_ref()).fmt(f)
    }
}

impl std::error::Error for UsageError {}

/// Converts errors into usage errors.
pub(super) trait OrUsage<T> {
    /// Converts the error into a usage error.
    fn or_usage(self) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrUsage<T> for Result<T, E> {
    fn or_usage(self) -> anyhow::Result<T> {
        self.map_err(|error| UsageError(error.into()).into())
    }
}

/// Converts an error of the settings into a usage error, unless something that they name cannot be read.
pub(super) fn settings_error(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref() {
        Some(ConfigError::Unreadable { .. } | ConfigError::Exposed(_)) => error,
        _ => UsageError(error).into(),
    }
}

/// Returns the exit status of a program that ends with this error.
pub(super) fn status(error: &anyhow::Error) -> ExitCode {
    status_of_all(std::slice::from_ref(error))
}

/// Returns the exit status after these errors: success if there are none.
pub(super) fn status_of_all(errors: &[anyhow::Error]) -> ExitCode {
    match errors {
        [] => ExitCode::SUCCESS,
        errors if errors.iter().any(|error| error.is::<UsageError>()) => ExitCode::from(USAGE_ERROR),
        _ => ExitCode::FAILURE,
    }
}

/// Returns early with a usage error, like `anyhow::bail`.
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
    fn a_usage_error_keeps_its_status_and_causes_under_a_context() {
        let error: anyhow::Result<()> = Err(anyhow!("cause")).context("what").or_usage().context("where");
        let error = error.unwrap_err();
        assert_eq!(format!("{error:#}"), "where: what: cause");
        assert_eq!(format!("{:?}", status(&error)), format!("{:?}", ExitCode::from(2)));
        assert_eq!(format!("{:?}", status(&anyhow!("other"))), format!("{:?}", ExitCode::from(1)));
    }
}
