//! Talks to MongoDB: connections, error codes, timeouts and back-off.
//!
//! [`connect`](mod@connect) opens a deployment, [`server_error`] classifies errors, [`wire`] limits the time of reads
//! and takes raw replies, [`Backoff`] paces retries, and [`SourceHealth`] tracks whether the server answers.
//!
//! This crate knows the driver and the server's errors. It must not know what is read from the server, or why, nor any
//! flag or setting.

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
