//! What a plugin says of an op that it could not handle.

use std::fmt::Display;

use crate::bindings;
use crate::{DecodeError, http, mail, mongodb, state};

/// What [`handle`](crate::Plugin::handle) gives back.
pub type Outcome = Result<(), Failure>;

/// Why an op could not be handled, and so what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It may work later: the host tries again after a pause.
    #[error("{0}")]
    Retry(String),
    /// It will never work: the host does not try again.
    #[error("{0}")]
    Reject(String),
}

impl Failure {
    /// It may work later. For use as `.map_err(Failure::retry)?`.
    pub fn retry(reason: impl Display) -> Self {
        Self::Retry(reason.to_string())
    }

    /// It will never work. For use as `.map_err(Failure::reject)?`.
    pub fn reject(reason: impl Display) -> Self {
        Self::Reject(reason.to_string())
    }
}

/// A document that cannot be decoded now cannot be decoded later: reject.
impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        Self::reject(error)
    }
}

/// Retry, except for a message that no later attempt would get through.
impl From<mail::Error> for Failure {
    fn from(error: mail::Error) -> Self {
        match error {
            mail::Error::Unavailable(_) | mail::Error::NotGranted(_) => Self::retry(error),
            mail::Error::Invalid(_) | mail::Error::Rejected(_) => Self::reject(error),
        }
    }
}

/// Retry, except for a request that no later attempt would get through.
impl From<http::Error> for Failure {
    fn from(error: http::Error) -> Self {
        match error {
            http::Error::Unavailable(_) | http::Error::NotGranted(_) => Self::retry(error),
            http::Error::Invalid(_) | http::Error::Rejected(_) => Self::reject(error),
        }
    }
}

/// Retry, except for what no later attempt would get through.
impl From<mongodb::Error> for Failure {
    fn from(error: mongodb::Error) -> Self {
        match error {
            mongodb::Error::Unavailable(_) | mongodb::Error::NotGranted(_) => Self::retry(error),
            mongodb::Error::Invalid(_) | mongodb::Error::DuplicateKey(_) | mongodb::Error::Rejected(_) => {
                Self::reject(error)
            }
        }
    }
}

/// Retry, except for what no later attempt would get through.
impl From<state::Error> for Failure {
    fn from(error: state::Error) -> Self {
        match error {
            state::Error::Unavailable(_) | state::Error::NotGranted(_) => Self::retry(error),
            state::Error::Invalid(_) => Self::reject(error),
        }
    }
}

impl From<Failure> for bindings::gtm::plugin::types::Failure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Retry(reason) => Self::Retry(reason),
            Failure::Reject(reason) => Self::Reject(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_error_is_tried_again_unless_it_is_for_good() {
        let later = mail::Error::Unavailable("421".into());
        let never = mail::Error::Rejected("550".into());
        assert!(matches!(Failure::from(later), Failure::Retry(_)));
        assert!(matches!(Failure::from(never), Failure::Reject(_)));
    }
}
