//! Where ops come from. A source reads changes in order and makes [ops](crate::op::Op) of those that
//! somebody wants; it knows neither plugins nor what becomes of an op.

pub mod connect;
pub mod oplog;
mod patience;
mod reply;
mod selection;
mod server_error;
pub mod snapshot;
mod start;
mod wire;

pub use reply::{Malformed, Reply};
pub use selection::Selection;
pub use start::{NoStart, Start};
