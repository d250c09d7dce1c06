//! A stored lease.

use bson::{RawBsonRef, RawDocument};
use gtm_oplog::value::integer;

use super::process::HolderProcess;
use super::{LeaseError, LeaseKey};

/// The version of the document's format.
pub(super) const VERSION: i64 = 1;

/// The content of a stored lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredLease {
    pub(super) holder: String,
    pub(super) released: bool,
    /// The process of the holder, if others can find out whether it has ended.
    pub(super) process: Option<HolderProcess>,
    pub(super) state: LeaseState,
}

/// The part that changes with each write of a lease, and never returns to an earlier value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LeaseState {
    /// The epoch, from 1.
    pub(super) epoch: i64,
    pub(super) renewals: i64,
}

impl StoredLease {
    /// Reads a lease.
    pub(super) fn read(document: &RawDocument, key: &LeaseKey) -> Result<Self, LeaseError> {
        let value = |name: &str| document.get(name).ok().flatten();
        let invalid = |name: &str| LeaseError::Invalid {
            key: key.to_string(),
            reason: format!("its field {name} is missing or not valid"),
        };
        let number = |name: &str, least: i64| {
            let number = value(name).and_then(integer).filter(|number| *number >= least);
            number.ok_or_else(|| invalid(name))
        };
        let version = number("version", 1)?;
        if version > VERSION {
            return Err(LeaseError::Newer { key: key.to_string(), version });
        }
        let holder = value("holder").and_then(RawBsonRef::as_str).ok_or_else(|| invalid("holder"))?;
        let process = value("process").and_then(RawBsonRef::as_document);
        Ok(Self {
            holder: holder.to_owned(),
            process: process.and_then(|process| HolderProcess::read(process, holder)),
            released: value("released").and_then(RawBsonRef::as_bool).ok_or_else(|| invalid("released"))?,
            state: LeaseState { epoch: number("epoch", 1)?, renewals: number("renewals", 0)? },
        })
    }
}
