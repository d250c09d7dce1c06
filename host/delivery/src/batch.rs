//! Ops on their way from a source to a plugin.

use std::sync::Arc;

use gtm_oplog::Op;
use gtm_source::Position;
use tokio::sync::oneshot;

/// Ops on their way to a plugin, in their order.
#[derive(Debug, Default)]
pub(super) struct PluginBatch {
    pub(super) ops: Vec<Arc<Op>>,
    /// With these, everything up to here was read. None: the last of the ops says it.
    pub(super) read: Option<Position>,
    /// What they keep in memory.
    pub(super) bytes: usize,
    /// Who waits until all of them are done; one that is dropped says that not all are.
    pub(super) done: Option<oneshot::Sender<()>>,
}
