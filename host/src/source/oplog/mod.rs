//! The oplog of a replica set as a source.
//!
//! [`scan`] walks the fields of a document, [`entry`] reads those of one entry, [`change`] what it changed, [`delta`] how an update changed
//! its document; the [`OplogDecoder`] puts ops together of these, and of the pieces of transactions. All that is
//! pure: bytes in, ops out. [`OplogTailer`] follows the oplog over the wire and comes back after a failure where
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
pub use error::OplogError;
pub use reader::OplogDecoder;
pub use tail::{OplogStart, OplogTailer};
pub use transaction::Missing;
