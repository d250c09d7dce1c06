//! From a source to a plugin: each op in its order, to every plugin for itself, again where it failed, and never
//! lost.
//!
//! [`run_all`] brings what changes to all plugins of a host. They share one reader (`feed`) while they keep up. For each, a
//! dispatcher filters batches and puts what is wanted into lanes, by the [`Ordering`]; the lanes have it handled; a window
//! knows what is not done, so how much is read ahead and up to where the checkpoint may go. [`replay()`] brings files to
//! plugins in the same way. Nothing here knows how an op is read, or how a plugin is run.

mod batch;
mod blocked;
mod breaker;
mod checkpoint;
mod control;
mod dispatch;
mod feed;
mod lane;
mod lane_pool;
mod lane_queue;
mod letters;
mod ordering;
mod pipeline;
mod plugin_delivery;
mod progress;
pub mod replay;
mod retry;
mod settings;
#[cfg(test)]
mod simulation;
mod spans;
mod status;
mod summary;
mod swapped;
#[cfg(test)]
mod testing;
mod window;

pub use breaker::BreakerPolicy;
pub use checkpoint::CheckpointLike;
pub use control::{CommandOutcome, ControlError, HostControl};
pub use letters::store_arguments;
pub use ordering::Ordering;
pub use pipeline::{PipelineChange, PipelineEnd, StopSignal, run_all};
pub use plugin_delivery::{DeliveryEnd, DeliveryError, OwnsOp, PluginDelivery, ReachedPosition};
pub use replay::{Replayed, replay};
pub use retry::RetryPolicy;
use settings::Bounds;
pub use settings::{DeliveryPolicy, DeliverySettings};
pub use status::{HostActivity, HostStatus, PluginState, PluginStatus, ReaderState};
pub use summary::{EmittedOps, Summary};
pub use swapped::Swapped;
