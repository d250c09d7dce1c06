//! Two hosts with the same name: one works, the other stands by.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bson::oid::ObjectId;
use bson::{Document, doc};
use gtm_store::{Lease, LeaseError, LeaseHolder, LeaseKey, LeaseWait};
use gtm_test_support::Server;
use mongodb::{Client, Collection};

use crate::proxy::Proxy;

const TTL: Duration = Duration::from_secs(6);
/// For what is to come at once, or to come at last, on a machine that is busy.
const SOON: Duration = crate::support::LIMIT;

struct Scene {
    server: Server,
    client: Client,
    key: LeaseKey,
}

impl Scene {
    async fn new() -> Self {
        let server = Server::ready().unwrap();
        let client = Client::with_uri_str(server.uri()).await.unwrap();
        let key = LeaseKey { pipeline: format!("test-{}", ObjectId::new()), worker: Some("Tom".to_owned()) };
        Self { server, client, key }
    }

    fn id(&self) -> Document {
        doc! { "_id": { "pipeline": &self.key.pipeline, "worker": "Tom" } }
    }

    fn leases(&self) -> Collection<Document> {
        self.client.database("gtm").collection("leases")
    }

    async fn stored(&self) -> Document {
        self.leases().find_one(self.id()).await.unwrap().unwrap()
    }

    async fn acquire(&self) -> Lease {
        acquire(&self.client, &self.key).await.unwrap()
    }

    /// A contender, and word that it waits.
    fn contender(&self) -> (tokio::task::JoinHandle<Lease>, tokio::sync::oneshot::Receiver<String>) {
        let (client, key) = (self.client.clone(), self.key.clone());
        let (sender, waits) = tokio::sync::oneshot::channel();
        let mut sender = Some(sender);
        let task = tokio::spawn(async move {
            let on_wait = |waiting: LeaseWait<'_>| {
                assert_eq!(waiting.at_most, TTL);
                drop(sender.take().map(|sender| sender.send(waiting.holder.to_owned())));
            };
            Lease::acquire(&client, &key, TTL, &LeaseHolder::new(), on_wait).await.unwrap()
        });
        (task, waits)
    }
}

async fn acquire(client: &Client, key: &LeaseKey) -> Result<Lease, LeaseError> {
    soon(Lease::acquire(client, key, TTL, &LeaseHolder::new(), |_| {})).await
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, work).await.expect("nothing comes of it")
}

#[tokio::test]
async fn who_dies_is_followed_after_the_time_to_live() {
    let scene = Scene::new().await;
    let first = scene.acquire().await;
    assert_eq!(first.epoch(), 1);
    let stored = scene.stored().await;
    let (contender, waits) = scene.contender();
    assert_eq!(soon(waits).await.unwrap(), stored.get_str("holder").unwrap());
    // It is renewed while it is held, for longer than it would live.
    soon(async {
        while scene.stored().await.get_i64("renewals").unwrap() < 6 {
            tokio::time::sleep(TTL / 8).await;
        }
    })
    .await;
    assert!(!contender.is_finished());

    let died = Instant::now();
    drop(first);
    let second = soon(contender).await.unwrap();
    assert_eq!(second.epoch(), 2);
    // A holder whose last renewal is three quarters of the time to live old counts the lease as lost.
    assert!(died.elapsed() >= TTL / 4 - Duration::from_millis(20), "{:?}", died.elapsed());
}

#[tokio::test]
async fn a_lease_that_is_given_up_is_taken_at_once() {
    let scene = Scene::new().await;
    let client = &scene.client;
    // One that would live for an hour.
    let long = Duration::from_secs(3600);
    let mut first =
        soon(Lease::acquire(client, &scene.key, long, &LeaseHolder::new(), |_| {})).await.unwrap();
    let waiting = Arc::new(tokio::sync::Notify::new());
    let second = soon(async {
        let other = LeaseHolder::new();
        let next = Lease::acquire(client, &scene.key, long, &other, |_| waiting.notify_one());
        let release = async {
            waiting.notified().await;
            assert!(tokio::time::timeout(Duration::ZERO, first.lost()).await.is_err());
            first.release().await;
        };
        tokio::join!(next, release).0.unwrap()
    });
    let second = second.await;
    assert_eq!(second.epoch(), 2);
    second.release().await;
    assert_eq!(scene.acquire().await.epoch(), 3);
    assert!(!scene.stored().await.get_bool("released").unwrap());
}

#[tokio::test]
async fn what_a_holder_had_before_it_takes_again_immediately() {
    let scene = Scene::new().await;
    let holder = LeaseHolder::new();
    let long = Duration::from_secs(3600);
    let acquire = || soon(Lease::acquire(&scene.client, &scene.key, long, &holder, |_| panic!("it waits")));
    drop(acquire().await.unwrap());
    // By a new epoch: what may still be under way under the old one is fenced off.
    assert_eq!(acquire().await.unwrap().epoch(), 2);
}

