//! Two hosts of one name: one works, and the other takes over.

use std::time::{Duration, Instant};

use bson::doc;
use bson::oid::ObjectId;
use gtm_store::{Checkpoint, CheckpointKey, Store, StoreKind};
use gtm_test_support::Server;
use nix::sys::signal::Signal;

use super::ledger::{Ledger, Writer};
use crate::log;
use crate::proxy::Proxy;
use crate::support::{Host, eventually, plugin};

struct Scene {
    writer: Writer,
    pipeline: String,
    server: Server,
}

impl Scene {
    async fn new() -> Self {
        let server = Server::ready().unwrap();
        Self { writer: Writer::new(server.uri()).await, pipeline: ObjectId::new().to_hex(), server }
    }

    fn start(&self) -> Host {
        self.start_with("4s")
    }

    fn start_with(&self, ttl: &str) -> Host {
        self.start_at(self.server.uri(), ttl)
    }

    fn start_at(&self, uri: &str, ttl: &str) -> Host {
        let print_ops = plugin("print_ops");
        let from = ["--uri", uri, "--source-oplog", &self.writer.oplog, "--start", "oldest"];
        let named = ["--plugin", &print_ops, "--name", &self.pipeline, "--lease-ttl", ttl];
        Host::start(&[&from[..], &named].concat())
    }

    /// One host that works, and one that stands by.
    fn start_both(&self) -> (Host, Host) {
        let mut first = self.start();
        first.wait_for("source.tail", &[]);
        let mut second = self.start();
        second.wait_for("lease.standby", &[]);
        (first, second)
    }

    async fn checkpoint(&self) -> Checkpoint {
        let key = CheckpointKey { pipeline: self.pipeline.clone(), plugin: "print_ops".into(), worker: None };
        let store = Store::open(&StoreKind::Mongodb, &self.writer.own.client).await.unwrap();
        store.checkpoint(&key).await.unwrap().unwrap()
    }
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "how long it took, for who runs it with --nocapture")]
async fn who_is_killed_is_followed_by_the_other() {
    let mut scene = Scene::new().await;
    let (mut first, mut second) = scene.start_both();
    scene.writer.write(100).await;
    first.wait_until("the last op", |line| scene.writer.is_last(line));
    first.signal(Signal::SIGKILL);
    let died = Instant::now();
    scene.writer.write(100).await;
    second.wait_until("the last op", |line| scene.writer.is_last(line));
    println!(
        "the other had handled all {} ms after the death, with a lease of 4 s",
        died.elapsed().as_millis()
    );
    second.signal(Signal::SIGTERM);
    let mut ledger = Ledger::default();
    ledger.add(&first.all().1, 0);
    ledger.add(&second.all().1, 0);
    assert_eq!(ledger.seen, scene.writer.written);
    assert_eq!(scene.checkpoint().await.epoch, 2);
}

