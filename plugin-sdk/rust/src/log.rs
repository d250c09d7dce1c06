//! Writes to the host's log, with the name of the plugin and the id of the current op. (If the filter gets several ops in one call, its
//! lines have no op id.)
//!
//! ```no_run
//! use gtm_plugin::log;
//!
//! log::info!("indexed {} documents", 3);
//! ```

pub use crate::bindings::gtm::plugin::log::Level;
#[doc(inline)]
pub use crate::{__debug as debug, __error as error, __info as info, __trace as trace, __warn as warn};

/// Logs one event. The host indents lines after the first. The macros of this module are shorter.
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
