//! Why the store cannot write or read something.

use std::path::PathBuf;

use gtm_oplog::PatternError;
use gtm_oplog::own_database::own_database;

use crate::own_files::ExposedFile;

/// Why the store cannot write or read something.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages document them")]
pub enum StoreError {
    #[error("this user may not use the store, the database {} of the cluster: {reason}", own_database())]
    Unauthorized { reason: String },
    #[error("the store, the database {} of the cluster, cannot be reached now: {reason}", own_database())]
    Unreachable { reason: String },
    #[error("the store, the database {} of the cluster, refuses it: {reason}", own_database())]
    Refused { reason: String },
    #[error("{} cannot be used as a store: {reason}", directory.display())]
    Directory { directory: PathBuf, reason: String },
    #[error("there is no store in {}", directory.display())]
    Absent { directory: PathBuf },
    #[error("the store cannot be used: {0}")]
    Exposed(#[from] ExposedFile),
    #[error(
        "another gtm-host has the store {} open, and two hosts on one file store would overwrite each other's progress",
        file.display()
    )]
    InUse { file: PathBuf },
    #[error(
        "the store {} cannot be read or written: {reason}. help: check that the disk has room and that gtm-host may write there",
        file.display()
    )]
    File { file: PathBuf, reason: String },
    #[error(
        "the store {} is damaged, or not a store of gtm-host: {reason}",
        file.display()
    )]
    DamagedFile { file: PathBuf, reason: String },
    #[error("the store {} was written by a newer gtm-host, or in another format (version {version}). help: use the gtm-host \
         that wrote it", file.display())]
    OtherFormat { file: PathBuf, version: u64 },
    #[error(
        "{what} in {store} cannot be understood: {reason}. help: correct it, or delete it, after which {lost}"
    )]
    Damaged { what: String, store: String, reason: String, lost: &'static str },
    #[error(
        "{what} in {store} was written by a newer gtm-host (version {version}; this one knows {known}). help: use that one"
    )]
    Newer { what: String, store: String, version: i64, known: i64 },
    #[error(
        "{what} was taken over by another host (epoch {stored}, and this host has {mine}), so this host must not continue it"
    )]
    Fenced { what: String, stored: u64, mine: u64 },
    #[error("{what} cannot be stored: {reason}")]
    Unstorable { what: String, reason: String },
    #[error("{what} cannot be incremented: {reason}")]
    NotIncremented { what: String, reason: &'static str },
    #[error(transparent)]
    Pattern(#[from] PatternError),
    #[error("gtm-host has a defect, please report it: {0}")]
    Defect(String),
}

impl StoreError {
    /// Returns whether a retry may succeed.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::File { .. })
    }
}
