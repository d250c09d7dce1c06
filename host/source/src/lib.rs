//! Reads changes from a deployment or from files, in order, and yields [ops](gtm_oplog::Op).
//!
//! [`LiveSource`] follows a deployment, by its [`oplog`] or by a [`change_stream`], as [`choose`] decides; a [`snapshot`] reads the
//! documents that exist before. [`FileSource`] reads dumps and exports. [`extended_json`] converts between BSON and Extended JSON.
//! This crate knows neither plugins nor what becomes of an op.

mod batch;
pub mod change_stream;
mod error;
pub mod extended_json;
pub mod file;
mod live;
mod newest;
pub mod oplog;
mod position;
pub mod resolved;
pub mod snapshot;
mod source;
mod start;

pub use batch::{Ack, SourceBatch};
pub use change_stream::{ChangeStream, Scope, StreamError, StreamOptions, WatchedScope};
pub use error::SourceError;
pub use extended_json::{Form, Unwritten};
pub use file::{FileContents, FileError, FileOptions, FilePlace, FileSource, FileSourceReport};
pub use live::{HistoryLost, LiveSource, SourceConfig, now, rolled_off};
pub use newest::newest_change;
pub use oplog::{OplogStart, OplogTailer};
pub use position::Position;
pub use resolved::{ResolvedSource, SourceKind, choose};
pub use snapshot::{
    KeptProgress, KeptSnapshot, ProgressStore, Snapshot, SnapshotError, SnapshotOptions, SnapshotStanding,
};
pub use source::{Source, SourceEnd};
pub use start::{NoStart, Restart, Start};
