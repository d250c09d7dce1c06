//! What was written, and what a plugin saw of it: what it printed, which is outside of the sandbox and of the host.

use std::collections::HashMap;

use bson::{Timestamp, doc};
use serde_json::Value;

use crate::support::{Database, create_oplog, message, op_id, random};

const DOCUMENTS: usize = 20;
/// When all is written, in seconds since 1970.
pub(super) const SECOND: u32 = 1_700_000_000;

/// Writes entries of an oplog, of some documents, each with numbers from 1 on.
pub(super) struct Writer {
    pub(super) own: Database,
    pub(super) oplog: String,
    state: u64,
    /// Of each document, its last number.
    pub(super) written: HashMap<i64, i64>,
    /// The place of the last entry.
    pub(super) increment: u32,
}

impl Writer {
    pub(super) async fn new(uri: &str) -> Self {
        let own = Database::new(uri).await;
        let oplog = create_oplog(&own, []).await;
        Self { own, oplog, state: 7, written: HashMap::new(), increment: 0 }
    }

    /// A number below `end`.
    pub(super) fn random(&mut self, end: usize) -> usize {
        random(&mut self.state) % end
    }

    pub(super) async fn write(&mut self, count: usize) {
        let entries: Vec<_> = (0..count)
            .map(|_| {
                let key = i64::try_from(self.random(DOCUMENTS)).unwrap();
                let n = self.written.entry(key).or_default();
                *n += 1;
                self.increment += 1;
                let ts = Timestamp { time: SECOND, increment: self.increment };
                doc! { "op": "i", "ns": format!("{}.things", self.own.name), "o": { "_id": key, "n": *n }, "ts": ts }
            })
            .collect();
        if !entries.is_empty() {
            self.own.collection("oplog").insert_many(entries).await.unwrap();
        }
    }

    /// Whether this line of the log is of the last op.
    pub(super) fn is_last(&self, line: &Value) -> bool {
        seen(line).is_some_and(|seen| seen.place == self.increment)
    }
}

/// What a plugin printed.
struct Seen {
    place: u32,
    key: i64,
    n: i64,
}

fn seen(line: &Value) -> Option<Seen> {
    if line["target"] != "plugin" || line["plugin"] != "print_ops" {
        return None;
    }
    let op: Value = serde_json::from_str(message(line)).unwrap();
    Some(Seen {
        place: op_id(&op).split('.').nth(1).unwrap().parse().unwrap(),
        key: op["documentKey"]["_id"].as_i64().unwrap(),
        n: op["fullDocument"]["n"].as_i64().unwrap(),
    })
}

/// What a plugin saw.
#[derive(Default)]
pub(super) struct Ledger {
    /// Of each document, the last of its numbers.
    pub(super) seen: HashMap<i64, i64>,
    pub(super) repeats: u32,
}

impl Ledger {
    /// What was printed in one run of a host, which began after `checkpoint`: of each document, its numbers one after the
    /// other, and none before that is not seen.
    pub(super) fn add(&mut self, lines: &[Value], checkpoint: u32) {
        let mut in_this_turn = HashMap::new();
        for line in lines {
            // What comes after it begins at a checkpoint again.
            if line["event"] == "lease.lose" || line["event"] == "lease.standby" {
                in_this_turn.clear();
            }
            let Some(Seen { place, key, n }) = seen(line) else { continue };
            assert!(place > checkpoint, "{place} was stored as done, up to {checkpoint}");
            let seen = self.seen.entry(key).or_default();
            match in_this_turn.insert(key, n) {
                Some(before) => assert_eq!(n, before + 1, "document {key} in its order"),
                None => assert!(n <= *seen + 1, "document {key}: {n} comes after {seen}"),
            }
            self.repeats += u32::from(n <= *seen);
            *seen = n.max(*seen);
        }
    }
}
