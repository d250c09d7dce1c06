//! Reads one oplog entry from its bytes into a borrowed view, without copying a document.
//!
//! Fields are found by name, because their order varies by server version. Unknown fields are ignored.

use bson::RawDocument;

use crate::fields::{Field, Fields};
use crate::op::Timestamp;
use crate::reply::Malformed;
use crate::value::integer;

/// The fields that identify an entry. Its documents are not decoded.
#[derive(Clone, Copy, Debug)]
pub struct OplogEntry<'a> {
    /// `ts`
    pub timestamp: Timestamp,
    /// `op`
    pub kind: &'a str,
    /// `ns`. Empty if there is none: some entries need none.
    pub namespace: &'a str,
    /// `o`
    pub object: Option<&'a RawDocument>,
    /// `o2`
    pub object2: Option<&'a RawDocument>,
    /// `wall`: milliseconds since 1970-01-01 UTC.
    pub wall_time: Option<u64>,
    /// `fromMigrate`: a copy made by the balancer, which changes nothing that a client can see.
    pub from_migrate: bool,
    /// `lsid`: the session that wrote the entry.
    pub session: Option<&'a RawDocument>,
    /// `txnNumber`: the number of the transaction or retryable write in its session.
    pub transaction_number: Option<i64>,
    /// `prevOpTime`: the position of the previous entry of the same transaction.
    pub previous: Option<&'a RawDocument>,
    /// `multiOpType` is 1: a batch of writes by one command, chained like a transaction but not one.
    pub vectored: bool,
}

impl<'a> OplogEntry<'a> {
    /// Reads the fields of one entry.
    ///
    /// # Errors
    /// The document is not valid BSON, or lacks `ts` or `op`.
    pub fn parse(document: &'a RawDocument) -> Result<Self, Malformed> {
        let mut at = None;
        let mut entry = Self::fields(document, |field| at = timestamp(field))?;
        entry.timestamp = at.ok_or(Malformed::Missing("ts"))?;
        Ok(entry)
    }

    /// Reads one of the operations inside an `applyOps`. Its position is that of the enclosing entry: a `ts` of its own
    /// comes from another server, and may not even be a timestamp.
    ///
    /// # Errors
    /// The document is not valid BSON, or lacks `op`.
    pub(super) fn parse_inner(&self, document: &'a RawDocument) -> Result<Self, Malformed> {
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
        for field in Fields::new(document) {
            let field = field?;
            // Short names are matched byte by byte, because that compares them without a function call.
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

/// Returns the timestamp in a field. Dumps of old tools write it as a document `{t, i}`.
fn timestamp(field: &Field<'_>) -> Option<Timestamp> {
    let part = |name| u32::try_from(integer(field.document()?.get(name).ok()??)?).ok();
    field.timestamp().or_else(|| Some(Timestamp { time: part("t")?, increment: part("i")? }))
}

fn milliseconds(field: &Field<'_>) -> Option<u64> {
    u64::try_from(field.milliseconds()?).ok()
}
