//! The documents that are there before a stream of changes begins, each as an insert.
//!
//! Open the stream first, note its position, run the [`Snapshot`], then read the stream: nothing is missed, as
//! what is written meanwhile is in the stream. A document can be in both, and can be read as it was after a
//! change that the stream brings later: whoever takes a snapshot must bear repeats.
//!
//! `collections` finds what is to be read, `ranges` splits it by `_id`, `plan` puts both together, `reader` reads several
//! ranges at once; `state` is what was read, and `kept` has it stored, so that a host that was stopped goes on where it was.

mod collections;
mod error;
mod id;
mod plan;
mod progress;
mod ranges;
mod reader;
mod retry;
mod state;
mod stored;
mod taking;

pub use error::SnapshotError;
pub use progress::SnapshotProgress;
pub use retry::patiently;
pub use stored::{KeptProgress, KeptSnapshot, ProgressStore, SnapshotStanding};
pub use taking::{Snapshot, SnapshotOptions};
