//! Why a snapshot cannot be taken.

use std::io;
use std::path::PathBuf;

/// Why a snapshot cannot be taken, or not go on.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum SnapshotError {
    #[error(
        "the databases cannot be listed for the snapshot: {reason}. Give the user the role readAnyDatabase"
    )]
    Databases { reason: String },
    #[error("the progress of the snapshot cannot be read from {}: {reason}", file.display())]
    Read { file: PathBuf, reason: io::Error },
    #[error(
        "the progress of the snapshot cannot be written to {}: {reason}. Is there room, and may gtm-host write there?",
        file.display()
    )]
    Write { file: PathBuf, reason: io::Error },
    #[error(
        "{} is damaged, or not the progress of a snapshot: {reason}. Delete it to read all documents again from the \
         beginning",
        file.display()
    )]
    Corrupt { file: PathBuf, reason: String },
    #[error(
        "{} was written by a newer gtm-host (version {version} of the file; this one knows {known}). Use that one, or delete \
         the file to read all documents again from the beginning",
        file.display()
    )]
    Newer { file: PathBuf, version: u64, known: u32 },
    #[error(
        "{} is the progress of a snapshot of another deployment: of \"{theirs}\", and this is \"{ours}\". Connect to that \
         one, or delete the file to read all documents of this one",
        file.display()
    )]
    OtherDeployment { file: PathBuf, theirs: String, ours: String },
    #[error(
        "{} is the progress of a snapshot for other namespaces or operations than are subscribed to now. Delete it to read \
         all documents again from the beginning",
        file.display()
    )]
    OtherSelection { file: PathBuf },
    #[error("a reader of the snapshot ended before its work did: gtm-host has a defect, please report it")]
    Defect,
}
