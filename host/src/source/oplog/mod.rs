//! The oplog of a replica set as a source.
//!
//! [`scan`] walks the fields of a document, [`entry`] reads those of one entry, [`change`] what it changed, [`delta`] how an update changed
//! its document; the [`Reader`] puts ops together of these, and of the pieces of transactions. All that is
//! pure: bytes in, ops out. [`Tail`] follows the oplog over the wire and comes back after a failure where
//! it was; `lookup` finds the documents that updates leave out.

pub mod change;
pub mod delta;
pub mod entry;
mod lookup;
mod reader;
pub mod scan;
mod tail;
mod transaction;

pub use reader::{Reader, Skipped};
pub use tail::{Tail, TailError};
pub use transaction::Missing;
