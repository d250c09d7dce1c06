//! What was read of the files, and what was left out.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gtm_oplog::skip::skipped_by_name;
use gtm_oplog::{Namespace, Skipped, Timestamp};
use gtm_text::SingularPlural;

/// What was read, and what was left out.
#[derive(Clone, Debug, Default)]
pub struct FileSourceReport {
    /// Each file, as they were named.
    pub files: Vec<FileReport>,
    /// Of all files.
    pub totals: FileTotals,
}

/// What was read of one file.
#[derive(Clone, Debug)]
pub struct FileReport {
    /// The file; `-` is the standard input.
    pub path: PathBuf,
    /// What is in it.
    pub contents: FileContents,
    /// Documents read.
    pub documents: u64,
    /// Bytes of these; where the file is compressed, uncompressed.
    pub bytes: u64,
}

/// What is in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FileContents {
    /// It was not read, or nothing is in it.
    #[default]
    Nothing,
    /// Something that `mongodump` writes beside its dumps. It was not read.
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

/// What was read of all files, and what was left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileTotals {
    /// Where the last entry stands. Null: there was none.
    pub position: Timestamp,
    /// Entries that were skipped, or delivered in part.
    pub skipped: Skipped,
    /// Documents that are not BSON or not Extended JSON, though they end where they should.
    pub corrupt: u64,
    /// Entries that are older than the one before them. They were delivered.
    pub backwards: u64,
    /// Entries before [`from`](super::FileOptions::from).
    pub before: u64,
    /// Files that were not read to their end, because of [`to`](super::FileOptions::to).
    pub after: u64,
    /// Ops that nobody wanted.
    pub unwanted: u64,
    /// Transactions that were aborted, or given up for another one of their session: none of their ops was delivered.
    pub aborted: u64,
    /// Transactions that have begun, and have not ended where the files end: none of their ops was delivered.
    pub open: u64,
}

impl FileTotals {
    /// Whether some of what was read is damaged.
    pub fn is_damaged(&self) -> bool {
        self.corrupt > 0 || self.skipped.keys().any(|skip| skip.is_damage())
    }

    /// What is to be said of it: how many of what, where there were any.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.named().map(|((_, several), count)| (several, count))
    }

    /// The same, with what one of them is called, and what several are.
    pub fn named(&self) -> impl Iterator<Item = (SingularPlural, u64)> {
        let skipped = skipped_by_name(&self.skipped);
        let counts = [
            (("corrupt document", "corrupt documents"), self.corrupt),
            (
                ("entry older than the one before it", "entries older than the one before them"),
                self.backwards,
            ),
            (("entry before --from", "entries before --from"), self.before),
            (
                ("file left at the first entry after --to", "files left at the first entry after --to"),
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
    /// Of files of which nothing was read.
    pub(super) fn of(paths: &[PathBuf]) -> Self {
        let files = paths.iter().map(|path| FileReport::of(path));
        Self { files: files.collect(), totals: FileTotals::default() }
    }

    /// Takes what is new of the file at `index`.
    pub(super) fn update(&mut self, index: usize, report: FileReport, totals: FileTotals) {
        self.totals = totals;
        if let Some(file) = self.files.get_mut(index) {
            *file = report;
        }
    }
}

impl FileReport {
    /// Of a file of which nothing was read.
    pub(super) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), contents: FileContents::Nothing, documents: 0, bytes: 0 }
    }
}
