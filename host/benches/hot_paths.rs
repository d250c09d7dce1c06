//! Measures the hot paths: reading an entry of the oplog, describing an update, choosing an op's worker, and the two calls of a plugin.
//!
//! Each group has a baseline in the same run, because times alone mean little on a shared machine.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a benchmark panics if it fails")]

mod bare;
mod entries;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{Document, RawDocument, RawDocumentBuf, doc};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gtm_oplog::entry::delta::update_description;
use gtm_oplog::{Namespace, Op, OpPlace, OperationType, OplogEntry, Origin, Timestamp};
use gtm_runtime::{Engine, Filter, Handler, Limits, Plugin, PluginHandle, PluginSetup, Services};
use gtm_store::Group;

const SIZES: [(&str, usize); 2] = [("200 B", 200), ("4 KB", 4096)];

/// The sizes of entries, with the sizes of the documents that they insert: the rest of an entry takes 282 bytes.
const ENTRIES: [(&str, usize); 3] = [("300 B", 18), ("500 B", 218), ("4 KB", 4096 - 282)];

/// The numbers of fields that updates change.
const FIELDS: [usize; 3] = [10, 1000, 100_000];

fn op(size: usize) -> Op {
    Op {
        timestamp: Timestamp { time: 1_700_000_000, increment: 1 },
        place: OpPlace::Index(0),
        origin: Origin::Oplog,
        operation_type: OperationType::Insert,
        namespace: Arc::new(Namespace { database: "users".into(), collection: "users".into() }),
        wall_time: Some(1_700_000_000_123),
        document_key: Some(bson::serialize_to_vec(&doc! { "_id": 1_i64 }).unwrap().into()),
        full_document: Some(bson::serialize_to_vec(&entries::document(size)).unwrap().into()),
        full_document_before_change: None,
        update_description: None,
        command: None,
        transaction: None,
    }
}

fn header(criterion: &mut Criterion) {
    for (name, size) in ENTRIES {
        let entry = entries::insert(size);
        let mut group = criterion.benchmark_group(format!("entry of {name}"));
        group.throughput(Throughput::Elements(1));
        group.bench_function("header and change", |bencher| {
            bencher.iter(|| {
                let entry = OplogEntry::parse(black_box(&entry)).unwrap();
                black_box(entry.change().is_ok())
            });
        });
        group.bench_function("baseline: every field's length read", |bencher| {
            bencher.iter(|| {
                black_box::<&RawDocument>(&entry)
                    .iter_elements()
                    .map(|field| field.unwrap().size())
                    .sum::<usize>()
            });
        });
        group.bench_function("baseline: decoded to a Document", |bencher| {
            bencher.iter(|| Document::try_from(black_box::<&RawDocument>(&entry)).unwrap());
        });
        group.finish();
    }
}

/// Also prints the time per field. If it differs between the sizes, the time is not linear.
fn descriptions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("update description");
    for count in FIELDS {
        let fields: Document = (0..count).map(|n| (format!("field{n:06}"), 1.into())).collect();
        let delta = doc! { "$v": 2, "diff": { "u": { "plain": 1 }, "snested": { "u": fields } } };
        let delta = RawDocumentBuf::try_from(delta).unwrap();
        let mut fastest = Duration::MAX;
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("{count} fields"), |bencher| {
            bencher.iter_custom(|times| {
                let started = Instant::now();
                for _ in 0..times {
                    black_box(update_description(black_box(&delta)).unwrap());
                }
                let took = started.elapsed();
                fastest = fastest.min(took / u32::try_from(times).unwrap());
                took
            });
        });
        println!("{count} fields: {:.0} ns per field", fastest.as_secs_f64() * 1e9 / count as f64);
    }
    group.finish();
}

fn calls(criterion: &mut Criterion) {
    let cache = gtm_test_support::target_dir().join("testbed/cache");
    let engine = Engine::new(&cache).unwrap();
    let path = gtm_test_support::plugin("trivial");
    let plugin = Plugin::load(&engine, &path, &PluginSetup::new("trivial", Limits::default())).unwrap();
    let plugin = PluginHandle::new(plugin, Services::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();

    for (name, size) in SIZES {
        let op = op(size);
        let mut group = criterion.benchmark_group(format!("call with a document of {name}"));
        group.throughput(Throughput::Elements(1));
        let mut filter = Filter::new(&plugin);
        group.bench_function("filter", |bencher| {
            bencher.iter(|| runtime.block_on(filter.call(black_box(&op), 1)).unwrap());
        });
        let mut handler = Handler::new(&plugin);
        group.bench_function("handle", |bencher| {
            bencher.iter(|| runtime.block_on(handler.call(black_box(&op), 1)).unwrap().unwrap());
        });
        let mut bare = bare::Bare::new(&gtm_test_support::plugin("trivial"));
        group.bench_function("baseline: filter, by wasmtime alone", |bencher| {
            bencher.iter(|| bare.filter(black_box(&op)))
        });
        let mut bare = runtime.block_on(bare::BareAsync::new(&gtm_test_support::plugin("trivial")));
        group.bench_function("baseline: handle, by wasmtime alone", |bencher| {
            bencher.iter(|| runtime.block_on(bare.handle(black_box(&op))));
        });
        group.bench_function("baseline: the document copied", |bencher| {
            bencher.iter(|| black_box(op.full_document.as_ref().unwrap().to_vec()));
        });
        group.finish();
    }
}

/// Measures the choice of an op's worker, among three and among a hundred.
fn workers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("which worker's an op is");
    group.throughput(Throughput::Elements(1));
    let op = op(200);
    for count in [3, 100] {
        let names = (0..count).map(|n| format!("worker-{n}")).collect();
        let workers = Group::new(names, "worker-0").unwrap();
        group.bench_function(format!("of {count}"), |bencher| {
            bencher.iter(|| workers.owns(black_box(&op)));
        });
    }
    group.bench_function("baseline: the op cloned", |bencher| bencher.iter(|| black_box(&op).clone()));
    group.finish();
}

criterion_group!(benches, header, descriptions, workers, calls);
criterion_main!(benches);
