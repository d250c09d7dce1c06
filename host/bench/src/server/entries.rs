//! The entries, as MongoDB 8 writes them: a cycle of a hundred, each time with other keys and later times.

use anyhow::Context;
use bson::spec::BinarySubtype;
use bson::{Binary, DateTime, Document, RawDocumentBuf, Timestamp, Uuid, doc};
use clap::ValueEnum;

use super::timestamp;

/// The number of entries in a cycle.
pub(super) const CYCLE: u64 = 100;
/// The number of entries that end the stream, inserts into `bench.end`: enough that each lane of a plugin gets one.
pub(crate) const END: u64 = 64;

/// The placeholders for the time of an entry, its number, and the time at which it is sent.
const TIME: Timestamp = Timestamp { time: 0x7172_7374, increment: 0x7576_7778 };
const NUMBER: i64 = 0x6162_6364_6566_6768;
const SENT: i64 = 0x5152_5354_5556_5758;

/// The kinds of entries in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mix {
    /// Ten namespaces; a tenth of the entries are inserts into users.users, the others inserts, updates by delta, deletes and
    /// transactions
    Mixed,
    /// The same, with inserts instead of updates, so that no document is looked up
    Inserts,
}

/// The stream.
#[derive(Debug)]
pub(crate) struct Entries {
    cycle: Vec<Template>,
    end: Template,
    /// The number of entries before the end.
    pub(crate) count: u64,
    /// The template of documents that are looked up.
    pub(super) document: Template,
}

/// An entry with placeholders for the parts that differ each time.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) bytes: Vec<u8>,
    pub(super) times: Vec<usize>,
    pub(super) numbers: Vec<usize>,
    pub(super) sent: Vec<usize>,
    /// Whether it is an insert into users.users.
    is_user: bool,
    ops: u32,
}

impl Entries {
    /// Creates a stream of `count` entries. Those with a document have this size, in bytes.
    pub(super) fn new(mix: Mix, size: usize, count: u64) -> anyhow::Result<Self> {
        let cycle = (0..CYCLE).map(|place| template(mix, place, size)).collect::<anyhow::Result<_>>()?;
        let end = entry("i", "bench.end", doc! { "_id": NUMBER }, Some(doc! { "_id": NUMBER }));
        let document =
            Template::new(&doc! { "_id": NUMBER, "text": "x".repeat(size.saturating_sub(50)) }, 0)?;
        Ok(Self { cycle, end: Template::new(&end, 1)?, count, document })
    }

    /// Returns the number of entries, with those that end the stream.
    pub(super) fn len(&self) -> u64 {
        self.count + END
    }

    pub(super) fn template(&self, index: u64) -> &Template {
        let place = usize::try_from(index % CYCLE).unwrap_or_default();
        if index < self.count { self.cycle.get(place).unwrap_or(&self.end) } else { &self.end }
    }

    /// Returns the ops before the end, or only the inserts of users among them, each as time and index.
    pub(crate) fn ops(&self, users_only: bool) -> impl Iterator<Item = (Timestamp, u32)> {
        let wanted = move |index: &u64| !users_only || self.template(*index).is_user;
        (0..self.count)
            .filter(wanted)
            .flat_map(|index| (0..self.template(index).ops).map(move |op| (timestamp(index), op)))
    }

    /// Returns the average size of an entry in bytes.
    pub(crate) fn average(&self) -> u64 {
        let bytes: usize = self.cycle.iter().map(|template| template.bytes.len()).sum();
        u64::try_from(bytes).unwrap_or(u64::MAX) / CYCLE
    }
}

impl Template {
    fn new(document: &Document, ops: u32) -> anyhow::Result<Self> {
        let bytes = RawDocumentBuf::try_from(document).context("a template")?.into_bytes();
        let places = |marker: &[u8]| {
            let at = bytes.windows(marker.len()).enumerate().filter(|(_, window)| *window == marker);
            at.map(|(at, _)| at).collect::<Vec<_>>()
        };
        let mut time = TIME.increment.to_le_bytes().to_vec();
        time.extend(TIME.time.to_le_bytes());
        let (numbers, sent) = (places(&NUMBER.to_le_bytes()), places(&SENT.to_le_bytes()));
        let is_user = !sent.is_empty();
        Ok(Self { times: places(&time), numbers, sent, is_user, ops, bytes })
    }
}

