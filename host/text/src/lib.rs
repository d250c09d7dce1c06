//! Text as people read it on a terminal and in a log, and as they write it in settings.
//!
//! [`sanitize`] makes a stranger's text safe to print, `progress` shows how far long work has come, and [`units`] parses sizes and
//! times. This crate knows nothing of MongoDB or plugins.

mod progress;
pub mod sanitize;
pub mod units;

pub use progress::{LogWriter, ProgressDisplay};
pub use sanitize::Names;
