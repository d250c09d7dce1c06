//! A good component with one byte changed, again and again: an error or a plugin, and never a panic.

use std::sync::Arc;
use std::time::Duration;

use bson::doc;
use gtm_oplog::{Namespace, Op, OpPlace, OperationType, Origin, Timestamp};
use gtm_runtime::{Engine, Filter, Handler, Limits, Plugin, PluginHandle, PluginSetup, Services};

use super::{GOOD, Workshop};
use crate::support::{plugin, random};

/// Of the small one, which is compiled in a millisecond; and of one in Rust.
const SMALL: usize = 10_000;
const LARGE: usize = 100;

fn op() -> Op {
    let document = bson::serialize_to_vec(&doc! { "_id": 1, "text": "Grüße" }).unwrap();
    Op {
        timestamp: Timestamp { time: 1, increment: 1 },
        place: OpPlace::Index(0),
        origin: Origin::Replay,
        operation_type: OperationType::Insert,
        namespace: Arc::new(Namespace { database: "a".into(), collection: "b".into() }),
        wall_time: Some(1),
        document_key: Some(document.clone().into()),
        full_document: Some(document.into()),
        full_document_before_change: None,
        update_description: None,
        command: None,
        transaction: None,
    }
}

/// Gives back how many of the changed ones could be loaded, and how many of these handled the op.
fn mutate(good: &[u8], times: usize, seed: u64) -> (usize, usize) {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::new(&directory.path().join("cache")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limits = Limits {
        memory: 64 << 20,
        filter_timeout: Duration::from_millis(50),
        handle_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let (setup, op) = (PluginSetup::new("mutant", limits), op());
    let path = directory.path().join("mutant.wasm");
    let (mut state, mut loaded, mut handled) = (seed, 0, 0);
    for _ in 0..times {
        let mut bytes = good.to_vec();
        let at = random(&mut state) % bytes.len();
        bytes[at] ^= u8::try_from(1 + random(&mut state) % 255).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        let Ok(plugin) = Plugin::load(&engine, &path, &setup) else { continue };
        loaded += 1;
        let slot = PluginHandle::new(plugin, Services::default());
        let _ = runtime.block_on(Filter::new(&slot).call(&op, 1));
        handled += usize::from(matches!(runtime.block_on(Handler::new(&slot).call(&op, 1)), Ok(Ok(()))));
    }
    (loaded, handled)
}

#[test]
fn a_byte_that_is_another_is_an_error_or_none() {
    let workshop = Workshop::new();
    let small = std::fs::read(workshop.make("small", &GOOD.wat())).unwrap();
    let half = small.clone();
    // On both cores.
    let other = std::thread::spawn(move || mutate(&half, SMALL / 2, 1));
    let one = mutate(&small, SMALL / 2, 2);
    let other = other.join().unwrap();
    let (loaded, handled) = (one.0 + other.0, one.1 + other.1);
    // Both ends are reached: what cannot be loaded, and what works in spite of it.
    assert!((1..SMALL).contains(&loaded) && (1..=loaded).contains(&handled), "{loaded} {handled}");
}

#[test]
fn nor_in_a_plugin_in_rust() {
    let good = std::fs::read(plugin("trivial")).unwrap();
    let (loaded, _) = mutate(&good, LARGE, 3);
    assert!(loaded < LARGE, "{loaded}");
}
