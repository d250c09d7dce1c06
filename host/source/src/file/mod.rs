//! Files as a source: the oplog, or documents of a collection, as `mongodump` and `mongoexport` write them, and change
//! events as drivers, Kafka's connectors and `gtm-host tail` do.
//!
//! `input` opens a file and reads it ahead, through `compression`. `kind` recognizes its contents, and `frames` and `texts` split
//! them into documents, which `archive` and `events` recognize; `decode` decodes these into ops. One thread reads, another one
//! decodes; the channels between them and [`FileSource`] are bounded.

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

/// The number of batches that are decoded ahead.
const MAX_BATCHES: usize = 2;
/// The maximum interval between two batches, so that the caller sees progress even if no ops are wanted.
const BATCH_INTERVAL: Duration = Duration::from_millis(250);

/// Returns whether a file is compressed according to its name.
pub fn is_compressed(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    compression::without_ending(name) != name
}

/// What is read of files, and how.
#[derive(Clone, Debug, Default)]
pub struct FileOptions {
    /// The beginning of the time range. Of earlier entries, only the pieces of transactions that commit in it are read.
    pub from: Option<Timestamp>,
    /// The end of the time range. The first later entry ends its file.
    pub to: Option<Timestamp>,
    /// The collection of documents in files that are not oplogs. Without it, the paths name it as `mongodump` does:
    /// `DATABASE/COLLECTION.bson`, or `.bson.gz`.
    pub namespace: Option<Namespace>,
}

/// A source that reads files, one after another.
#[derive(Debug)]
pub struct FileSource {
    messages: mpsc::Receiver<DecodedMessage>,
    report: FileSourceReport,
    ended: bool,
    /// The time of the last batch.
    last_batch: Instant,
}

impl FileSource {
    /// Starts to read the files at `paths`. The path `-` is the standard input.
    ///
    /// # Errors
    /// One of them does not exist, may not be read or is a directory. Nothing was read.
    pub fn open(paths: Vec<PathBuf>, selection: Selection, options: FileOptions) -> Result<Self, FileError> {
        paths.iter().try_for_each(|path| input::check(path))?;
        let report = FileSourceReport::of(&paths);
        let (sender, messages) = mpsc::channel(MAX_BATCHES);
        let decoder = Decoder::new(selection, options, sender);
        let thread = std::thread::Builder::new().name("decode files".to_owned());
        thread.spawn(move || decoder.run(&paths)).map_err(FileError::Thread)?;
        Ok(Self { messages, report, ended: false, last_batch: Instant::now() })
    }

    /// Returns the next wanted ops; no ops if none came for 250 ms. None: everything was read. The future can be dropped: nothing
    /// is lost.
    ///
    /// # Errors
    /// See [`FileError`]. The ops before the error were returned, and no more follow.
    pub async fn next(&mut self) -> Result<Option<SourceBatch>, FileError> {
        while !self.ended {
            match self.messages.recv().await.unwrap_or(DecodedMessage::Failed(FileError::Ended)) {
                DecodedMessage::Read { ops, bytes, file, report, totals } => {
                    self.report.update(file, report, totals);
                    if !ops.is_empty() || self.last_batch.elapsed() > BATCH_INTERVAL {
                        self.last_batch = Instant::now();
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

    /// Returns what was read so far, up to the last batch.
    pub fn report(&self) -> &FileSourceReport {
        &self.report
    }

    /// Returns what was read, at the end.
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
