//! Files as a source: the oplog, or documents of a collection, as `mongodump` and `mongoexport` write them, and change
//! events as drivers, Kafka's connectors and `gtm-host tail` do.
//!
//! `input` opens a file and reads it ahead, through `compression`; `kind` says what is in it, `frames` and `texts` cut
//! documents from what was read, which `archive` and `events` know; `decode` makes ops of them. That is done by two threads: one reads, the other decodes. What
//! is between them, and between them and [`FileSource`], is bounded.

mod archive;
mod compression;
mod current;
mod decode;
mod error;
mod events;
mod frames;
mod input;
mod kind;
mod outbox;
mod path;
mod report;
mod texts;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use decode::Decoder;
use error::name;
pub use error::{FileError, FilePlace};
use gtm_oplog::{Namespace, Selection, Timestamp};
use outbox::DecodedMessage;
pub use report::{FileContents, FileReport, FileSourceReport, FileTotals};
use tokio::sync::mpsc;

use crate::batch::SourceBatch;
use crate::error::SourceError;
use crate::position::Position;
use crate::source::{Source, SourceEnd};

/// Batches of ops that are decoded ahead.
const BATCHES: usize = 2;
/// How long nothing may be wanted before the caller is told that reading goes on.
const QUIET: Duration = Duration::from_millis(250);

/// Whether the name of a file says that it is compressed.
pub fn is_compressed(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    compression::without_ending(name) != name
}

/// What of the files is read, and as what.
#[derive(Clone, Debug, Default)]
pub struct FileOptions {
    /// Of entries before it, only the pieces of transactions that are committed later.
    pub from: Option<Timestamp>,
    /// Nothing of entries after it. The first of them ends its file.
    pub to: Option<Timestamp>,
    /// Whose documents the files have that hold no entries of an oplog. Else their paths say it, as `mongodump`
    /// chooses them: `DATABASE/COLLECTION.bson`, or `.bson.gz`.
    pub namespace: Option<Namespace>,
}

/// The ops of some files, in the order of the files.
#[derive(Debug)]
pub struct FileSource {
    messages: mpsc::Receiver<DecodedMessage>,
    report: FileSourceReport,
    ended: bool,
    /// When the caller was last given something.
    given: Instant,
}

impl FileSource {
    /// Begins to read `paths`, of which `-` is the standard input.
    ///
    /// # Errors
    /// One of them is not there, may not be read or is a folder. Nothing was read then.
    pub fn open(paths: Vec<PathBuf>, selection: Selection, options: FileOptions) -> Result<Self, FileError> {
        paths.iter().try_for_each(|path| input::check(path))?;
        let report = FileSourceReport::of(&paths);
        let (sender, messages) = mpsc::channel(BATCHES);
        let decoder = Decoder::new(selection, options, sender);
        let thread = std::thread::Builder::new().name("decode files".to_owned());
        thread.spawn(move || decoder.run(&paths)).map_err(FileError::Thread)?;
        Ok(Self { messages, report, ended: false, given: Instant::now() })
    }

    /// Returns the next wanted ops; no ops if nothing was wanted for a while. None: all was read. A file has no position to
    /// resume from. This can be cancelled: nothing is lost.
    ///
    /// # Errors
    /// See [`FileError`]. Everything before was given out, and there is nothing more.
    pub async fn next(&mut self) -> Result<Option<SourceBatch>, FileError> {
        while !self.ended {
            match self.messages.recv().await.unwrap_or(DecodedMessage::Failed(FileError::Ended)) {
                DecodedMessage::Read { ops, bytes, file, report, totals } => {
                    self.report.update(file, report, totals);
                    if !ops.is_empty() || self.given.elapsed() > QUIET {
                        self.given = Instant::now();
                        return Ok(Some(SourceBatch { ops, bytes, ..SourceBatch::default() }));
                    }
                }
                DecodedMessage::Done => self.ended = true,
                DecodedMessage::Failed(error) => {
                    self.ended = true;
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    /// What was read for what was given out.
    pub fn report(&self) -> &FileSourceReport {
        &self.report
    }

    /// The same, at the end.
    pub fn into_report(self) -> FileSourceReport {
        self.report
    }
}

#[async_trait]
impl Source for FileSource {
    fn describe(&self) -> String {
        let files = self.report.files.iter().map(|file| name(&file.path).to_string());
        files.collect::<Vec<_>>().join(", ")
    }

    async fn next(&mut self) -> Result<Option<SourceBatch>, SourceError> {
        Ok(Self::next(self).await?)
    }

    /// Files are read from their beginning.
    fn position(&self) -> Option<Position> {
        None
    }

    fn end(self: Box<Self>) -> SourceEnd {
        SourceEnd { files: Some(self.into_report()), ..SourceEnd::default() }
    }
}