#[tokio::test]
async fn a_lone_host_has_its_lease_again_when_its_server_is_back() {
    let scene = Scene::new().await;
    let proxy = Proxy::start(scene.server.uri()).await;
    let client = Client::with_uri_str(proxy.uri()).await.unwrap();
    let holder = LeaseHolder::new();
    let mut lease = soon(Lease::acquire(&client, &scene.key, TTL, &holder, |_| {})).await.unwrap();
    proxy.cut();
    let error = soon(lease.lost()).await;
    assert!(matches!(error, LeaseError::Expired { .. }), "{error}");
    drop(lease);
    let again = Lease::acquire(&client, &scene.key, TTL, &holder, |_| panic!("it waits for itself"));
    let mut again = std::pin::pin!(again);
    assert!(tokio::time::timeout(TTL, &mut again).await.is_err(), "no server answers");
    proxy.resume();
    assert_eq!(soon(again).await.unwrap().epoch(), 2);
}

#[tokio::test]
async fn a_holder_that_lives_on_this_machine_is_waited_for() {
    let scene = Scene::new().await;
    // This process, whose lease is renewed no more.
    drop(scene.acquire().await);
    let process = scene.stored().await.get_document("process").unwrap().clone();
    assert_eq!(process.get_i32("pid").unwrap().unsigned_abs(), std::process::id());
    let (contender, waits) = scene.contender();
    soon(waits).await.unwrap();
    assert_eq!(soon(contender).await.unwrap().epoch(), 2);
    // One that has ended is not waited for, but only where it is the holder's.
    let long = Duration::from_secs(3600);
    let ended = doc! { "$set": { "process.started": 1_i64 } };
    scene.leases().update_one(scene.id(), ended).await.unwrap();
    let holder = LeaseHolder::new();
    let lease = soon(Lease::acquire(&scene.client, &scene.key, long, &holder, |_| {})).await.unwrap();
    assert_eq!(lease.epoch(), 3);
    let older_host = doc! { "$set": { "holder": "x", "epoch": 4_i64, "process.started": 1_i64 } };
    scene.leases().update_one(scene.id(), older_host).await.unwrap();
    let (contender, waits) = scene.contender();
    assert_eq!(soon(waits).await.unwrap(), "x");
    assert_eq!(soon(contender).await.unwrap().epoch(), 5);
}

#[tokio::test]
async fn a_holder_that_is_cut_off_counts_the_lease_as_lost_before_another_has_it() {
    for stalled in [true, false] {
        let scene = Scene::new().await;
        let proxy = Proxy::start(scene.server.uri()).await;
        let far = Client::with_uri_str(proxy.uri()).await.unwrap();
        let mut first = acquire(&far, &scene.key).await.unwrap();
        let (contender, waits) = scene.contender();
        soon(waits).await.unwrap();
        if stalled {
            proxy.stall()
        } else {
            proxy.cut()
        }
        let lost = tokio::spawn(async move { (first.lost().await, Instant::now()) });
        let second = soon(contender).await.unwrap();
        let taken = Instant::now();
        let (error, lost) = soon(lost).await.unwrap();
        assert!(matches!(error, LeaseError::Expired { .. }), "{error}");
        assert!(lost < taken, "stalled: {stalled}");
        assert_eq!(second.epoch(), 2);
        // What comes through late changes nothing.
        proxy.resume();
        tokio::time::sleep(TTL / 4).await;
        assert_eq!(scene.stored().await.get_i64("epoch").unwrap(), 2);
    }
}

