//! Plugins whose instances take the places that all plugins share.

use std::pin::pin;
use std::time::Duration;

use bson::doc;
use gtm_host::delivery::{BreakerPolicy, DeliverySettings, Policy, Replayed, RetryPolicy, replay};
use gtm_host::plugin::{Compilation, Engine, Filter, Handler, Limits, Plugin, PluginSetup, Services, Slot};
use gtm_host::store::Store;
use tokio_util::sync::CancellationToken;

use super::defects::inserts;
use super::filter_batch::ops;
use super::{GOOD, Parts, Workshop};
use crate::support::plugin;

fn engine(workshop: &Workshop, places: usize) -> Engine {
    Engine::sized(&workshop.path("cache"), Compilation::Here, places).unwrap()
}

fn slot(engine: &Engine, name: &str, path: &str) -> Slot {
    let setup = PluginSetup::new(name, Limits::default());
    Slot::new(Plugin::load(engine, path.as_ref(), &setup).unwrap(), Services::default())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_needs_more_than_there_is_does_not_run_and_the_other_handles_all() {
    let workshop = Workshop::new();
    let engine = engine(&workshop, 40);
    let normal = slot(&engine, "normal", &plugin("trivial"));
    let hungry = slot(&engine, "hungry", &workshop.make("hungry", &GOOD.wat()));
    normal.reserve(4).unwrap();
    let said = hungry.reserve(100).unwrap_err().to_string();
    assert!(
        said.starts_with("its instances need ") && said.contains(" of the host's 40 are left. help: "),
        "{said}"
    );
    // Those that it has in spite of that wait, and take no place of the other's for long.
    let op = ops(1).remove(0);
    let mut handlers: Vec<_> = (0..20).map(|_| Handler::new(&hungry)).collect();
    for handler in &mut handlers {
        assert!(handler.call(&op, 1).await.unwrap().is_ok());
    }
    let documents: Vec<_> = (0..200).map(|n| doc! { "_id": n }).collect();
    let (_directory, mut files) = inserts(&documents);
    let policy = Policy {
        delivery: DeliverySettings::default(),
        retry: RetryPolicy { max_attempts: 1, ..RetryPolicy::default() },
        breaker: BreakerPolicy::default(),
    };
    let (store, shutdown) = (Store::none(), CancellationToken::new());
    let plugins = vec![(normal, policy)];
    let replayed = replay(&mut files, plugins, &store, "places", &shutdown, Duration::ZERO, |_| {}).await;
    let Replayed { plugins, worked, .. } = replayed;
    worked.unwrap();
    let (_, summary) = &plugins[0];
    assert_eq!((summary.handled, summary.failed), (200, 0));
}

#[tokio::test]
async fn an_instance_without_room_waits_and_no_call_fails() {
    let workshop = Workshop::new();
    let path = workshop.make("p", &GOOD.wat());
    // As many as one instance takes.
    let loads = |places: &usize| {
        let setup = PluginSetup::new("p", Limits::default());
        Plugin::load(&engine(&workshop, *places), path.as_ref(), &setup).is_ok()
    };
    let engine = engine(&workshop, (1..10).find(loads).unwrap());
    let (one, other) = (slot(&engine, "one", &path), slot(&engine, "other", &path));
    let op = ops(1).remove(0);
    let mut first = Handler::new(&one);
    assert!(first.call(&op, 1).await.unwrap().is_ok());
    let (mut handler, mut filter) = (Handler::new(&other), Filter::new(&other));
    {
        // It would have failed by then, as it is tried a few times.
        let mut handled = pin!(handler.call(&op, 1));
        assert!(tokio::time::timeout(Duration::from_millis(500), &mut handled).await.is_err());
        drop(first);
        assert!(handled.await.unwrap().is_ok());
    }
    let mut asked = pin!(filter.call(&op, 1));
    assert!(tokio::time::timeout(Duration::from_millis(500), &mut asked).await.is_err());
    drop(handler);
    assert_eq!(asked.await, Ok(true));
    let usage = other.usage();
    assert_eq!((usage.traps.trapped, usage.instance_restarts), (0, 0));
}

#[test]
fn a_version_that_needs_more_than_there_is_leaves_the_one_before_it_current() {
    let workshop = Workshop::new();
    let (small, large) = (
        workshop.make("small", &GOOD.wat()),
        workshop.make("large", &Parts { fields: "(table 10 funcref)", ..GOOD }.wat()),
    );
    for (places, said) in
        [(4, " has no room in this host: its instances need 2 "), (5, "its instances need 6 ")]
    {
        let slot = slot(&engine(&workshop, places), "p", &small);
        slot.reserve(1).unwrap();
        let before = slot.current().version().to_owned();
        let refused = match slot.current().successor(large.as_ref()) {
            Ok(successor) => slot.swap(successor).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(refused.contains(said), "{refused}");
        assert_eq!(slot.current().version(), before);
    }
}
