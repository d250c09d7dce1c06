//! Decodes the entries of an oplog.
//!
//! `header` reads the fields of one entry, `change` what the entry changed, [`delta`] how an update changed its document.
//! `transaction` joins the entries of a transaction. [`OplogDecoder`] makes ops of all that. [`pushdown`] writes a
//! [`Selection`](crate::Selection) as a filter that the server applies.

pub(crate) mod change;
mod decoder;
pub mod delta;
mod header;
pub mod pushdown;
mod transaction;

pub use decoder::OplogDecoder;
pub use header::OplogEntry;
pub use transaction::Missing;
