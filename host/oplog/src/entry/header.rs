//! One entry of the oplog, read from its bytes. Pure: bytes in, a borrowed view out, no I/O, no
//! copy of a document.
//!
//! Fields are found by name, as their order varies by server version; those not known are passed over.

use bson::RawDocument;

use crate::fields::{Field, Fields};
use crate::op::Timestamp;
use crate::reply::Malformed;
use crate::value::integer;

/// The fields of an entry that say what it is. Its documents are not looked into.
#[derive(Clone, Copy, Debug)]
pub struct OplogEntry<'a> {
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

impl<'a> OplogEntry<'a> {
    /// Reads the fields of one entry.
    ///
    /// # Errors
    /// It is not BSON, or lacks `ts` or `op`.
    pub fn parse(document: &'a RawDocument) -> Result<Self, Malformed> {
        let mut at = None;
        let mut entry = Self::fields(document, |field| at = timestamp(field))?;
        entry.timestamp = at.ok_or(Malformed::Missing("ts"))?;
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

    fn fields(document: &'a RawDocument, mut ts: impl FnMut(&Field<'a>)) -> Result<Self, Malformed> {
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
        for field in Fields::of(document) {
            let field = field?;
            // Byte by byte where names are short, as these are compared without a call.
            match field.name {
                [b't', b's'] => ts(&field),
                [b'o', b'p'] => kind = field.text(),
                [b'n', b's'] => entry.namespace = field.text().unwrap_or_default(),
                [b'o'] => entry.object = field.document(),
                [b'o', b'2'] => entry.object2 = field.document(),
                [b'w', b'a', b'l', b'l'] => entry.wall_time = milliseconds(&field),
                [b'l', b's', b'i', b'd'] => entry.session = field.document(),
                b"fromMigrate" => entry.from_migrate = field.is_true(),
                b"txnNumber" => entry.transaction_number = field.number().and_then(integer),
                b"prevOpTime" => entry.previous = field.document(),
                b"multiOpType" => entry.vectored = field.number().and_then(integer) == Some(1),
                _ => {}
            }
        }
        entry.kind = kind.ok_or(Malformed::Missing("op"))?;
        Ok(entry)
    }
}

/// Dumps of old tools have it as a document `{t, i}`.
fn timestamp(field: &Field<'_>) -> Option<Timestamp> {
    let part = |name| u32::try_from(integer(field.document()?.get(name).ok()??)?).ok();
    field.timestamp().or_else(|| Some(Timestamp { time: part("t")?, increment: part("i")? }))
}

fn milliseconds(field: &Field<'_>) -> Option<u64> {
    u64::try_from(field.milliseconds()?).ok()
}
