#![doc = include_str!("../README.md")]

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
pub use event::{ChangeEventDecoder, ResumeToken};
pub use fields::{Field, Fields};
pub use op::{
    Namespace, Op, OpId, OpPlace, OperationType, Origin, ParseOperationTypeError, Timestamp, Transaction,
};
pub use own_database::OwnDatabase;
pub use reply::{Malformed, Reply};
pub use selection::{Pattern, PatternError, Selection};
pub use skip::{Skip, Skipped, add_skipped};
