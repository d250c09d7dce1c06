//! The oplog of a replica set as a source.
//!
//! [`entry`] reads one entry, [`batch`] a reply of the server, and both are pure. [`Tail`] follows
//! the oplog over the wire and comes back after a failure where it was; [`lookup`] finds the
//! documents that updates leave out.

pub mod batch;
pub mod entry;
mod lookup;
mod tail;

pub use tail::{Tail, TailError};
