//! Why an op could not be handled.

use std::error::Error as StdError;
use std::fmt::Display;
use std::time::Duration;

use crate::bindings;
use crate::decode_error::reason;
use crate::{DecodeError, Error};

/// The result of [`handle`](crate::Plugin::handle).
pub type Outcome = Result<(), Failure>;

/// The reason why an op could not be handled, which decides what the host does with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// It may work later: the host tries again after a pause.
    #[error("{0}")]
    Retry(String),
    /// It may work after this time, as a server said (`Retry-After`): the host tries again no sooner, and after an hour at the latest.
    #[error("{1}")]
    RetryAfter(Duration, String),
    /// It will never work: the host does not try again.
    #[error("{0}")]
    Reject(String),
}

impl Failure {
    /// Makes the failure of an op that may work later. For use as `.map_err(Failure::retry)?`. An error of the crate `anyhow` keeps its causes.
    pub fn retry(reason: impl Display) -> Self {
        Self::Retry(format!("{reason:#}"))
    }

    /// Makes the failure of an op that will never work. For use as `.map_err(Failure::reject)?`. An error of the crate `anyhow` keeps its causes.
    pub fn reject(reason: impl Display) -> Self {
        Self::Reject(format!("{reason:#}"))
    }

    /// Returns the reason.
    pub fn reason(&self) -> &str {
        match self {
            Self::Retry(reason) | Self::RetryAfter(_, reason) | Self::Reject(reason) => reason,
        }
    }

    /// Returns whether the host tries the op again.
    pub fn is_retry(&self) -> bool {
        !matches!(self, Self::Reject(_))
    }

    /// Has the host try again no sooner than after this time. A failure that is not tried again stays as it is.
    #[must_use]
    pub fn after(self, pause: Duration) -> Self {
        match self {
            Self::Retry(reason) | Self::RetryAfter(_, reason) => Self::RetryAfter(pause, reason),
            Self::Reject(_) => self,
        }
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
    pub fn with_cause(mut self, error: &dyn StdError) -> Self {
        let (Self::Retry(reason) | Self::RetryAfter(_, reason) | Self::Reject(reason)) = &mut self;
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

/// Retries what may work later, and rejects everything else.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if error.is_transient() { Self::retry(error) } else { Self::reject(error) }
    }
}

#[doc(hidden)]
impl From<Failure> for bindings::gtm::plugin::types::Failure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Retry(reason) => Self::Retry(reason),
            Failure::RetryAfter(pause, reason) => {
                let delay = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                Self::RetryAfter(bindings::gtm::plugin::types::DelayedRetry { delay, reason })
            }
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
    fn an_error_is_retried_unless_it_is_for_good() {
        let later = Failure::from(Error::Unavailable("421".into()));
        assert_eq!(later, Failure::retry("421"));
        let pause = Duration::from_secs(5);
        assert_eq!(later.after(pause), Failure::RetryAfter(pause, "421".to_owned()));
        let never = Failure::from(Error::Rejected("550".into()));
        assert_eq!(never.clone().after(pause), never);
        assert!(!never.is_retry());
    }
}
