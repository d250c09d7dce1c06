//! Why a snapshot cannot be taken.

/// Why a snapshot cannot be taken, or not go on.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum SnapshotError {
    #[error(
        "the databases cannot be listed for the snapshot: {reason}. Give the user the role readAnyDatabase"
    )]
    Databases { reason: String },
    #[error("the progress of the snapshot cannot be read: {0}")]
    Read(Box<dyn std::error::Error + Send + Sync>),
    #[error("the progress of the snapshot cannot be kept: {0}")]
    Write(Box<dyn std::error::Error + Send + Sync>),
    #[error(
        "what the store has as the progress of the snapshot is damaged: {reason}. Delete it there, or take another --name, to \
         read all documents again from the beginning"
    )]
    Corrupt { reason: String },
    #[error(
        "the progress of the snapshot in the store was written by a newer gtm-host (version {version}; this one knows {known}). \
         Use that one, or take another --name to read all documents again from the beginning"
    )]
    Newer { version: u64, known: u32 },
    #[error(
        "the store has the progress of a snapshot of another deployment: of \"{theirs}\", and this is \"{ours}\". Connect to \
         that one, or take another --name to read all documents of this one"
    )]
    OtherDeployment { theirs: String, ours: String },
    #[error(
        "the store has the progress of a snapshot for other namespaces or operations than are subscribed to now. Take another \
         --name to read all documents again from the beginning"
    )]
    OtherSelection,
    #[error("a reader of the snapshot ended before its work did: gtm-host has a defect, please report it")]
    Defect,
}
