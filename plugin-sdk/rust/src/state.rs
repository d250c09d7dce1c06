//! Values that the plugin keeps by key, shared by all its instances and workers. In `handle` only.
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

use crate::Error;
#[cfg(target_family = "wasm")]
use crate::bindings::gtm::plugin::state as host;
#[cfg(not(target_family = "wasm"))]
use crate::testing::host::state as host;

/// Returns the value of a key. None: it has none.
///
/// # Errors
/// See [`Error`].
pub fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
    host::get(key).map_err(Error::from)
}

/// Sets the value, regardless of the former one.
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

/// Sets the value if it is what is expected (none: if there is none), in one step. Returns whether it did.
///
/// # Errors
/// See [`Error`].
pub fn compare_and_swap(key: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool, Error> {
    host::compare_and_swap(key, expected, value).map_err(Error::from)
}
