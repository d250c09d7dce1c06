//! Lines in the host's log, under the plugin's name and beside the id of the op in hand. (A filter may be asked of several ops at once,
//! and what it logs is then beside none.)
//!
//! ```no_run
//! use gtm_plugin::log;
//!
//! log::info!("indexed {} documents", 3);
//! ```

pub use crate::bindings::gtm::plugin::log::Level;
#[doc(inline)]
pub use crate::{__debug as debug, __error as error, __info as info, __trace as trace, __warn as warn};

/// Writes one event of the log, in which lines after the first are indented. The macros of this module are shorter.
pub fn log(level: Level, message: &str) {
    #[cfg(target_family = "wasm")]
    crate::bindings::gtm::plugin::log::log(level, message);
    #[cfg(not(target_family = "wasm"))]
    crate::testing::host::log(level, message);
}

/// Logs at the level `error`, with the arguments of [`format!`].
#[doc(hidden)]
#[macro_export]
macro_rules! __error {
    ($($arg:tt)+) => { $crate::log::log($crate::log::Level::Error, &::std::format!($($arg)+)) };
}

/// Logs at the level `warn`, with the arguments of [`format!`].
#[doc(hidden)]
#[macro_export]
macro_rules! __warn {
    ($($arg:tt)+) => { $crate::log::log($crate::log::Level::Warn, &::std::format!($($arg)+)) };
}

/// Logs at the level `info`, with the arguments of [`format!`].
#[doc(hidden)]
#[macro_export]
macro_rules! __info {
    ($($arg:tt)+) => { $crate::log::log($crate::log::Level::Info, &::std::format!($($arg)+)) };
}

/// Logs at the level `debug`, with the arguments of [`format!`].
#[doc(hidden)]
#[macro_export]
macro_rules! __debug {
    ($($arg:tt)+) => { $crate::log::log($crate::log::Level::Debug, &::std::format!($($arg)+)) };
}

/// Logs at the level `trace`, with the arguments of [`format!`].
#[doc(hidden)]
#[macro_export]
macro_rules! __trace {
    ($($arg:tt)+) => { $crate::log::log($crate::log::Level::Trace, &::std::format!($($arg)+)) };
}
