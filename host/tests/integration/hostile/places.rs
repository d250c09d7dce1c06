//! Plugins whose instances take the places that all plugins share.

use std::pin::pin;
use std::time::Duration;

use bson::doc;
use gtm_delivery::{BreakerPolicy, DeliveryPolicy, DeliverySettings, Replayed, RetryPolicy, replay};
use gtm_runtime::{
    Compilation, Engine, Filter, Handler, Limits, Plugin, PluginHandle, PluginSetup, Services,
};
use gtm_store::Store;
use tokio_util::sync::CancellationToken;

use super::defects::inserts;
use super::filter_batch::ops;
use super::{GOOD, Parts, Workshop};
use crate::support::{LIMIT, plugin};

fn engine(workshop: &Workshop, places: usize) -> Engine {
    Engine::sized(&workshop.path("cache"), Compilation::Here, places).unwrap()
}

fn slot(engine: &Engine, name: &str, path: &str) -> PluginHandle {
    let setup = PluginSetup::new(name, Limits::default());
    PluginHandle::new(Plugin::load(engine, path.as_ref(), &setup).unwrap(), Services::default())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_takes_all_that_it_can_leaves_the_other_its_own() {
    let workshop = Workshop::new();
    let engine = engine(&workshop, 40);
    let normal = slot(&engine, "normal", &plugin("trivial"));
    let hungry = slot(&engine, "hungry", &workshop.make("hungry", &GOOD.wat()));
    let lanes = DeliverySettings::default().active_lanes();
    normal.reserve(lanes).unwrap();
    let said = hungry.reserve(100).unwrap_err().to_string();
    assert!(
        said.starts_with("its instances need ") && said.contains(" of the host's 40 are left. help: "),
        "{said}"
    );
    // It has one to filter, and two for each lane.
    let most = (1..100).rev().find(|lanes| hungry.reserve(*lanes).is_ok()).unwrap();
    let op = ops(1).remove(0);
    let mut handlers: Vec<_> = (0..1 + 2 * most).map(|_| Handler::new(&hungry)).collect();
    for handler in &mut handlers {
        assert!(handler.call(&op, 1).await.unwrap().is_ok());
    }
    let third = slot(&engine, "third", &workshop.make("third", &GOOD.wat()));
    assert!(third.reserve(1).is_err());
    let documents: Vec<_> = (0..200).map(|n| doc! { "_id": n }).collect();
    let (_directory, mut files) = inserts(&documents);
    let policy = DeliveryPolicy {
        delivery: DeliverySettings::default(),
        retry: RetryPolicy { max_attempts: 1, ..RetryPolicy::default() },
        breaker: BreakerPolicy::default(),
    };
    let (store, shutdown) = (Store::none(), CancellationToken::new());
    let plugins = vec![(normal, policy)];
    let replayed = replay(&mut files, plugins, &store, "places", &shutdown, Duration::ZERO, |_| {});
    let Replayed { plugins, worked, .. } = tokio::time::timeout(LIMIT, replayed).await.unwrap();
    worked.unwrap();
    let (_, summary) = &plugins[0];
    assert_eq!((summary.handled, summary.failed), (200, 0));
    drop(handlers);
}

#[tokio::test]
async fn an_instance_without_room_waits_and_no_call_fails() {
    let workshop = Workshop::new();
    let path = workshop.make("p", &GOOD.wat());
    // As many as one instance takes.
    let engine = engine(&workshop, 1);
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
    let slot = slot(&engine(&workshop, 5), "p", &small);
    slot.reserve(1).unwrap();
    let before = slot.current().version().to_owned();
    let refused = slot.swap(slot.current().successor(large.as_ref()).unwrap()).unwrap_err().to_string();
    assert!(refused.starts_with("its instances need 6 "), "{refused}");
    assert_eq!(slot.current().version(), before);
}

#[test]
fn a_version_of_the_same_size_takes_over_where_all_places_are_reserved() {
    let workshop = Workshop::new();
    let (one, other) = (
        workshop.make("one", &GOOD.wat()),
        workshop.make("other", &Parts { fields: "(global $same i32 (i32.const 1))", ..GOOD }.wat()),
    );
    let slot = slot(&engine(&workshop, 3), "p", &one);
    slot.reserve(1).unwrap();
    slot.swap(slot.current().successor(other.as_ref()).unwrap()).unwrap();
}

#[test]
fn a_smaller_version_on_trial_keeps_the_places_of_the_one_before_it() {
    let workshop = Workshop::new();
    let (small, large) = (
        workshop.make("small", &GOOD.wat()),
        workshop.make("large", &Parts { fields: "(table 10 funcref)", ..GOOD }.wat()),
    );
    let engine = engine(&workshop, 7);
    let (p, other) = (slot(&engine, "p", &large), slot(&engine, "other", &small));
    p.reserve(1).unwrap();
    p.swap(p.current().successor(small.as_ref()).unwrap()).unwrap();
    // As where its delivery begins again.
    p.reserve(1).unwrap();
    let said = other.reserve(1).unwrap_err().to_string();
    assert!(said.starts_with("its instances need 3 places for memories and tables, and 1 "), "{said}");
}
