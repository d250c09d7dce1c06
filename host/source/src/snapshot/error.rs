//! The reasons why a snapshot cannot be taken.

/// The reason why a snapshot cannot be taken, or cannot continue.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages document them")]
pub enum SnapshotError {
    #[error(
        "the databases cannot be listed for the snapshot: {reason}. help: grant the user the role readAnyDatabase"
    )]
    Databases { reason: String },
    #[error("the progress of the snapshot cannot be read: {0}")]
    Read(Box<dyn std::error::Error + Send + Sync>),
    #[error("the progress of the snapshot cannot be stored: {0}")]
    Write(Box<dyn std::error::Error + Send + Sync>),
    #[error("the stored progress of the snapshot is damaged: {reason}")]
    Corrupt { reason: String },
    #[error(
        "the stored progress of the snapshot was written by a newer gtm-host (version {version}; this one knows {known})"
    )]
    Newer { version: u64, known: u32 },
    #[error(
        "the stored progress of the snapshot is of another deployment: of \"{theirs}\", and this is \"{ours}\""
    )]
    OtherDeployment { theirs: String, ours: String },
    #[error(
        "the stored progress of the snapshot is for other namespaces or operations than plugins subscribe to now"
    )]
    OtherSelection,
    #[error("a reader of the snapshot ended too early: gtm-host has a defect, please report it")]
    Defect,
}