fn template(mix: Mix, place: u64, size: usize) -> anyhow::Result<Template> {
    const NAMESPACES: [&str; 10] = [
        "users.users",
        "shop.orders",
        "shop.items",
        "shop.carts",
        "crm.contacts",
        "crm.notes",
        "logs.requests",
        "logs.errors",
        "stock.levels",
        "stock.moves",
    ];
    let namespace = NAMESPACES.get(usize::try_from(place % 10)?).context("ten namespaces")?;
    let insert = |of: &str| {
        filled(size, |text| {
            let mut document = doc! { "_id": NUMBER, "text": text };
            if of == "users.users" {
                document.insert("sent", SENT);
            }
            entry("i", of, document, Some(doc! { "_id": NUMBER }))
        })
    };
    let (entry, ops) = match (place % 10, place / 10) {
        (0, _) => (insert(namespace)?, 1),
        (1, 0) => (noop(), 0),
        (2, 0) => (transaction(size, namespace)?, 3),
        (_, 0..4) => (insert(namespace)?, 1),
        (_, 4..8) if mix == Mix::Mixed => {
            let update = |text: String| {
                let delta = doc! { "$v": 2, "diff": { "u": { "text": text, "count": NUMBER } } };
                entry("u", namespace, delta, Some(doc! { "_id": NUMBER }))
            };
            (filled(size, update)?, 1)
        }
        (_, 4..8) => (insert(namespace)?, 1),
        _ => (entry("d", namespace, doc! { "_id": NUMBER }, None), 1),
    };
    Template::new(&entry, ops)
}

/// Returns a document with as much text as this size needs, in bytes.
fn filled(size: usize, of: impl Fn(String) -> Document) -> anyhow::Result<Document> {
    let empty = bson::serialize_to_vec(&of(String::new()))?.len();
    Ok(of("x".repeat(size.saturating_sub(empty))))
}

fn entry(op: &str, namespace: &str, object: Document, key: Option<Document>) -> Document {
    let mut entry = doc! { "lsid": session(), "txnNumber": 1_i64, "op": op, "ns": namespace, "ui": Uuid::from_bytes([9; 16]), "o": object };
    if let Some(key) = key {
        entry.insert("o2", key);
    }
    entry.extend(doc! { "stmtId": 0, "ts": TIME, "t": 1_i64, "v": 2_i64, "wall": DateTime::from_millis(1_700_000_000_123), "prevOpTime": nothing_before() });
    entry
}

/// Returns the entry that a server writes every ten seconds while nothing else is written.
fn noop() -> Document {
    doc! { "op": "n", "ns": "", "o": { "msg": "periodic noop" }, "ts": TIME, "t": 1_i64, "v": 2_i64, "wall": DateTime::from_millis(1_700_000_000_123) }
}

/// Returns a transaction of three inserts, each of a third of the size.
fn transaction(size: usize, namespace: &str) -> anyhow::Result<Document> {
    filled(size / 3, |text| {
        let insert = doc! {
            "op": "i", "ns": namespace, "ui": Uuid::from_bytes([9; 16]), "o": { "_id": NUMBER, "text": &text }, "o2": { "_id": NUMBER },
        };
        doc! {
            "lsid": session(), "txnNumber": NUMBER, "op": "c", "ns": "admin.$cmd", "o": { "applyOps": vec![insert; 3] },
            "ts": TIME, "t": 1_i64, "v": 2_i64, "wall": DateTime::from_millis(1_700_000_000_123), "prevOpTime": nothing_before(),
        }
    })
}

fn session() -> Document {
    doc! { "id": Uuid::from_bytes([7; 16]), "uid": Binary { subtype: BinarySubtype::Generic, bytes: vec![1; 32] } }
}

fn nothing_before() -> Document {
    doc! { "ts": Timestamp { time: 0, increment: 0 }, "t": -1_i64 }
}
