//! Where ops come from. A source reads changes in order and makes [ops](crate::op::Op) of those that
//! somebody wants; it knows neither plugins nor what becomes of an op.
//!
//! [`Live`] follows a deployment, by its [`oplog`] or a [`change_stream`] as [`choose`] decides.

mod apart;
mod broken;
pub mod change_stream;
mod choice;
pub mod connect;
pub mod file;
mod health;
mod live;
pub mod oplog;
pub(crate) mod patience;
mod position;
mod reply;
pub(crate) mod server_error;
mod session;
mod skip;
pub mod snapshot;
mod start;
mod uri;
pub(crate) mod value;
pub(crate) mod wire;

pub use choice::{Choice, SourceKind, choose};
pub use health::{SourceHealth, SourceState, SourceStatus};
pub use live::{Follow, HistoryLost, Live, SourceError, now, rolled_off};
pub use position::Position;
pub(crate) use reply::id_of;
pub use reply::{Malformed, Reply};
pub(crate) use server_error::{UNAUTHORIZED, command_code, is_code_that_passes, may_pass, sentence};
pub use skip::{Skip, Skipped, skipped_by_name};
pub use start::{NoStart, Restart, Start};
pub(crate) use wire::timed;
