//! Reads the documents that exist before a stream of changes begins, each as an insert.
//!
//! Open the stream first, note its position, read the [`Snapshot`], then read the stream. Nothing is missed, as the stream has
//! everything that is written meanwhile. A document can be in both, and the snapshot may have it as it was after a change that
//! the stream returns later: the reader must tolerate repeated changes.
//!
//! `collections` finds the collections to read, `ranges` splits them by `_id`, `plan` combines both, and `reader` reads several
//! ranges in parallel. `state` is what was read, and `stored` stores it, so that a host resumes where it stopped.

mod collections;
mod error;
mod id;
mod plan;
mod progress;
mod ranges;
mod reader;
mod retry;
mod source;
mod state;
mod stored;

pub use error::SnapshotError;
pub use progress::SnapshotProgress;
pub use retry::with_retries;
pub use source::{Snapshot, SnapshotOptions};
pub use stored::{ProgressFuture, ProgressStore, SnapshotStage, StoredProgress};
