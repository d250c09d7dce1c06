//! Why a plugin could not handle an op.

use std::time::Duration;

/// The longest pause that a plugin can ask for.
const MAX_PAUSE: Duration = Duration::from_secs(3600);

/// The reason why a plugin could not handle an op, which decides what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It may work later.
    Retry {
        /// The reason, on one line.
        reason: String,
        /// The shortest pause before the next attempt, of an hour at most. None: the plugin leaves it to the host.
        after: Option<Duration>,
    },
    /// It will never work.
    Reject {
        /// The reason, on one line.
        reason: String,
    },
}

impl Failure {
    /// Makes the failure of an op that may work later.
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::Retry { reason: reason.into(), after: None }
    }

    /// Makes the failure of an op that will never work.
    pub fn reject(reason: impl Into<String>) -> Self {
        Self::Reject { reason: reason.into() }
    }

    /// Makes the failure of an op that may work after this many milliseconds.
    pub(crate) fn retry_after(millis: u64, reason: String) -> Self {
        Self::Retry { reason, after: Some(Duration::from_millis(millis).min(MAX_PAUSE)) }
    }

    /// Returns the reason.
    pub fn reason(&self) -> &str {
        match self {
            Self::Retry { reason, .. } | Self::Reject { reason } => reason,
        }
    }

    /// Changes the reason.
    #[must_use]
    pub(crate) fn map_reason(mut self, change: impl FnOnce(&str) -> String) -> Self {
        let (Self::Retry { reason, .. } | Self::Reject { reason }) = &mut self;
        *reason = change(reason);
        self
    }
}
