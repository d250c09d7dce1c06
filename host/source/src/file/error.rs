//! Why files cannot be read, or not to their end.

use std::path::Path;
use std::sync::Arc;
use std::{fmt, io};

/// Why files cannot be read, or not to their end.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum FileError {
    #[error("{file} cannot be read: {reason}")]
    Unreadable { file: Arc<str>, reason: io::Error },
    #[error("{file} is a folder: name the files in it, as in {file}/*.bson")]
    Folder { file: Arc<str> },
    #[error(
        "{file} cannot be replayed, as it is {found}. Expected are BSON documents or an archive as mongodump writes them, Extended \
         JSON as mongoexport does, or change events; all may be compressed by gzip, zlib, zstd, lz4 or snappy"
    )]
    Unknown { file: Arc<str>, found: &'static str },
    #[error(
        "{file} holds no oplog and no change events but documents of a collection, and its path does not say of which. Say it with --collection \
         DATABASE.COLLECTION, or name the file as mongodump does: DATABASE/COLLECTION.bson"
    )]
    NoNamespace { file: Arc<str> },
    #[error(
        "{at} begins a document that is not all there: the file ends {read} bytes later. It was truncated; everything before \
         was read"
    )]
    Truncated { at: FilePlace, read: u64 },
    #[error("{at} stands no document, but {found}: the file is damaged there. Everything before was read")]
    Damaged { at: FilePlace, found: String },
    #[error("{at} the archive ends before {missing}: it was truncated. Everything before was read")]
    Unfinished { at: FilePlace, missing: String },
    #[error("{at} reading ends: {reason}. Everything before was read")]
    Broken { at: FilePlace, reason: io::Error },
    #[error("no thread can be started to read files: {0}")]
    Thread(io::Error),
    #[error("the thread that reads files has ended without a word: this is an error in gtm-host")]
    Ended,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePlace {
    /// The file.
    pub file: Arc<str>,
    /// Bytes before it: of a compressed file, uncompressed.
    pub offset: u64,
    /// The file is compressed.
    pub compressed: bool,
}

impl fmt::Display for FilePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, compressed } = self;
        let of = if *compressed { " of the uncompressed data" } else { "" };
        write!(f, "{file}: at byte {offset}{of}")
    }
}

/// A file as it is called in messages.
pub(super) fn name(path: &Path) -> Arc<str> {
    if path.as_os_str() == "-" { "standard input".into() } else { path.to_string_lossy().into() }
}
