//! The oplog of a replica set as a source.
//!
//! [`scan`] walks the fields of a document, [`entry`] reads those of one entry, [`change`] what it changed, [`delta`] how an update changed
//! its document; the [`Reader`] puts ops together of these, and of the pieces of transactions. All that is
//! pure: bytes in, ops out. [`Tail`] follows the oplog over the wire and comes back after a failure where
//! it was; `lookup` finds the documents that updates leave out.

mod ahead;
mod batch_size;
pub mod change;
mod collection;
pub mod delta;
pub mod entry;
mod error;
mod lookup;
mod pushdown;
mod reader;
pub mod scan;
mod tail;
mod transaction;

pub use super::Skipped;
pub(super) use collection::{majority, newest_entry};
pub use error::TailError;
pub use reader::Reader;
pub use tail::{OplogStart, Tail};
pub use transaction::Missing;
