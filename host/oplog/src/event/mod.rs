//! Decodes the events of a change stream.
//!
//! `header` reads the fields of one event. `description` and `command` bring what it changed into the form that oplog entries
//! have, and `fragments` joins an event that the server split. [`ChangeEventDecoder`] makes ops of all that, one
//! `ChangeEventBatch` per reply. [`pushdown`] writes a [`Selection`](crate::Selection) as stages that
//! the server runs.

mod batch;
mod command;
mod decoder;
mod description;
mod fragments;
mod header;
pub mod pushdown;
mod token;

pub use decoder::{ChangeEventDecoder, EventEffect};
pub use token::{NoToken, ResumeToken, StreamStart};
