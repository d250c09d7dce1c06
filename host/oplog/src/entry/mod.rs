//! Decodes the entries of an oplog.
//!
//! `header` reads the fields of one entry, `change` finds what it changed, and [`delta`] converts how an update changed
//! its document. `transaction` joins the entries of a transaction. [`OplogDecoder`] makes ops of all that. [`pushdown`]
//! writes a [`Selection`](crate::Selection) as a filter that the server applies.
//!
//! This module knows bytes only: it must not know how entries are read, nor who receives the ops.

mod change;
mod decoder;
pub mod delta;
mod header;
pub mod pushdown;
mod transaction;

pub use change::{EntryChange, KeyLocation};
pub use decoder::OplogDecoder;
pub use header::OplogEntry;
pub use transaction::MissingEntry;
