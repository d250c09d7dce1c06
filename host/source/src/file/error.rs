//! The reasons why files cannot be read, or not to their end.

use std::path::Path;
use std::sync::Arc;
use std::{fmt, io};

/// The reason why files cannot be read, or not to their end.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages document them")]
pub enum FileError {
    #[error("{file} cannot be read: {reason}")]
    Unreadable { file: Arc<str>, reason: io::Error },
    #[error("{file} is a directory. help: name the files in it, as in {file}/*.bson")]
    Directory { file: Arc<str> },
    #[error(
        "{file} cannot be replayed, as it is {found}. help: pass BSON documents or an archive as mongodump writes them, Extended \
         JSON as mongoexport does, or change events; all may be compressed by gzip, zlib, zstd, lz4 or snappy"
    )]
    Unknown { file: Arc<str>, found: &'static str },
    #[error("{file} cannot be replayed, as it is a WebAssembly module")]
    Plugin { file: Arc<str> },
    #[error(
        "{file} contains documents of a collection, not an oplog or change events, and its path does not name the collection"
    )]
    NoNamespace { file: Arc<str> },
    #[error(
        "{at}, a document begins that is not complete: the file ends {read} bytes later. It was truncated; everything before was \
         read"
    )]
    Truncated { at: FilePlace, read: u64 },
    #[error("{at}, the file is damaged: it has {found} instead of a document. Everything before was read")]
    Damaged { at: FilePlace, found: String },
    #[error("{at}, the archive ends before {missing}: it was truncated. Everything before was read")]
    Unfinished { at: FilePlace, missing: String },
    #[error("{at}, the file cannot be read any further: {reason}. Everything before was read")]
    Broken { at: FilePlace, reason: io::Error },
    #[error("no thread can be started to read files: {0}")]
    Thread(io::Error),
    #[error("the thread that reads files ended too early: gtm-host has a defect, please report it")]
    Ended,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePlace {
    /// The file.
    pub file: Arc<str>,
    /// The number of bytes before the place, in the uncompressed data.
    pub offset: u64,
    /// Whether the file is compressed.
    pub compressed: bool,
}

impl fmt::Display for FilePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, compressed } = self;
        let of = if *compressed { " of the uncompressed data" } else { "" };
        write!(f, "{file}: at byte {offset}{of}")
    }
}

/// Returns the name of a file in messages.
pub(super) fn name(path: &Path) -> Arc<str> {
    if path.as_os_str() == "-" { "standard input".into() } else { path.to_string_lossy().into() }
}
