//! Sends batches of ops from the thread that decodes.

use gtm_oplog::Op;
use gtm_oplog::compact::compact_documents;
use tokio::sync::mpsc::Sender;

use super::error::FileError;
use super::report::{FileReport, FileTotals};

/// The maximum number of ops in a batch.
const MAX_OPS: usize = 1000;
/// The maximum size of the documents in a batch, in bytes, unless a single op is larger.
const MAX_BYTES: usize = 4 << 20;

/// A message of the decoding thread.
pub(super) enum DecodedMessage {
    /// Documents were read.
    Read { ops: Vec<Op>, bytes: usize, file: usize, report: FileReport, totals: FileTotals },
    /// Everything was read.
    Done,
    /// The files cannot be read any further.
    Failed(FileError),
}

/// The receiver was dropped.
#[derive(Debug)]
pub(super) struct ReceiverGone;

/// Collects ops and sends them in batches.
pub(super) struct Outbox {
    ops: Vec<Op>,
    bytes: usize,
    sender: Sender<DecodedMessage>,
}

impl Outbox {
    pub(super) fn new(sender: Sender<DecodedMessage>) -> Self {
        Self { ops: Vec::new(), bytes: 0, sender }
    }

    /// Adds an op. Returns whether the batch is full.
    pub(super) fn add(&mut self, op: Op) -> bool {
        self.bytes += op.size();
        self.ops.push(op);
        self.ops.len() >= MAX_OPS || self.bytes >= MAX_BYTES
    }

    /// Copies the documents of the ops if they are small compared with the `read` bytes that they would keep in memory.
    pub(super) fn compact(&mut self, read: usize) {
        compact_documents(&mut self.ops, read);
    }

    /// Sends the ops. Waits until the batches before them are received.
    pub(super) fn send(
        &mut self,
        file: usize,
        report: FileReport,
        totals: FileTotals,
    ) -> Result<(), ReceiverGone> {
        let bytes = std::mem::take(&mut self.bytes);
        let ops = std::mem::take(&mut self.ops);
        self.send_message(DecodedMessage::Read { ops, bytes, file, report, totals })
    }

    /// Sends a message without the collected ops.
    pub(super) fn send_message(&self, message: DecodedMessage) -> Result<(), ReceiverGone> {
        self.sender.blocking_send(message).map_err(|_| ReceiverGone)
    }
}
