//! Reads a change stream of a collection, a database or a whole deployment, also behind a mongos.
//!
//! [`ChangeStream`] reads the stream over the wire and resumes after a failure at its position. [`gtm_oplog`] decodes the events.
//!
//! The stream is an `aggregate` command and not the driver's `watch()`. Its cursor returns whole batches, so documents stay slices
//! of the reply, and each reply brings its resume token. `watch()` decodes and copies each event, resumes once without a pause,
//! and ends at an invalidate event.

pub mod error;
pub mod request;
mod scope;
pub mod stream;

pub use error::StreamError;
pub use request::StreamOptions;
pub use scope::{Scope, WatchedScope};
pub use stream::ChangeStream;
