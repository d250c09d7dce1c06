//! Measures the same plugin in each language: its size, the time of a start and of a call, and its memory.
//! `cargo xtask languages` builds them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark panics if it fails, and prints its results"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{RawDocumentBuf, doc};
use gtm_oplog::{Namespace, Op, Origin, Timestamp};
use gtm_runtime::{Engine, Filter, Handler, Limits, Plugin, PluginHandle, PluginSetup, Services};
use gtm_test_support::languages::LANGUAGES;
use serde_json::json;

const ROUNDS: usize = 7;
const CALLS: u32 = 5000;

struct Row {
    language: &'static str,
    bytes: u64,
    cold: Duration,
    cached: Duration,
    instance: Duration,
    filter: Duration,
    handle: Duration,
    memory: usize,
}

fn main() {
    // `cargo test --all-targets` runs benchmarks too; a long one is useless there.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let built = LANGUAGES.iter().filter(|language| language.plugin().exists());
    let rows: Vec<_> = built.map(|language| row(language.name, &language.plugin(), &runtime)).collect();
    println!("| language | size | cold start | cached start | instance | filter | handle | memory |");
    println!("|---|---|---|---|---|---|---|---|");
    for row in &rows {
        println!(
            "| {} | {} | {:.0} ms | {:.1} ms | {:.0} µs | {:.2} µs | {:.1} µs | {:.1} MB |",
            row.language,
            size(row.bytes),
            millis(row.cold),
            millis(row.cached),
            micros(row.instance),
            micros(row.filter),
            micros(row.handle),
            row.memory as f64 / 1e6,
        );
    }
    if let Some(rust) = rows.iter().find(|row| row.language == "rust") {
        for row in &rows {
            let ratio = |mine: Duration, base: Duration| mine.as_secs_f64() / base.as_secs_f64();
            println!(
                "{}: filter {:.1}, handle {:.1} times Rust's",
                row.language,
                ratio(row.filter, rust.filter),
                ratio(row.handle, rust.handle)
            );
        }
    }
    if let Some(python) =
        LANGUAGES.iter().find(|language| language.name == "python" && language.plugin().exists())
    {
        while_compiling(&python.plugin(), &runtime);
    }
    let json: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "language": row.language, "bytes": row.bytes, "coldMs": millis(row.cold), "cachedMs": millis(row.cached),
                "instanceUs": micros(row.instance), "filterUs": micros(row.filter), "handleUs": micros(row.handle), "memoryBytes": row.memory,
            })
        })
        .collect();
    let file = gtm_test_support::target_dir().join("languages.json");
    std::fs::write(&file, serde_json::to_vec_pretty(&json).unwrap()).unwrap();
    println!("the same as JSON: {}", file.display());
}

fn row(language: &'static str, path: &Path, runtime: &tokio::runtime::Runtime) -> Row {
    let cache = tempfile::tempdir().unwrap();
    let setup = PluginSetup::new("welcome", Limits::default());
    let load = || {
        let engine = Engine::new(cache.path()).unwrap();
        let started = Instant::now();
        let plugin = Plugin::load(&engine, path, &setup).unwrap();
        (started.elapsed(), plugin)
    };
    let (cold, _) = load();
    // A thread of its own writes the compiled code to the cache.
    std::thread::sleep(Duration::from_secs(1));
    let mut cached: Vec<_> = (0..ROUNDS).map(|_| load().0).collect();
    let slot = PluginHandle::new(load().1, Services::default());
    // The plugin decodes the op, logs it at a level that is off, and rejects it, as it has no e-mail address.
    let op = insert();
    let mut instances = Vec::new();
    let (mut filters, mut handles) = (Vec::new(), Vec::new());
    let (mut filter, mut handler) = (Filter::new(&slot), Handler::new(&slot));
    let handle = |handler: &mut Handler| {
        let outcome = runtime.block_on(handler.call(&op, 1)).unwrap();
        assert!(outcome.is_err(), "it has no e-mail address");
    };
    for _ in 0..100 {
        assert!(runtime.block_on(filter.call(&op, 1)).unwrap());
        handle(&mut handler);
    }
    for _ in 0..ROUNDS {
        let mut new = Filter::new(&slot);
        let started = Instant::now();
        runtime.block_on(new.call(&op, 1)).unwrap();
        instances.push(started.elapsed());
        let started = Instant::now();
        for _ in 0..CALLS {
            runtime.block_on(filter.call(&op, 1)).unwrap();
        }
        filters.push(started.elapsed() / CALLS);
        let started = Instant::now();
        for _ in 0..CALLS {
            handle(&mut handler);
        }
        handles.push(started.elapsed() / CALLS);
    }
    Row {
        language,
        bytes: std::fs::metadata(path).unwrap().len(),
        cold,
        cached: median(&mut cached),
        instance: median(&mut instances),
        filter: median(&mut filters),
        handle: median(&mut handles),
        memory: handler.memory(),
    }
}

/// Measures how much a compilation slows a plugin that works at the same time.
fn while_compiling(python: &Path, runtime: &tokio::runtime::Runtime) {
    let cache = tempfile::tempdir().unwrap();
    let engine = Engine::new(cache.path()).unwrap();
    let rust = LANGUAGES[0].plugin();
    let plugin = Plugin::load(&engine, &rust, &PluginSetup::new("welcome", Limits::default())).unwrap();
    let slot = PluginHandle::new(plugin, Services::default());
    let (op, mut handler) = (insert(), Handler::new(&slot));
    let mut calls = |until: &dyn Fn() -> bool| {
        let mut times = Vec::new();
        while !until() {
            let started = Instant::now();
            let _ = runtime.block_on(handler.call(&op, 1)).unwrap();
            times.push(started.elapsed());
            std::thread::sleep(Duration::from_micros(100));
        }
        times.sort_unstable();
        (times[times.len() / 2], times[times.len() * 99 / 100])
    };
    let begun = Instant::now();
    let alone = calls(&|| begun.elapsed() > Duration::from_secs(3));
    let (python, begun) = (python.to_owned(), Instant::now());
    let compiling = std::thread::spawn(move || {
        Plugin::load(&engine, &python, &PluginSetup::new("python", Limits::default())).unwrap();
    });
    let beside = calls(&|| compiling.is_finished());
    println!(
        "a plugin in Rust while one in Python is compiled ({:.1} s): handle {:.1} µs, 99 % within {:.0} µs; alone {:.1} and {:.0}",
        begun.elapsed().as_secs_f64(),
        micros(beside.0),
        micros(beside.1),
        micros(alone.0),
        micros(alone.1),
    );
}

fn insert() -> Op {
    let user = doc! {
        "_id": bson::oid::ObjectId::new(), "name": "Ada Lovelace", "age": 36, "tags": ["a", "b"], "balance": 12.5,
        "created": bson::DateTime::from_millis(1_700_000_000_000), "active": true, "logins": 3_i64, "city": "London",
    };
    let document = RawDocumentBuf::try_from(&user).unwrap().into_bytes();
    let key = RawDocumentBuf::try_from(&doc! { "_id": 1 }).unwrap().into_bytes();
    let namespace = Arc::new(Namespace { database: "app".into(), collection: "users".into() });
    let timestamp = Timestamp { time: 1_700_000_000, increment: 1 };
    Op::from_document(Origin::Oplog, timestamp, namespace, Some(key.into()), document.into())
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn size(bytes: u64) -> String {
    match bytes {
        ..100_000 => format!("{:.0} KB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}
