//! From a source to a plugin: each op in order, to every plugin for itself, again where it failed.
//!
//! A [`Pipeline`] is one plugin and its own reader of the source, so that a plugin that is slow or
//! failing holds up no other.

mod pipeline;
mod retry;
mod summary;

pub use pipeline::{Ended, Pipeline, PipelineError};
pub use retry::RetryPolicy;
pub use summary::Summary;
