//! What a plugin says of an op that it could not handle.

use std::error::Error;
use std::fmt::Display;

use crate::bindings;
use crate::decode_error::reason;
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
    /// It may work later. For use as `.map_err(Failure::retry)?`. An error of the crate `anyhow` keeps its causes.
    pub fn retry(reason: impl Display) -> Self {
        Self::Retry(format!("{reason:#}"))
    }

    /// It will never work. For use as `.map_err(Failure::reject)?`. An error of the crate `anyhow` keeps its causes.
    pub fn reject(reason: impl Display) -> Self {
        Self::Reject(format!("{reason:#}"))
    }

    /// Appends an error to the reason, and its causes as far as its own text does not repeat them.
    ///
    /// ```
    /// use gtm_plugin::Failure;
    ///
    /// let price = "five".parse::<u32>().map_err(|error| Failure::reject("price").with_cause(&error));
    /// assert_eq!(price.unwrap_err().to_string(), "price: invalid digit found in string");
    /// ```
    #[must_use]
    pub fn with_cause(mut self, error: &dyn Error) -> Self {
        let (Self::Retry(reason) | Self::Reject(reason)) = &mut self;
        let mut cause = Some(error);
        while let Some(error) = cause {
            let text = error.to_string();
            if !reason.contains(&text) {
                reason.push_str(": ");
                reason.push_str(&text);
            }
            cause = error.source();
        }
        self
    }
}

/// A document that cannot be decoded now cannot be decoded later: reject.
impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        Self::reject(error)
    }
}

/// A field that is missing or of another type now is so later: reject, with its name.
impl From<bson::error::Error> for Failure {
    fn from(error: bson::error::Error) -> Self {
        Self::reject(reason(&error))
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
    fn a_failure_keeps_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("the order cannot be priced")]
        struct Outer(#[source] std::num::ParseIntError);

        let outer = Outer("x".parse::<u8>().unwrap_err());
        let failure = Failure::retry("order 5").with_cause(&outer);
        assert_eq!(failure.to_string(), "order 5: the order cannot be priced: invalid digit found in string");
        let missing = bson::doc! {}.get_str("email").map(drop).unwrap_err();
        assert_eq!(Failure::from(missing), Failure::reject("email: expected a value, found nothing"));
    }

    #[test]
    fn a_mail_error_is_tried_again_unless_it_is_for_good() {
        let later = mail::Error::Unavailable("421".into());
        let never = mail::Error::Rejected("550".into());
        assert!(matches!(Failure::from(later), Failure::Retry(_)));
        assert!(matches!(Failure::from(never), Failure::Reject(_)));
    }
}
