//! One entry of the oplog, read from its bytes. Pure: bytes in, a borrowed view out, no I/O, no
//! copy of a document.
//!
//! Fields are found by name, as their order varies by server version; those not known are passed over.

use bson::{RawBsonRef, RawDocument};

use crate::op::Timestamp;
use crate::source::Malformed;
use crate::source::value::{integer, milliseconds, string, subdocument};

/// The fields of an entry that say what it is. Its documents are not looked into.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// `ts`
    pub timestamp: Timestamp,
    /// `op`
    pub kind: &'a str,
    /// `ns`. Empty where there is none: some need none.
    pub namespace: &'a str,
    /// `o`
    pub object: Option<&'a RawDocument>,
    /// `o2`
    pub object2: Option<&'a RawDocument>,
    /// `wall`: milliseconds since 1970-01-01 UTC.
    pub wall_time: Option<u64>,
    /// `fromMigrate`: a copy made by the balancer, which changes nothing that a client can see.
    pub from_migrate: bool,
    /// `lsid`: the session that wrote it.
    pub session: Option<&'a RawDocument>,
    /// `txnNumber`: which of the session's transactions or retryable writes it was part of.
    pub transaction_number: Option<i64>,
    /// `prevOpTime`: where the entry before it of the same transaction stands.
    pub previous: Option<&'a RawDocument>,
    /// `multiOpType` is 1: a batch of writes by one command, chained as a transaction is, but none.
    pub vectored: bool,
}

impl<'a> Entry<'a> {
    /// Reads the fields of one entry.
    ///
    /// # Errors
    /// It is not BSON, or lacks `ts` or `op`.
    pub fn parse(document: &'a RawDocument) -> Result<Self, Malformed> {
        let mut timestamp = None;
        let mut entry = Self::fields(document, |value| timestamp = value.as_timestamp())?;
        entry.timestamp = timestamp.ok_or(Malformed::Missing("ts"))?.into();
        Ok(entry)
    }

    /// Reads one of the operations inside an `applyOps`. It stands where the entry around it does; a
    /// `ts` of its own is from another server, and may not even be a timestamp.
    ///
    /// # Errors
    /// It is not BSON, or lacks `op`.
    pub fn parse_inner(&self, document: &'a RawDocument) -> Result<Self, Malformed> {
        let inner = Self::fields(document, |_| {})?;
        Ok(Self {
            timestamp: self.timestamp,
            wall_time: self.wall_time,
            from_migrate: self.from_migrate || inner.from_migrate,
            ..inner
        })
    }

    fn fields(document: &'a RawDocument, mut ts: impl FnMut(RawBsonRef<'a>)) -> Result<Self, Malformed> {
        let mut kind = None;
        let mut entry = Self {
            timestamp: Timestamp::default(),
            kind: "",
            namespace: "",
            object: None,
            object2: None,
            wall_time: None,
            from_migrate: false,
            session: None,
            transaction_number: None,
            previous: None,
            vectored: false,
        };
        for element in document.iter_elements() {
            let element = element?;
            match element.key().as_str() {
                "ts" => ts(element.value()?),
                "op" => kind = string(element.value()?),
                "ns" => entry.namespace = string(element.value()?).unwrap_or_default(),
                "o" => entry.object = subdocument(element.value()?),
                "o2" => entry.object2 = subdocument(element.value()?),
                "wall" => entry.wall_time = milliseconds(element.value()?),
                "fromMigrate" => entry.from_migrate = element.value()?.as_bool().unwrap_or(false),
                "lsid" => entry.session = subdocument(element.value()?),
                "txnNumber" => entry.transaction_number = integer(element.value()?),
                "prevOpTime" => entry.previous = subdocument(element.value()?),
                "multiOpType" => entry.vectored = integer(element.value()?) == Some(1),
                _ => {}
            }
        }
        entry.kind = kind.ok_or(Malformed::Missing("op"))?;
        Ok(entry)
    }
}
