//! The file that is read, the format of its documents, and the reasons to stop.

use std::path::Path;
use std::sync::Arc;

use super::archive::Archive;
use super::error::{FileError, FilePlace, name};
use super::frames::{Frames, Misframed};
use super::outbox::ReceiverGone;
use super::report::FileReport;
use super::texts::Texts;

/// The file that is read.
pub(super) struct Current {
    pub(super) index: usize,
    pub(super) name: Arc<str>,
    pub(super) compressed: bool,
    pub(super) report: FileReport,
}

impl Current {
    pub(super) fn of(index: usize, path: &Path) -> Self {
        Self { index, name: name(path), compressed: false, report: FileReport::of(path) }
    }

    /// Returns a place in the file, for messages.
    pub(super) fn at(&self, offset: u64) -> FilePlace {
        FilePlace { file: Arc::clone(&self.name), offset, compressed: self.compressed }
    }
}

/// The reason to stop reading a file.
pub(super) enum FileStop {
    Failed(FileError),
    Misframed(Misframed),
    /// An entry is later than the time range.
    Late,
    /// The receiver was dropped.
    Gone,
}

impl From<FileError> for FileStop {
    fn from(error: FileError) -> Self {
        Self::Failed(error)
    }
}

impl From<Misframed> for FileStop {
    fn from(misframed: Misframed) -> Self {
        Self::Misframed(misframed)
    }
}

impl From<ReceiverGone> for FileStop {
    fn from(ReceiverGone: ReceiverGone) -> Self {
        Self::Gone
    }
}

/// The documents of a file, by their format.
pub(super) enum Documents {
    Bson(Frames),
    Archive(Frames, Archive),
    Json(Texts),
}

impl Documents {
    /// Returns the offset of a document that is not complete, and how many bytes of it were read.
    pub(super) fn left(&self) -> (u64, u64) {
        match self {
            Self::Bson(frames) | Self::Archive(frames, _) => frames.left(),
            Self::Json(texts) => texts.left(),
        }
    }

    /// Returns what is missing if the file ends between two documents.
    pub(super) fn missing(&self) -> Option<String> {
        match self {
            Self::Archive(_, archive) => archive.missing(),
            Self::Bson(_) | Self::Json(_) => None,
        }
    }
}
