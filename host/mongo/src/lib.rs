//! Talks to MongoDB: connections, error codes, time-outs and back-off.
//!
//! This crate knows the driver and the server's errors. It does not know what is read from the server, or why.

mod backoff;
pub mod connect;
mod health;
pub mod server_error;
mod uri;
pub mod wire;

pub use backoff::Backoff;
pub use connect::{ConnectError, Deployment, Topology};
pub use health::{SourceHealth, SourceState, SourceStatus};
pub use wire::Wait;
