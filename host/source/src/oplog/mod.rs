//! Tails the oplog of a replica set.
//!
//! [`OplogTailer`] follows the oplog over the wire and resumes where it was after a failure. `read_ahead` asks for the next reply
//! while one is worked on, `batch_size` chooses how much to ask for, and `lookup` fetches the documents that updates leave out.
//! Decoding is [`gtm_oplog`]'s.

mod batch_size;
mod collection;
pub mod error;
mod lookup;
mod read_ahead;
pub mod tailer;

pub(super) use collection::{majority, newest_entry};
pub use error::OplogError;
pub use tailer::OplogTailer;
