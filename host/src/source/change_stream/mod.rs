//! A change stream as a source: of a collection, a database, or a whole deployment, behind a mongos too.
//!
//! `event` reads the fields of one change event, `description` and `command` bring what it changed into the
//! form that the oplog source gives, `fragments` puts together what the server split; the [`ChangeEventDecoder`] makes
//! ops of all that, a [`ChangeEventBatch`] for each reply. It is pure: bytes in, ops out. [`ChangeStream`] follows the
//! stream over the wire and comes back after a failure where it was.
//!
//! The stream is an `aggregate` of our own and not the driver's `watch()`: its cursor gives whole batches, so
//! that documents stay slices of them, and the token of each reply; `watch()` decodes and copies event by
//! event, resumes once without a pause, and ends at an invalidate event.

mod batch;
mod command;
mod description;
mod error;
mod event;
mod fragments;
mod pushdown;
mod reader;
mod request;
mod scope;
mod stream;
mod token;

pub use batch::ChangeEventBatch;
pub use error::StreamError;
pub(crate) use pushdown::wanted_events;
pub use reader::ChangeEventDecoder;
pub use request::StreamOptions;
pub use scope::Scope;
pub use stream::ChangeStream;
pub use token::{NoToken, ResumeToken, StreamStart};
