//! Decodes MongoDB's oplog entries and change events into ops.
//!
//! An [`Op`] is one change to one document, or one command. [`OplogDecoder`] makes ops of oplog entries, [`ChangeEventDecoder`] makes
//! them of change events, and a [`Selection`] decides which ops somebody wants, so that the others are never decoded. Documents
//! stay slices of the [`Reply`] they came in.
//!
//! Everything here is pure: bytes in, ops out. This crate has no driver, no async runtime and no sandbox, and it knows nothing of
//! plugins.

pub mod broken;
pub mod compact;
pub mod entry;
pub mod event;
pub mod fields;
mod op;
pub mod own_database;
pub mod reply;
pub mod selection;
mod session;
pub mod skip;
pub mod value;

pub use entry::{MissingEntry, OplogDecoder, OplogEntry};
pub use event::{ChangeEventDecoder, ResumeToken, StreamStart};
pub use fields::{Field, Fields};
pub use op::{
    Namespace, Op, OpId, OpPlace, OperationType, Origin, ParseOperationTypeError, Timestamp, Transaction,
};
pub use own_database::OwnDatabase;
pub use reply::{Malformed, Reply};
pub use selection::{Pattern, PatternError, Selection};
pub use skip::{Skip, Skipped};
