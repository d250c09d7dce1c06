//! Tails the oplog of a replica set.
//!
//! [`OplogTailer`] reads the oplog over the wire and resumes after a failure at its position. `read_ahead` reads the next reply
//! while one is processed, `batch_size` chooses how much to ask for, and `lookup` fetches the documents of updates. [`gtm_oplog`]
//! decodes the entries.

mod batch_size;
mod collection;
pub mod error;
mod lookup;
mod read_ahead;
pub mod tailer;

pub(super) use collection::{majority, newest_entry};
pub use error::OplogError;
pub use tailer::OplogTailer;
