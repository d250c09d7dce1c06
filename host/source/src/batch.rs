//! Batches of ops, which every source returns.

use gtm_oplog::Op;
use tokio::sync::oneshot;

use crate::position::Position;

/// Ops that were read together, in order. A batch has no ops if none came for a while.
#[derive(Debug, Default)]
pub struct SourceBatch {
    /// The ops.
    pub ops: Vec<Op>,
    /// The position up to which everything was read, with these ops. None: more ops of the same reply follow, or the source
    /// has no position yet.
    pub position: Option<Position>,
    /// The memory that the ops keep in use, in bytes.
    pub bytes: usize,
    /// Whether everything that the source has was read, according to its last read.
    pub is_at_end: bool,
    /// Tells the source when the ops are done.
    pub ack: Ack,
}

/// Acknowledges to the source of a batch that its ops are done, if the source waits for that. A source that can resume at a
/// position does not wait.
///
/// An [`Ack`] that is dropped means that some of the ops are not done.
#[derive(Debug, Default)]
#[must_use = "a batch whose ack is dropped counts as not done"]
pub struct Ack(Option<oneshot::Sender<()>>);

impl Ack {
    /// Creates an ack, and the receiver on which the source waits.
    pub(crate) fn awaited() -> (Self, oneshot::Receiver<()>) {
        let (done, acked) = oneshot::channel();
        (Self(Some(done)), acked)
    }

    /// Returns whether the source waits.
    pub fn is_awaited(&self) -> bool {
        self.0.is_some()
    }

    /// Acknowledges that all ops of the batch are done.
    pub fn done(self) {
        // A source that has ended does not wait.
        let _ = self.0.map(|done| done.send(()));
    }
}