#[tokio::test]
async fn a_holder_whose_lease_was_taken_while_it_slept_is_told_by_whom() {
    let scene = Scene::new().await;
    let mut first = scene.acquire().await;
    let taken = doc! { "$set": { "holder": "another", "epoch": 2_i64, "renewals": 0_i64 } };
    scene.leases().update_one(scene.id(), taken).await.unwrap();
    let error = soon(first.lost()).await;
    assert!(matches!(&error, LeaseError::Taken { holder, .. } if holder == "another"), "{error}");
    // And again, as nothing mends it. It cannot give up what is another's.
    assert_eq!(soon(first.lost()).await, error);
    first.release().await;
    let stored = scene.stored().await;
    assert_eq!(stored.get_i64("renewals").unwrap(), 0);
    assert!(!stored.get_bool("released").unwrap());

    let mut second = scene.acquire().await;
    scene.leases().delete_one(scene.id()).await.unwrap();
    let error = soon(second.lost()).await;
    assert!(matches!(error, LeaseError::Removed { .. }), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_lost_does_not_lose_the_lease() {
    tokio::join!(lose_answers("true"), lose_answers("false"));
}

async fn lose_answers(retries: &str) {
    let scene = Scene::new().await;
    let proxy = Proxy::start(scene.server.uri()).await;
    let sign = if proxy.uri().contains('?') { '&' } else { '?' };
    let uri = format!("{}{sign}retryWrites={retries}", proxy.uri());
    let client = Client::with_uri_str(uri).await.unwrap();
    // Of the one that makes it, …
    proxy.lose_answer_to("insert");
    let first = acquire(&client, &scene.key).await.unwrap();
    assert!(!proxy.is_to_lose());
    assert_eq!(first.epoch(), 1);
    first.release().await;
    // … of the one that takes it, …
    proxy.lose_answer_to("update");
    let second = acquire(&client, &scene.key).await.unwrap();
    assert!(!proxy.is_to_lose());
    assert_eq!((second.epoch(), scene.stored().await.get_i64("epoch").unwrap()), (2, 2));
    second.release().await;
    // … and of one that renews it. The driver looks for a server that left it each half second only.
    let ttl = TTL * 4;
    let mut third =
        soon(Lease::acquire(&client, &scene.key, ttl, &LeaseHolder::new(), |_| {})).await.unwrap();
    proxy.lose_answer_to("update");
    assert!(tokio::time::timeout(ttl, third.lost()).await.is_err(), "retryWrites={retries}");
    assert!(!proxy.is_to_lose());
}

#[tokio::test]
async fn a_slow_network_loses_no_lease() {
    let scene = Scene::new().await;
    let proxy = Proxy::start(scene.server.uri()).await;
    let far = Client::with_uri_str(proxy.uri()).await.unwrap();
    let mut lease = acquire(&far, &scene.key).await.unwrap();
    proxy.delay(TTL / 20);
    assert!(tokio::time::timeout(TTL * 2, lease.lost()).await.is_err());
    soon(lease.release()).await;
    assert!(scene.stored().await.get_bool("released").unwrap());
}

#[tokio::test]
async fn never_two_at_a_time() {
    let scene = Scene::new().await;
    let held = Arc::new(Mutex::new(Vec::new()));
    let contenders = (0..8).map(|n: u32| {
        let (uri, key, held) = (scene.server.uri().to_owned(), scene.key.clone(), held.clone());
        tokio::spawn(async move {
            let client = Client::with_uri_str(uri).await.unwrap();
            let lease = Lease::acquire(&client, &key, TTL, &LeaseHolder::new(), |_| {}).await.unwrap();
            let (epoch, since) = (lease.epoch(), Instant::now());
            tokio::time::sleep(Duration::from_millis(50)).await;
            held.lock().unwrap().push((epoch, since, Instant::now()));
            // Some die, the others end well.
            if n.is_multiple_of(4) { drop(lease) } else { lease.release().await }
        })
    });
    for contender in contenders.collect::<Vec<_>>() {
        soon(contender).await.unwrap();
    }
    let mut held = std::mem::take(&mut *held.lock().unwrap());
    held.sort_unstable();
    assert_eq!(held.iter().map(|(epoch, ..)| *epoch).collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>());
    for (one, next) in held.iter().zip(&held[1..]) {
        assert!(one.2 <= next.1, "epochs {} and {} overlap", one.0, next.0);
    }
}

#[tokio::test]
async fn a_lease_that_is_not_ours_to_read_is_left_alone() {
    let scene = Scene::new().await;
    let good = doc! { "version": 1, "holder": "x", "epoch": 1_i64, "renewals": 0_i64, "released": true };
    let with = |name: &str, value: bson::Bson| {
        let mut lease = scene.id();
        lease.extend(good.clone());
        lease.insert(name, value);
        lease
    };
    for (name, value, says) in [
        ("version", 2.into(), "is of version 2, and this host knows version 1"),
        ("epoch", "1".into(), "its field epoch is missing or not valid"),
        ("epoch", 0.into(), "its field epoch"),
        ("epoch", i64::MAX.into(), "its epoch is the last possible"),
        ("renewals", 1.5.into(), "its field renewals"),
        ("released", bson::Bson::Null, "its field released"),
        ("holder", 1.into(), "its field holder"),
        ("version", "one".into(), "its field version"),
    ] {
        let lease = with(name, value);
        scene.leases().replace_one(scene.id(), &lease).upsert(true).await.unwrap();
        let error = acquire(&scene.client, &scene.key).await.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        assert_eq!(scene.stored().await, lease);
    }
}

#[tokio::test]
async fn without_the_right_to_keep_leases_it_says_so_and_stumbling_is_waited_for() {
    let scene = Scene { server: Server::start(Default::default()).unwrap(), ..Scene::new().await };
    let client = Client::with_uri_str(scene.server.uri()).await.unwrap();
    let fail = async |command: &str, times: i32, code: i32| {
        let data = doc! { "failCommands": [command], "errorCode": code };
        let fail = doc! { "configureFailPoint": "failCommand", "mode": { "times": times }, "data": data };
        client.database("admin").run_command(fail).await.unwrap();
    };
    for command in ["find", "insert"] {
        fail(command, 1, 13).await;
        let error = acquire(&client, &scene.key).await.unwrap_err();
        assert!(matches!(error, LeaseError::Unauthorized { .. }), "{error}");
        assert!(error.to_string().starts_with("this user may not keep the lease in gtm.leases: "), "{error}");
    }
    // ReadConcernMajorityNotAvailableYet and ExceededTimeLimit. The driver itself tries twice.
    fail("find", 3, 134).await;
    let mut lease = acquire(&client, &scene.key).await.unwrap();
    fail("update", 3, 262).await;
    assert!(tokio::time::timeout(TTL * 2, lease.lost()).await.is_err());
}
