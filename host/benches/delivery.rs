//! Measures the processor time that delivery adds to reading an op and calling a plugin, and how many ops a trivial plugin handles per
//! second.
//!
//! The baseline is a bare loop over the same file in the same run, which calls `filter` and then `handle`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark panics if it fails, and prints its results"
)]

mod entries;

use std::path::Path;
use std::time::{Duration, Instant};

use gtm_delivery::{BreakerPolicy, DeliveryPolicy, DeliverySettings, RetryPolicy, replay};
use gtm_oplog::Selection;
use gtm_runtime::{Engine, Filter, Handler, Limits, Plugin, PluginHandle, PluginSetup, Services};
use gtm_source::{FileOptions, FileSource};
use gtm_store::Store;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

const OPS: u32 = 500_000;
const ROUNDS: usize = 5;
/// The number of threads: one per core of the machine that measures.
const THREADS: usize = 2;

fn main() {
    // `cargo test --all-targets` runs benchmarks too; a long one is useless there.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let engine = Engine::new(&gtm_test_support::target_dir().join("testbed/cache")).unwrap();
    let path = gtm_test_support::plugin("trivial");
    let plugin = Plugin::load(&engine, &path, &PluginSetup::new("trivial", Limits::default())).unwrap();
    let plugin = PluginHandle::new(plugin, Services::default());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, op, handled) in [("accepted by the filter", "i", OPS), ("unwanted by the filter", "u", 0)] {
        let file = folder.path().join(op);
        entries::write(&file, op, OPS);
        let (mut bare, mut delivered, mut rates) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            bare.push(processor_time(|| call(&file, &plugin, &runtime)));
            let started = Instant::now();
            delivered.push(processor_time(|| deliver(&file, &plugin, &runtime, handled)));
            rates.push(f64::from(OPS) / started.elapsed().as_secs_f64());
        }
        let (bare, delivered) = (entries::median(bare), entries::median(delivered));
        println!(
            "an op {name}: read and called {bare:.2} µs, delivered {delivered:.2} µs: {:.2} µs added, ratio {:.2}; {:.0} ops/s",
            delivered - bare,
            delivered / bare,
            entries::median(rates)
        );
    }
}

/// Returns the processor time of this process while it works, in microseconds per op.
fn processor_time(work: impl FnOnce()) -> f64 {
    let used = || {
        let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
        (usage.user_time() + usage.system_time()).num_microseconds()
    };
    let before = used();
    work();
    Duration::from_micros(u64::try_from(used() - before).unwrap()).as_secs_f64() * 1e6 / f64::from(OPS)
}

fn open(file: &Path) -> FileSource {
    FileSource::open(vec![file.to_owned()], Selection::everything(), FileOptions::default()).unwrap()
}

/// Reads the file and calls the plugin for one op after another.
fn call(file: &Path, plugin: &PluginHandle, runtime: &Runtime) {
    let (mut files, mut filter, mut handler) = (open(file), Filter::new(plugin), Handler::new(plugin));
    runtime.block_on(async {
        while let Some(batch) = files.next().await.unwrap() {
            for op in batch.ops {
                if filter.call(&op, 1).await.unwrap() {
                    handler.call(&op, 1).await.unwrap().unwrap();
                }
            }
        }
    });
}

/// Delivers the file with a lane per thread.
fn deliver(file: &Path, plugin: &PluginHandle, runtime: &Runtime, handled: u32) {
    let policy = DeliveryPolicy {
        delivery: DeliverySettings { lanes: THREADS, ..Default::default() },
        retry: RetryPolicy::default(),
        breaker: BreakerPolicy::default(),
    };
    let plugins = vec![(plugin.clone(), policy)];
    let (mut files, store, shutdown) = (open(file), Store::none(), CancellationToken::new());
    let replayed =
        runtime.block_on(replay(&mut files, plugins, &store, "bench", &shutdown, Duration::ZERO, |_| {}));
    assert!(replayed.plugins.iter().all(|(_, summary)| summary.handled == u64::from(handled)));
}
