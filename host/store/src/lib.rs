//! Stores what the host needs after a restart: checkpoints, dead letters, plugin state, the progress of snapshots and timers, leases and
//! lists of workers.
//!
//! A [`Store`] keeps the same documents on the cluster (`cluster`) or in a directory (`directory`). A document that is damaged or has a
//! newer version is an error: it is neither skipped nor overwritten. [`lease`] decides which of two hosts with one name is active, and
//! `workers` decides to which worker of a group an op belongs.

mod checkpoint;
mod cluster;
mod dead_letter;
mod directory;
mod error;
mod fields;
mod kind;
pub mod lease;
mod letter_document;
mod op_document;
pub mod own_files;
mod progress;
mod room;
mod state;
mod store;
mod timer;
mod workers;

pub use checkpoint::{Checkpoint, CheckpointKey};
pub use dead_letter::{DeadLetter, DeadLetterFilter, DeadLetterKind, LetterPage};
pub use error::StoreError;
pub use kind::{InvalidStoreKind, StoreKind};
pub use lease::{Lease, LeaseError, LeaseHolder, LeaseKey, LeaseWait};
pub use own_files::ExposedFile;
pub use room::{Room, StoreFull, StoredTotal};
pub use state::{StateEntry, StateKey, StateQuery};
pub use store::{KnownPlugin, Store};
pub use timer::{TimerKey, TimerProgress};
pub use workers::{Group, ListDocument, WorkersError};