#[tokio::test]
async fn who_is_killed_and_started_again_on_the_same_machine_waits_for_nobody() {
    let mut scene = Scene::new().await;
    let mut first = scene.start_with("1h");
    scene.writer.write(10).await;
    first.wait_until("the last op", |line| scene.writer.is_last(line));
    // One that stands by there takes over immediately, too.
    let mut second = scene.start_with("1h");
    second.wait_for("lease.standby", &[("ttl_ms", "3600000")]);
    first.signal(Signal::SIGKILL);
    assert_eq!(first.ended().0, None);
    second.wait_for("lease.take_over", &[]);
    scene.writer.write(10).await;
    second.wait_until("the last op", |line| scene.writer.is_last(line));
    second.signal(Signal::SIGKILL);
    assert_eq!(second.ended().0, None);
    let mut third = scene.start_with("1h");
    third.wait_for("lease.take_over", &[]);
    scene.writer.write(10).await;
    third.wait_until("the last op", |line| scene.writer.is_last(line));
    assert_eq!(third.stop().0, Some(0));
    assert_eq!(scene.checkpoint().await.epoch, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_host_that_lost_its_lease_with_its_server_does_not_wait_for_itself() {
    let mut scene = Scene::new().await;
    let proxy = Proxy::start(scene.server.uri()).await;
    let mut host = scene.start_at(proxy.uri(), "4s");
    scene.writer.write(10).await;
    host.wait_until("the last op", |line| scene.writer.is_last(line));
    proxy.cut();
    host.wait_for("lease.lose", &[]);
    host.wait_for("lease.take_failed", &[]);
    proxy.resume();
    host.wait_for("lease.regain", &[]);
    scene.writer.write(10).await;
    host.wait_until("the last op", |line| scene.writer.is_last(line));
    host.signal(Signal::SIGTERM);
    let (code, log) = host.all();
    assert_eq!(code, Some(0));
    assert_eq!(log::count(&log, "lease.standby", &[]), 0, "{log:?}");
    // A machine that stalls may lose it more than once.
    let taken = log::count(&log, "lease.regain", &[]);
    assert_eq!(scene.checkpoint().await.epoch, 1 + u64::try_from(taken).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lost_its_lease_before_its_first_checkpoint_goes_on_where_it_began() {
    let mut scene = Scene::new().await;
    scene.writer.write(1).await;
    let proxy = Proxy::start(scene.server.uri()).await;
    let from = ["--uri", proxy.uri(), "--source-oplog", &scene.writer.oplog, "--name", &scene.pipeline];
    let mut host =
        Host::tailing(&[&from[..], &["--plugin", &plugin("print_ops"), "--lease-ttl", "4s"]].concat());
    // As if it could not be stored.
    let checkpoints = scene.writer.own.client.database("gtm").collection::<bson::Document>("checkpoints");
    let removed = checkpoints.delete_one(doc! { "_id.pipeline": &scene.pipeline }).await.unwrap();
    assert_eq!(removed.deleted_count, 1, "it is stored before anything is read");
    proxy.cut();
    host.wait_for("lease.lose", &[]);
    scene.writer.write(1).await;
    proxy.resume();
    host.wait_until("the op that came meanwhile", |line| scene.writer.is_last(line));
    assert_eq!(host.stop().0, Some(0));
}

#[tokio::test]
async fn who_sleeps_past_its_lease_works_no_more_and_moves_no_checkpoint_back() {
    let mut scene = Scene::new().await;
    let (mut first, mut second) = scene.start_both();
    scene.writer.write(50).await;
    first.wait_until("the last op", |line| scene.writer.is_last(line));
    first.signal(Signal::SIGSTOP);
    scene.writer.write(50).await;
    second.wait_until("the last op", |line| scene.writer.is_last(line));
    first.signal(Signal::SIGCONT);
    first.wait_for("lease.lose", &[]);
    first.wait_for("lease.standby", &[]);
    scene.writer.write(50).await;
    second.wait_until("the last op", |line| scene.writer.is_last(line));
    // The one that stands by does not see it, however long it waits.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (code, late) = first.stop();
    assert_eq!(code, Some(0));
    assert!(!late.iter().any(|line| line["target"] == "plugin"), "{late:?}");
    second.signal(Signal::SIGTERM);
    let (_, lines) = second.all();
    assert_eq!(log::count(&lines, "lease.lose", &[]), 0, "{lines:?}");
    let checkpoint = scene.checkpoint().await;
    assert_eq!(checkpoint.epoch, 2);
    assert_eq!(checkpoint.position.timestamp().unwrap().increment, scene.writer.increment);
}

#[tokio::test]
async fn a_lease_that_was_removed_by_hand_comes_past_the_epochs_before_it() {
    let mut scene = Scene::new().await;
    let mut host = scene.start();
    scene.writer.write(10).await;
    host.wait_until("the last op", |line| scene.writer.is_last(line));
    assert_eq!(host.stop().0, Some(0));
    let gtm = scene.writer.own.client.database("gtm");
    let leases = gtm.collection::<bson::Document>("leases");
    let removed = leases.delete_one(doc! { "_id.pipeline": &scene.pipeline }).await.unwrap();
    assert_eq!(removed.deleted_count, 1);
    let before = doc! { "_id.pipeline": &scene.pipeline };
    let epoch = doc! { "$set": { "epoch": 3_i64 } };
    let changed = gtm.collection::<bson::Document>("checkpoints").update_one(before, epoch).await.unwrap();
    assert_eq!(changed.modified_count, 1);
    let host = scene.start();
    scene.writer.write(10).await;
    eventually("the checkpoint is at the last op", async || {
        scene.checkpoint().await.position.timestamp().unwrap().increment == scene.writer.increment
    })
    .await;
    assert_eq!(scene.checkpoint().await.epoch, 3);
    assert_eq!(host.stop().0, Some(0));
}
