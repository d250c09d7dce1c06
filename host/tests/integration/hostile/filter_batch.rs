//! The export by which a plugin is asked of several ops at once, and what becomes of it where it does wrong.

use std::sync::Arc;
use std::time::Duration;

use gtm_oplog::{Namespace, Op, Origin, Timestamp};
use gtm_runtime::{Engine, Filter, Limits, Plugin, PluginHandle, PluginSetup, Services};

use super::{GOOD, Parts, Workshop};
use crate::support::scaled;

/// Says yes to so many ops, of which there are as many as the second parameter says.
fn yes_to(count: &str) -> String {
    format!(
        "(func (export \"filter-batch\") (param i32 i32) (result i32)
            (memory.fill (i32.const 1024) (i32.const 1) (local.get 1))
            (i32.store (i32.const 64) (i32.const 1024))
            (i32.store (i32.const 68) {count})
            (global.set $free (i32.const 4096))
            (i32.const 64))"
    )
}

pub fn ops(count: u32) -> Vec<Arc<Op>> {
    let namespace = Arc::new(Namespace { database: "a".into(), collection: "b".into() });
    let op = |increment| {
        let timestamp = Timestamp { time: 1, increment };
        let document = bson::rawdoc! { "_id": i64::from(increment) }.into_bytes();
        Arc::new(Op::from_document(Origin::Oplog, timestamp, Arc::clone(&namespace), None, document.into()))
    };
    (0..count).map(op).collect()
}

/// What the plugin says of 100 ops, the first of them up to the first that it fails on: how many are wanted, and whether it failed.
async fn wanted(name: &str, batch: &str, filter: &str) -> (usize, bool) {
    let workshop = Workshop::new();
    let path = workshop.make(name, &Parts { fields: batch, filter, ..GOOD }.wat());
    let engine = Engine::new(&gtm_test_support::target_dir().join("testbed/cache")).unwrap();
    let limits = Limits { filter_timeout: Duration::from_millis(scaled(100)), ..Limits::default() };
    let setup = PluginSetup::new(name, limits);
    let plugin = Plugin::load(&engine, path.as_ref(), &setup).unwrap();
    let answers = Filter::new(&PluginHandle::new(plugin, Services::default())).call_all(&ops(100)).await;
    let wanted = answers.iter().filter(|answer| **answer == Ok(true)).count();
    (wanted, answers.iter().any(Result::is_err))
}

#[tokio::test]
async fn several_are_asked_of_at_once() {
    // So that nothing could be wanted otherwise.
    assert_eq!(wanted("at_once", &yes_to("(local.get 1)"), "unreachable").await, (100, false));
}

#[tokio::test]
async fn where_it_fails_each_is_asked_of_alone() {
    for (name, batch) in [
        ("too_few", yes_to("(i32.sub (local.get 1) (i32.const 1))")),
        ("too_many", yes_to("(i32.add (local.get 1) (i32.const 1))")),
        ("nowhere", yes_to("(i32.const -1)")),
        ("trap", "(func (export \"filter-batch\") (param i32 i32) (result i32) unreachable)".to_owned()),
        (
            "loop",
            "(func (export \"filter-batch\") (param i32 i32) (result i32) (loop (br 0)) (i32.const 0))"
                .to_owned(),
        ),
    ] {
        assert_eq!(wanted(name, &batch, GOOD.filter).await, (100, false), "{name}");
        assert_eq!(wanted(name, &batch, "unreachable").await, (0, true), "{name}");
    }
}

#[tokio::test]
async fn one_without_it_is_asked_of_each_alone() {
    assert_eq!(wanted("without", "", GOOD.filter).await, (100, false));
}

/// By itself, without what the worlds of the contract have beside it.
#[test]
fn a_module_may_have_each_optional_export() {
    let workshop = Workshop::new();
    let handle_batch = "(func (export \"handle-batch\") (param i32 i32) (result i32) (i64.store (i32.const 64) (i64.const 0)) (i32.const 64))";
    let filter_batch = yes_to("(local.get 1)");
    for (name, fields) in [
        ("handle_batch", handle_batch.to_owned()),
        ("filter_batch", filter_batch.clone()),
        ("both", format!("{handle_batch} {filter_batch}")),
    ] {
        let path = workshop.make(name, &Parts { fields: &fields, ..GOOD }.wat());
        let engine = Engine::new(&gtm_test_support::target_dir().join("testbed/cache")).unwrap();
        let plugin =
            Plugin::load(&engine, path.as_ref(), &PluginSetup::new(name, Limits::default())).unwrap();
        assert_eq!(plugin.handles_batches(), name != "filter_batch");
    }
}
