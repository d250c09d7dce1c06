//! Why a capability did not do what it was asked for.

use crate::bindings::gtm::plugin::types;

/// The reason why a capability did not do what it was asked for, with the sentence of the host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The plugin is not allowed to do this, or the host cannot do it as it is set up.
    #[error("{0}")]
    NotGranted(String),
    /// The request is not valid: it would fail in the same way each time. A document that does not fit the wanted type is this, too.
    #[error("{0}")]
    Invalid(String),
    /// The other side refused it for good.
    #[error("{0}")]
    Rejected(String),
    /// The other side cannot be reached, took too long, or asks for another attempt later.
    #[error("{0}")]
    Unavailable(String),
    /// It contradicts something that exists, such as a document with the same key.
    #[error("{0}")]
    Conflict(String),
    /// The request or the answer is too large.
    #[error("{0}")]
    TooLarge(String),
}

impl Error {
    /// Returns whether a later attempt may succeed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::NotGranted(_))
    }
}

#[doc(hidden)]
impl From<types::Error> for Error {
    fn from(error: types::Error) -> Self {
        match error {
            types::Error::NotGranted(reason) => Self::NotGranted(reason),
            types::Error::Invalid(reason) => Self::Invalid(reason),
            types::Error::Rejected(reason) => Self::Rejected(reason),
            types::Error::Unavailable(reason) => Self::Unavailable(reason),
            types::Error::Conflict(reason) => Self::Conflict(reason),
            types::Error::TooLarge(reason) => Self::TooLarge(reason),
        }
    }
}
