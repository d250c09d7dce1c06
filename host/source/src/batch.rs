//! Batches of ops, as every source gives them out.

use gtm_oplog::Op;
use tokio::sync::oneshot;

use crate::position::Position;

/// Ops that were read together, in their order. A source for which nothing came for a while gives out a batch without ops.
#[derive(Debug, Default)]
pub struct SourceBatch {
    /// The ops.
    pub ops: Vec<Op>,
    /// With these ops, everything up to here was read. None: more ops of the same reply follow, or the source has no
    /// position yet.
    pub position: Option<Position>,
    /// The memory that the ops keep in use, in bytes.
    pub bytes: usize,
    /// Whether everything that the source has was read, as far as its last read says.
    pub is_at_end: bool,
    /// Tells the source when the ops are done.
    pub ack: Ack,
}

/// Tells the source of a batch that its ops are done, if the source waits for that. A source that can read the ops again
/// does not: the position says how far they are done.
///
/// An [`Ack`] that is dropped says that not all of the ops are done.
#[derive(Debug, Default)]
#[must_use = "a batch whose ack is dropped counts as not done"]
pub struct Ack(Option<oneshot::Sender<()>>);

impl Ack {
    /// Returns an ack and what the source waits for.
    pub(crate) fn awaited() -> (Self, oneshot::Receiver<()>) {
        let (done, acked) = oneshot::channel();
        (Self(Some(done)), acked)
    }

    /// Returns whether the source waits.
    pub fn is_awaited(&self) -> bool {
        self.0.is_some()
    }

    /// Tells the source that all ops of the batch are done.
    pub fn done(self) {
        // A source that has ended does not wait.
        let _ = self.0.map(|done| done.send(()));
    }
}
