//! The interface of all sources.

use async_trait::async_trait;
use gtm_oplog::{Selection, Skipped, Timestamp};

use crate::batch::SourceBatch;
use crate::error::SourceError;
use crate::file::FileSourceReport;
use crate::position::Position;

/// A source of ops: an oplog, a change stream, a snapshot, files, or several of them one after another.
#[async_trait]
pub trait Source: Send {
    /// Returns what is read, in a few words.
    fn describe(&self) -> String;

    /// Returns the next wanted ops, in the order of the source; a batch without ops if none came for about a second. None:
    /// the source has ended, as everything was read.
    ///
    /// A server that does not answer is awaited, without a limit. The future can be dropped: nothing is lost, or returned
    /// twice.
    ///
    /// # Errors
    /// The source cannot be read any further. It must not be used again.
    async fn next(&mut self) -> Result<Option<SourceBatch>, SourceError>;

    /// Returns how many ops were read and not returned yet. [`next`](Self::next) returns them without waiting.
    fn left(&self) -> usize {
        0
    }

    /// Returns the position up to which everything was returned. None: ops are [left](Self::left), the server has not sent
    /// a position yet, or the source cannot resume at a position.
    fn position(&self) -> Option<Position>;

    /// Replaces the selection for the ops that are not read yet. Must be called only if no ops are [left](Self::left).
    ///
    /// # Errors
    /// The source cannot be read any further, or its selection cannot be replaced. It must not be used again.
    async fn reselect(&mut self, selection: Selection) -> Result<(), SourceError> {
        // A snapshot was planned for one selection, and files are read ahead for one.
        drop(selection);
        Err(SourceError::FixedSelection { source_name: self.describe() })
    }

    /// Tells the source that an entry of its oplog is at `time`. If it finds nothing that is wanted up to there, it advances its
    /// position to `time`, sooner than by itself.
    fn expect_entry(&mut self, time: Timestamp) {
        // A change stream advances by what the server sends.
        let _ = time;
    }

    /// Waits until the last batch is acknowledged or dropped, and stores how far the source was read, if it does that
    /// itself.
    ///
    /// # Errors
    /// The progress cannot be stored.
    async fn settle(&mut self) -> Result<(), SourceError> {
        Ok(())
    }

    /// Ends the source, and returns what it left out.
    fn end(self: Box<Self>) -> SourceEnd;
}

/// What a source that has ended left out.
#[derive(Debug, Default)]
pub struct SourceEnd {
    /// How many entries or events of a server were skipped, by reason.
    pub skipped: Skipped,
    /// What was read of files, and what was skipped in them.
    pub files: Option<FileSourceReport>,
}
