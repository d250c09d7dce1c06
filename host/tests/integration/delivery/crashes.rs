//! A host that is killed at any moment.

use std::time::Duration;

use gtm_store::{CheckpointKey, Store, StoreKind};
use gtm_test_support::Server;
use nix::sys::signal::Signal;

use super::ledger::{Ledger, SECOND, Writer};
use crate::support::{Host, plugin};

const ROUNDS: u32 = 100;

#[tokio::test]
#[expect(clippy::print_stdout, reason = "how much was repeated, for who runs it with --nocapture")]
async fn a_host_that_is_killed_loses_nothing_and_repeats_nothing_below_its_checkpoint() {
    let server = Server::ready().unwrap();
    let mut writer = Writer::new(server.uri()).await;
    let directory = tempfile::tempdir().unwrap();
    let kind = StoreKind::File(directory.path().to_owned());
    let store = format!("file:{}", directory.path().display());
    let (print_ops, oplog) = (plugin("print_ops"), writer.oplog.clone());
    let from = ["--uri", server.uri(), "--source-oplog", &oplog, "--start", "oldest", "--store", &store];
    let arguments =
        [&from[..], &["--plugin", &print_ops, "--name", "crashes", "--delivery-ordering", "document"]]
            .concat();
    let key = CheckpointKey { pipeline: "crashes".into(), plugin: "print_ops".into(), worker: None };
    let client = writer.own.client.clone();
    let stored = async || {
        let store = Store::open(&kind, &client).await.unwrap();
        let position = store.checkpoint(&key).await.unwrap().map(|checkpoint| checkpoint.position);
        position
            .and_then(|position| position.timestamp())
            .filter(|at| at.time >= SECOND)
            .map_or(0, |at| at.increment)
    };
    let (mut ledger, mut moved) = (Ledger::default(), 0);
    for round in 0..=ROUNDS {
        let checkpoint = stored().await;
        moved += u32::from(checkpoint > 0);
        let mut host = Host::start(&arguments);
        let count = writer.random(40);
        writer.write(count).await;
        if round == ROUNDS {
            host.wait_until("the last op", |line| writer.is_last(line));
            host.signal(Signal::SIGTERM);
        } else {
            // Some live for two checkpoints, most for less.
            let long = writer.random(if round % 25 == 24 { 2500 } else { 250 });
            tokio::time::sleep(Duration::from_millis(u64::try_from(long).unwrap())).await;
            host.signal(Signal::SIGKILL);
        }
        let (_, lines) = host.all();
        ledger.add(&lines, checkpoint);
    }
    assert_eq!(ledger.seen, writer.written, "nothing is missing");
    assert_eq!(stored().await, writer.increment, "all of it is stored as done");
    assert!(moved > 0, "some were started at a checkpoint");
    println!("{} ops, {} repeats in {ROUNDS} crashes", writer.increment, ledger.repeats);
}
