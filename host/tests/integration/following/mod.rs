//! A deployment followed by the program: past lost history, across crashes, after a snapshot.

mod crashes;
mod lost_history;
mod same_changes;
mod snapshot;
