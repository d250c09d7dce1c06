//! Decodes the events of a change stream.
//!
//! `header` reads the fields of one event. `description` and `command` convert what it changed into the form of oplog
//! entries, and `fragments` joins an event that the server split. [`ChangeEventDecoder`] makes ops of all that, one
//! [`ChangeEventBatch`] per reply. [`pushdown`] writes a [`Selection`](crate::Selection) as stages that the server
//! runs.
//!
//! This module knows bytes only: it must not know how a stream is opened, nor who receives the ops.

mod batch;
mod command;
mod decoder;
mod description;
mod fragments;
mod header;
pub mod pushdown;
mod token;

pub use batch::ChangeEventBatch;
pub use decoder::{ChangeEventDecoder, EventEffect};
pub use token::{ParseResumeTokenError, ResumeToken};
