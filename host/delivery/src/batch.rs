//! Ops on their way from a reader to a plugin's dispatcher.

use std::sync::Arc;

use gtm_oplog::{Op, Timestamp};
use gtm_source::{Ack, Position};

/// Ops for one plugin that were read together, in their order.
#[derive(Debug, Default)]
pub(super) struct PluginBatch {
    pub(super) ops: Vec<Arc<Op>>,
    /// The position up to which everything was read with these ops. None: it is that of the last op.
    pub(super) position: Option<Position>,
    /// The memory that the ops keep in use, in bytes.
    pub(super) bytes: usize,
    /// Whether everything that the source has was read.
    pub(super) is_at_end: bool,
    /// The newest change of the source that was known when the batch was read.
    pub(super) newest: Option<Timestamp>,
    /// Tells the source when all ops are done.
    pub(super) ack: Ack,
}

impl PluginBatch {
    /// Returns the position up to which everything was read with this batch. None: it has no position, as during a snapshot.
    pub(super) fn end(&self) -> Option<Position> {
        self.position.clone().or_else(|| self.ops.last().and_then(|op| Position::after(op)))
    }
}
