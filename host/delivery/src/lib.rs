//! Delivers ops from a source to plugins: to each in order, at least once, and independently of the others.
//!
//! [`run_pipeline`] delivers changes to all plugins of a host. Plugins that keep up share one reader (`feed`), which sends each its batches.
//! Per plugin, a dispatcher filters a batch and queues the wanted ops in lanes, by the [`Ordering`]; the lanes have them handled; and a
//! window knows which are not done, which bounds how far is read ahead and decides how far the checkpoint may go. [`replay()`] delivers
//! files in the same way. Besides the lanes, each timer of a plugin has a task that delivers its ticks (`timers`). This crate does not know how ops are read, or how a plugin is run.

mod batch;
mod blocked;
mod breaker;
mod checkpoint;
mod checkpoint_progress;
mod control;
mod delivery_handle;
mod dispatch;
mod feed;
mod lane;
mod lane_context;
mod lane_pool;
mod lane_queue;
mod last_error;
mod letters;
mod op_handler;
mod op_progress;
mod op_rate;
mod ordering;
mod pause;
mod pipeline;
mod plugin_delivery;
mod plugin_progress;
mod reader_progress;
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
mod timer;
mod timers;
mod timers_progress;
mod window;

pub use breaker::BreakerPolicy;
pub use checkpoint::CheckpointContext;
pub use control::{CommandOutcome, ControlError, HostControl};
pub use letters::DeadLetterHelp;
pub use ordering::Ordering;
pub use pipeline::{PipelineChange, PipelineEnd, StopSignal, run_pipeline};
pub use plugin_delivery::{DeliveryEnd, DeliveryError, OwnsOp, PluginDelivery, ReachedPosition};
pub use replay::{Replayed, replay};
pub use retry::RetryPolicy;
pub use settings::{DeliveryPolicy, DeliverySettings};
pub use status::{
    HostActivity, HostStatus, PluginState, PluginStatus, ReaderState, TickOutcome, TimerStatus,
};
pub use summary::{EmittedOps, Summary};
pub use swapped::Swapped;
