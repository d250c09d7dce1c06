//! Keeps values by key, shared by all instances of the plugin and all workers. Available in `handle` and `tick` only.
//!
//! ```no_run
//! # fn f(op: &gtm_plugin::Op) -> gtm_plugin::Outcome {
//! use gtm_plugin::state;
//!
//! // The op may be delivered again: its id is the key.
//! if state::compare_and_swap(op.id(), None, b"sent")? {
//!     // … send it …
//! }
//! # Ok(())
//! # }
//! ```

use std::time::Duration;

use crate::Error;
use crate::bindings::gtm::plugin::state as contract;
#[cfg(target_family = "wasm")]
use crate::bindings::gtm::plugin::state as host;
#[cfg(not(target_family = "wasm"))]
use crate::testing::host::state as host;

/// A value with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StateEntry {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
    /// The time until the store removes it. None: it lasts.
    pub time_to_live: Option<Duration>,
}

/// What the plugin keeps, and the maximum of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StateQuota {
    /// The number of keys.
    pub keys: u64,
    /// The maximum number of keys. 0: any number.
    pub max_keys: u64,
    /// The bytes of keys and values together.
    pub bytes: u64,
    /// The maximum of these bytes. 0: any number.
    pub max_bytes: u64,
}

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
    host::set(key, value, None).map_err(Error::from)
}

/// Sets the value for this time, after which the key has none.
///
/// # Errors
/// See [`Error`].
pub fn set_for(key: &str, value: &[u8], time_to_live: Duration) -> Result<(), Error> {
    host::set(key, value, Some(millis(time_to_live))).map_err(Error::from)
}

/// Removes the value, if there is one.
///
/// # Errors
/// See [`Error`].
pub fn delete(key: &str) -> Result<(), Error> {
    host::delete(key).map_err(Error::from)
}

/// Sets the value if the current one is `expected` (none: if the key has no value), in one step. Returns whether it did.
///
/// # Errors
/// See [`Error`].
pub fn compare_and_swap(key: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool, Error> {
    host::compare_and_swap(key, expected, value, None).map_err(Error::from)
}

/// As [`compare_and_swap`], for this time.
///
/// # Errors
/// See [`Error`].
pub fn compare_and_swap_for(
    key: &str,
    expected: Option<&[u8]>,
    value: &[u8],
    time_to_live: Duration,
) -> Result<bool, Error> {
    host::compare_and_swap(key, expected, value, Some(millis(time_to_live))).map_err(Error::from)
}

/// Adds to a number in one step, and returns the sum. A key without a value counts as 0. The value is the number in decimal digits.
///
/// # Errors
/// See [`Error`]. [`Error::Invalid`]: the value is not a number, or the sum does not fit.
pub fn increment(key: &str, by: i64) -> Result<i64, Error> {
    host::increment(key, by, None).map_err(Error::from)
}

/// As [`increment`]. The number lasts for this time from now on.
///
/// # Errors
/// As there.
pub fn increment_for(key: &str, by: i64, time_to_live: Duration) -> Result<i64, Error> {
    host::increment(key, by, Some(millis(time_to_live))).map_err(Error::from)
}

/// Returns entries whose keys begin with `prefix`, sorted by key, after the key `after`: at most `limit`, and at most 1,000 or 1 MiB. The
/// last page is empty.
///
/// # Errors
/// See [`Error`].
pub fn list(prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<StateEntry>, Error> {
    let entries = host::list_entries(prefix, after, limit)?;
    let entry = |entry: contract::Entry| StateEntry {
        key: entry.key,
        value: entry.value,
        time_to_live: entry.time_to_live.map(Duration::from_millis),
    };
    Ok(entries.into_iter().map(entry).collect())
}

/// Returns what the plugin keeps, and the maximum of it.
///
/// # Errors
/// See [`Error`].
pub fn quota() -> Result<StateQuota, Error> {
    let contract::Quota { keys, max_keys, bytes, max_bytes } = host::get_quota()?;
    Ok(StateQuota { keys, max_keys, bytes, max_bytes })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
