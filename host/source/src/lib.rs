//! Reads changes from a deployment or from files, in order, and yields [ops](gtm_oplog::Op).
//!
//! Every source implements [`Source`]: an [`oplog`], a [`change_stream`], a [`snapshot`] of the documents that exist before, and
//! [files](mod@file). [`LiveSource`] follows a deployment: first a snapshot, if it is wanted, then the oplog or a change stream, as
//! [`choose`] decides. A [`Position`] is what a source has reached, [`StartAt`] where it starts.
//!
//! [`extended_json`] converts between BSON and Extended JSON. This crate does not know plugins or the delivery of ops.

mod batch;
pub mod change_stream;
mod error;
pub mod extended_json;
mod fewer_entries;
pub mod file;
mod live;
mod newest_change;
pub mod oplog;
mod position;
pub mod resolved;
pub mod snapshot;
mod source;
mod start_at;

pub use batch::{Ack, SourceBatch};
pub use change_stream::{ChangeStream, Scope, StreamError, StreamOptions, WatchedScope};
pub use error::SourceError;
pub use extended_json::{Form, Unwritten};
pub use file::{FileContents, FileError, FileOptions, FilePlace, FileSource, FileSourceReport};
pub use live::{HistoryLost, LiveSource, SourceConfig, now, rolled_off};
pub use newest_change::newest_change;
pub use oplog::OplogTailer;
pub use position::{ParsePositionError, Position};
pub use resolved::{ResolvedSource, SourceKind, choose};
pub use snapshot::{
    ProgressFuture, ProgressStore, Snapshot, SnapshotError, SnapshotOptions, SnapshotStage, StoredProgress,
};
pub use source::{Source, SourceEnd};
pub use start_at::{ParseStartError, Restart, StartAt};
