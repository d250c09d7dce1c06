//! The report of a file source: how much it read, and how much it skipped.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gtm_oplog::skip::skipped_by_name;
use gtm_oplog::{Namespace, Skipped, Timestamp};
use gtm_text::SingularPlural;

/// How much a file source read, and how much it skipped.
#[derive(Clone, Debug, Default)]
pub struct FileSourceReport {
    /// Each file, in the order of the paths.
    pub files: Vec<FileReport>,
    /// The totals of all files.
    pub totals: FileTotals,
}

/// How much was read of one file.
#[derive(Clone, Debug)]
pub struct FileReport {
    /// The file; `-` is the standard input.
    pub path: PathBuf,
    /// The contents.
    pub contents: FileContents,
    /// The number of documents that were read.
    pub documents: u64,
    /// The size of these documents in bytes, uncompressed.
    pub bytes: u64,
}

/// The contents of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FileContents {
    /// The file was not read, or is empty.
    #[default]
    Nothing,
    /// Metadata that `mongodump` writes next to its dumps. It is not read.
    Metadata,
    /// Entries of an oplog.
    Oplog,
    /// Documents of a collection.
    Collection(Arc<Namespace>),
    /// Change events, or ops as `gtm-host tail` prints them.
    Events,
    /// An archive of `mongodump`: documents of collections, and entries of an oplog.
    Archive,
}

/// How much was read of all files, and how much was skipped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileTotals {
    /// The time of the last entry. 0: no entry was read.
    pub position: Timestamp,
    /// The number of entries that were skipped, or delivered in part, by reason.
    pub skipped: Skipped,
    /// The number of documents that are not valid BSON or Extended JSON, though they end where they should.
    pub corrupt: u64,
    /// The number of entries that are older than the one before them. They were delivered.
    pub backwards: u64,
    /// The number of entries before [`from`](super::FileOptions::from).
    pub before: u64,
    /// The number of files that were not read to their end because of [`to`](super::FileOptions::to).
    pub after: u64,
    /// The number of ops that no selection wanted.
    pub unwanted: u64,
    /// The number of transactions that were aborted, or abandoned for another one of their session. None of their ops was
    /// delivered.
    pub aborted: u64,
    /// The number of transactions that had not ended at the end of the files. None of their ops was delivered.
    pub open: u64,
}

impl FileTotals {
    /// Returns whether some of the documents or entries are damaged.
    pub fn is_damaged(&self) -> bool {
        self.corrupt > 0 || self.skipped.keys().any(|skip| skip.is_damage())
    }

    /// Returns the number of skipped entries, documents, files and ops by reason, without reasons that did not occur.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.named().map(|((_, several), count)| (several, count))
    }

    /// Returns the same numbers, each with the singular and the plural of its reason.
    pub fn named(&self) -> impl Iterator<Item = (SingularPlural, u64)> {
        let skipped = skipped_by_name(&self.skipped);
        let counts = [
            (("corrupt document", "corrupt documents"), self.corrupt),
            (
                ("entry older than the one before it", "entries older than the one before them"),
                self.backwards,
            ),
            (("entry before the time range", "entries before the time range"), self.before),
            (
                (
                    "file left at the first entry after the time range",
                    "files left at the first entry after the time range",
                ),
                self.after,
            ),
            (("op that no plugin wanted", "ops that no plugin wanted"), self.unwanted),
            (("aborted transaction", "aborted transactions"), self.aborted),
            (("transaction still open at the end", "transactions still open at the end"), self.open),
        ];
        skipped.chain(counts).filter(|(_, count)| *count > 0)
    }
}

impl FileSourceReport {
    /// Creates the report of files that were not read yet.
    pub(super) fn of(paths: &[PathBuf]) -> Self {
        let files = paths.iter().map(|path| FileReport::of(path));
        Self { files: files.collect(), totals: FileTotals::default() }
    }

    /// Replaces the report of the file at `index`, and the totals.
    pub(super) fn update(&mut self, index: usize, report: FileReport, totals: FileTotals) {
        self.totals = totals;
        if let Some(file) = self.files.get_mut(index) {
            *file = report;
        }
    }
}

impl FileReport {
    /// Creates the report of a file that was not read yet.
    pub(super) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), contents: FileContents::Nothing, documents: 0, bytes: 0 }
    }
}
