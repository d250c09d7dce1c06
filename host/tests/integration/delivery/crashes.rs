//! A host that is killed at any moment. What its plugin saw is what it printed, which is outside of the sandbox and of the
//! host.

use std::collections::HashMap;
use std::time::Duration;

use bson::{Timestamp, doc};
use gtm_host::store::{CheckpointKey, Store, StoreKind};
use nix::sys::signal::Signal;
use serde_json::Value;
use xtask::testbed::Server;

use crate::support::{Database, Host, create_oplog, message, plugin, random};

const ROUNDS: u32 = 100;
const DOCUMENTS: usize = 20;
const SECOND: u32 = 1_700_000_000;

/// Of each document, the last of its numbers that was seen; numbers begin with 1.
#[derive(Default)]
struct Ledger {
    seen: HashMap<i64, i64>,
    repeats: u32,
}

impl Ledger {
    /// What was printed in one run of the host, which began after `checkpoint`.
    fn add(&mut self, lines: &[Value], checkpoint: u32) {
        let mut in_this_run = HashMap::new();
        for line in lines.iter().filter(|line| line["target"] == "plugin" && line["plugin"] == "print_ops") {
            let op: Value = serde_json::from_str(message(line)).unwrap();
            let place: u32 = op["id"].as_str().unwrap().split('.').nth(1).unwrap().parse().unwrap();
            assert!(place > checkpoint, "{place} was stored as done, up to {checkpoint}");
            let key = op["documentKey"]["_id"].as_i64().unwrap();
            let n = op["fullDocument"]["n"].as_i64().unwrap();
            let seen = self.seen.entry(key).or_default();
            match in_this_run.insert(key, n) {
                Some(before) => assert_eq!(n, before + 1, "document {key} in its order"),
                None => assert!(n <= *seen + 1, "document {key}: {n} comes after {seen}"),
            }
            self.repeats += u32::from(n <= *seen);
            *seen = n.max(*seen);
        }
    }
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "how much was repeated, for who runs it with --nocapture")]
async fn a_host_that_is_killed_loses_nothing_and_repeats_nothing_below_its_checkpoint() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let oplog = create_oplog(&own, []).await;
    let directory = tempfile::tempdir().unwrap();
    let kind = StoreKind::File(directory.path().to_owned());
    let store = format!("file:{}", directory.path().display());
    let print_ops = plugin("print_ops");
    let arguments = [
        "--plugin",
        &print_ops,
        "--uri",
        server.uri(),
        "--oplog",
        &oplog,
        "--start",
        "oldest",
        "--store",
        &store,
        "--name",
        "crashes",
        "--ordering",
        "document",
    ];
    let key = CheckpointKey { pipeline: "crashes".into(), plugin: "print_ops".into(), worker: None };
    let stored = async || {
        let store = Store::open(&kind, &own.client).await.unwrap();
        let position = store.checkpoint(&key).await.unwrap().map(|checkpoint| checkpoint.position);
        position
            .and_then(|position| position.timestamp())
            .filter(|at| at.time >= SECOND)
            .map_or(0, |at| at.increment)
    };
    let (mut state, mut ledger, mut written) = (7, Ledger::default(), HashMap::<i64, i64>::new());
    let (mut increment, mut moved) = (0, 0);
    for round in 0..=ROUNDS {
        let checkpoint = stored().await;
        moved += u32::from(checkpoint > 0);
        let mut host = Host::start(&arguments);
        let entries: Vec<_> = (0..random(&mut state) % 40)
            .map(|_| {
                let key = i64::try_from(random(&mut state) % DOCUMENTS).unwrap();
                let n = written.entry(key).or_default();
                *n += 1;
                increment += 1;
                let ts = Timestamp { time: SECOND, increment };
                doc! { "op": "i", "ns": format!("{}.things", own.name), "o": { "_id": key, "n": *n }, "ts": ts }
            })
            .collect();
        if !entries.is_empty() {
            own.collection("oplog").insert_many(entries).await.unwrap();
        }
        if round == ROUNDS {
            let last = format!("\"id\":\"{SECOND}.{increment}.0\"");
            host.wait_until("the last op", |line| message(line).contains(&last));
            host.signal(Signal::SIGTERM);
        } else {
            // Some live for two checkpoints, most for less.
            let long = if round % 25 == 24 { 2500 } else { 250 };
            tokio::time::sleep(Duration::from_millis(u64::try_from(random(&mut state) % long).unwrap()))
                .await;
            host.signal(Signal::SIGKILL);
        }
        let (_, lines) = host.all();
        ledger.add(&lines, checkpoint);
    }
    assert_eq!(ledger.seen, written, "nothing is missing");
    assert_eq!(stored().await, increment, "all of it is stored as done");
    assert!(moved > 0, "some were started at a checkpoint");
    println!("{increment} ops, {} repeats in {ROUNDS} crashes", ledger.repeats);
}
