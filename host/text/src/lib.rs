//! Text as people read it on a terminal and in a log, and as they write it in settings.
//!
//! [`sanitize`] makes text from strangers safe to print, [`ProgressDisplay`] shows the progress of long work, [`units`] parses
//! sizes and times, and [`nearest`] finds the name that was meant.
//!
//! This crate exists because every crate of the host prints and parses such text, the pure decoder excepted. It must
//! not know MongoDB, plugins, settings or commands: whatever depends on those belongs in the crate that owns them.

mod nearest;
mod progress;
pub mod sanitize;
pub mod units;

pub use nearest::nearest;
pub use progress::{LogWriter, ProgressDisplay};
pub use sanitize::SingularPlural;
