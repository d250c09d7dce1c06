//! What a plugin keeps: values by key, shared by all its instances and workers. In `handle` only.
//!
//! ```no_run
//! # fn f(op: &gtm_plugin::Op) -> gtm_plugin::Outcome {
//! use gtm_plugin::state;
//!
//! // The op may come again: the key is its id.
//! if state::compare_and_swap(op.id(), None, b"sent")? {
//!     // … send it …
//! }
//! # Ok(())
//! # }
//! ```

use crate::bindings::gtm::plugin::state as contract;
#[cfg(target_family = "wasm")]
use crate::bindings::gtm::plugin::state as host;
#[cfg(not(target_family = "wasm"))]
use crate::testing::host::state as host;

/// The value, or none where there is none.
///
/// # Errors
/// See [`Error`].
pub fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
    host::get(key).map_err(Error::from)
}

/// Sets the value, whatever it was.
///
/// # Errors
/// See [`Error`].
pub fn set(key: &str, value: &[u8]) -> Result<(), Error> {
    host::set(key, value).map_err(Error::from)
}

/// Removes the value, if there is one.
///
/// # Errors
/// See [`Error`].
pub fn delete(key: &str) -> Result<(), Error> {
    host::delete(key).map_err(Error::from)
}

/// Sets the value if it is what is expected (none: if there is none), in one step. Gives back whether it was.
///
/// # Errors
/// See [`Error`].
pub fn compare_and_swap(key: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool, Error> {
    host::compare_and_swap(key, expected, value).map_err(Error::from)
}

/// Why a value is not read or kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The host does not let this plugin use it.
    #[error("{0}")]
    NotGranted(String),
    /// The key is empty or longer than 512 bytes, or the value longer than 1 MiB.
    #[error("{0}")]
    Invalid(String),
    /// The store cannot be reached now.
    #[error("{0}")]
    Unavailable(String),
}

impl From<contract::Error> for Error {
    fn from(error: contract::Error) -> Self {
        match error {
            contract::Error::NotGranted(reason) => Self::NotGranted(reason),
            contract::Error::Invalid(reason) => Self::Invalid(reason),
            contract::Error::Unavailable(reason) => Self::Unavailable(reason),
        }
    }
}
