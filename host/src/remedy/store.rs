//! Remedies for errors of the store, the lease and the list of workers.

use std::borrow::Cow;

use gtm_oplog::own_database::own_database;
use gtm_store::{LeaseError, StoreError, WorkersError};

use super::Remedy;

impl Remedy for StoreError {
    fn remedy(&self) -> Option<Cow<'static, str>> {
        Some(match self {
            Self::Unauthorized { .. } => format!(
                "grant the user the role readWrite on the database {}, or keep the store in a directory with --store file:DIR",
                own_database()
            )
            .into(),
            Self::Directory { .. } => "pass a directory that gtm-host may write to with --store file:DIR".into(),
            Self::Absent { .. } => "pass the store that the host uses with --store file:DIR".into(),
            Self::InUse { .. } => {
                "stop that host, give each host its own directory with --store file:DIR, or share the store of the cluster with \
                 --store mongodb"
                    .into()
            }
            Self::DamagedFile { .. } => {
                "restore the store from a backup, or move it away; without a checkpoint, plugins begin where --start says".into()
            }
            Self::Pattern(error) => return error.remedy(),
            _ => return None,
        })
    }
}

impl Remedy for LeaseError {
    fn remedy(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Unauthorized { .. } => Some(
                format!(
                    "ask an administrator to run this in mongosh: db.getSiblingDB(\"admin\").grantRolesToUser(\"USER\", [{{role: \
                     \"readWrite\", db: \"{}\"}}]). Or keep the store on this machine, for one host only, with --store file:DIR",
                    own_database()
                )
                .into(),
            ),
            _ => None,
        }
    }
}

impl Remedy for WorkersError {
    fn remedy(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::NotListed { name, .. } => {
                Some(format!("pass one of them with --workers-name, or add {name} to the list of all hosts").into())
            }
            Self::Unauthorized { database, .. } => Some(
                format!(
                    "grant the user the role read on the database {database}, or pass the list as a file with --workers-file FILE"
                )
                .into(),
            ),
            _ => None,
        }
    }
}
