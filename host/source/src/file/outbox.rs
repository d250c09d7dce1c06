//! Batches of ops, on their way from the thread that decodes to the one who wants them.

use gtm_oplog::Op;
use gtm_oplog::compact::compact_documents;
use tokio::sync::mpsc::Sender;

use super::error::FileError;
use super::report::{FileReport, FileTotals};

/// Ops of a batch.
const OPS: usize = 1000;
/// Bytes of documents of a batch, but for one op that is larger.
const BYTES: usize = 4 << 20;

/// What the decoding thread says.
pub(super) enum DecodedMessage {
    /// What was read, and what came of it.
    Read { ops: Vec<Op>, bytes: usize, file: usize, report: FileReport, totals: FileTotals },
    /// All was read.
    Done,
    /// Reading has failed.
    Failed(FileError),
}

/// Nobody wants ops any more.
#[derive(Debug)]
pub(super) struct ReceiverGone;

/// Gathers ops.
pub(super) struct Outbox {
    ops: Vec<Op>,
    bytes: usize,
    sender: Sender<DecodedMessage>,
}

impl Outbox {
    pub(super) fn new(sender: Sender<DecodedMessage>) -> Self {
        Self { ops: Vec::new(), bytes: 0, sender }
    }

    /// Adds an op. Gives back whether it is time to send.
    pub(super) fn add(&mut self, op: Op) -> bool {
        self.bytes += op.size();
        self.ops.push(op);
        self.ops.len() >= OPS || self.bytes >= BYTES
    }

    /// Copies the documents of the ops, where these are few beside the `read` bytes that they would keep.
    pub(super) fn let_go_of(&mut self, read: usize) {
        compact_documents(&mut self.ops, read);
    }

    /// Sends the ops, and waits while those before them are not taken.
    pub(super) fn send(
        &mut self,
        file: usize,
        report: FileReport,
        totals: FileTotals,
    ) -> Result<(), ReceiverGone> {
        let bytes = std::mem::take(&mut self.bytes);
        let ops = std::mem::take(&mut self.ops);
        self.say(DecodedMessage::Read { ops, bytes, file, report, totals })
    }

    /// Sends a last word.
    pub(super) fn say(&self, message: DecodedMessage) -> Result<(), ReceiverGone> {
        self.sender.blocking_send(message).map_err(|_| ReceiverGone)
    }
}
