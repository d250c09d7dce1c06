//! From a source to a plugin: each op in order, to every plugin for itself, again where it failed.
//!
//! A [`Pipeline`] is one plugin and its own reader of the source, so that a plugin that is slow or
//! failing holds up no other; [`replay`] brings the same files to several.

mod control;
mod pipeline;
mod replay;
mod retry;
mod summary;
mod worker;

pub use control::{Control, ControlError, HostStatus, PluginState, PluginStatus, ReaderState, Standing};
pub use pipeline::{Ended, Pipeline, PipelineError};
pub use replay::{Replayed, replay};
pub use retry::RetryPolicy;
pub use summary::{Emitted, Summary};
