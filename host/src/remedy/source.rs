//! Remedies for errors of sources: oplog, change stream, snapshot and files.

use std::borrow::Cow;

use gtm_source::oplog::OplogError;
use gtm_source::{FileError, SnapshotError, SourceError, StreamError};

use super::Remedy;

impl Remedy for SourceError {
    fn remedy(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Oplog(error) => error.remedy(),
            Self::ChangeStream(error) => error.remedy(),
            Self::Snapshot(error) => error.remedy(),
            Self::File(error) => error.remedy(),
            _ => None,
        }
    }
}

impl Remedy for OplogError {
    fn remedy(&self) -> Option<Cow<'static, str>> {
        Some(match self {
            Self::NotTailable { .. } => "pass --source-oplog local.oplog.rs, or another capped collection".into(),
            Self::Unauthorized { oplog, .. } => format!(
                "read a change stream with --source-kind change-stream, or ask an administrator to run this in mongosh: \
                 db.getSiblingDB(\"admin\").grantRolesToUser(\"USER\", [{{role: \"read\", db: \"{}\"}}])",
                oplog.db
            )
            .into(),
            Self::TokenWithoutTime => {
                "read a change stream with --source-kind change-stream, or pass a time or SECONDS.INCREMENT instead of the token".into()
            }
            Self::StartLost { .. } => {
                "to continue without these changes, pass --restart-from oldest; gtm-host tail takes --start oldest".into()
            }
            Self::HistoryLost { .. } => {
                "to continue without these changes, pass --source-on-history-lost restart-from-oldest or restart-from-now; to keep more \
                 history, enlarge the oplog (replSetResizeOplog)"
                    .into()
            }
            Self::Diverged { .. } => {
                "to continue, pass --source-on-history-lost restart-from-oldest or restart-from-now".into()
            }
            _ => return None,
        })
    }
}

impl Remedy for StreamError {
    fn remedy(&self) -> Option<Cow<'static, str>> {
        Some(match self {
            Self::HistoryLost { .. } => {
                "to continue without these changes, pass --source-on-history-lost restart-from-now; to keep more history, enlarge the \
                 oplog (replSetResizeOplog)"
                    .into()
            }
            Self::InvalidToken { .. } => "pass --restart-from with a time to begin there instead".into(),
            Self::TooLarge { .. } => {
                "to continue without this event, pass --restart-from with a later time".into()
            }
            Self::NoOldest => {
                "pass a time that the server's oplog still has, pass --source-on-history-lost restart-from-now, or read the oplog with \
                 --source-kind oplog"
                    .into()
            }
            _ => return None,
        })
    }
}

impl Remedy for SnapshotError {
    fn remedy(&self) -> Option<Cow<'static, str>> {
        Some(match self {
            Self::Read(error) | Self::Write(error) => return super::remedy(&**error),
            Self::Corrupt { .. } => {
                "delete it in the store, or pass another --name, to read all documents again from the beginning".into()
            }
            Self::Newer { .. } => {
                "use that gtm-host, or pass another --name to read all documents again from the beginning".into()
            }
            Self::OtherDeployment { .. } => {
                "connect to that deployment, or pass another --name to read all documents of this one".into()
            }
            Self::OtherSelection => "pass another --name to read all documents again from the beginning".into(),
            _ => return None,
        })
    }
}

impl Remedy for FileError {
    fn remedy(&self) -> Option<Cow<'static, str>> {
        Some(match self {
            Self::NoNamespace { .. } => {
                "pass the collection with --collection DATABASE.COLLECTION, or name the file as mongodump does: \
                 DATABASE/COLLECTION.bson"
                    .into()
            }
            Self::Plugin { .. } => "pass a plugin with --plugin".into(),
            _ => return None,
        })
    }
}
