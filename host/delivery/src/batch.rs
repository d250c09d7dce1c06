//! Ops on their way from a source to a plugin.

use std::sync::Arc;

use gtm_oplog::Op;
use gtm_source::{Ack, Position};

/// Ops on their way to a plugin, in their order.
#[derive(Debug, Default)]
pub(super) struct PluginBatch {
    pub(super) ops: Vec<Arc<Op>>,
    /// With these, everything up to here was read. None: the last of the ops says it.
    pub(super) read: Option<Position>,
    /// What they keep in memory.
    pub(super) bytes: usize,
    /// Tells the source when all of them are done.
    pub(super) ack: Ack,
}
