//! Measures the cost of swaps, starts and hostile neighbours:
//!
//! - how long an op waits while its plugin is swapped again and again, and without swaps;
//! - how long a host with ten compiled plugins takes to its first op;
//! - how much later a good plugin receives an op beside each kind of hostile plugin.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark panics if it fails, and prints its results"
)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use bson::oid::ObjectId;
use bson::{Document, doc};
use gtm_oplog::{Namespace, Op, OpPlace, OperationType, Origin, Timestamp};
use gtm_runtime::{Engine, Filter, Handler, Limits, Plugin, PluginHandle, PluginSetup, Services};
use gtm_test_support::{Process, Server};
use mongodb::Client;
use serde_json::Value;

const SWAPS: usize = 200;
/// The number of ops per second.
const RATE: u32 = 10_000;
const STARTS: usize = 5;

fn main() {
    // `cargo test --all-targets` runs benchmarks too; a long one is useless there.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(swaps());
    memory();
    let server = Server::ready().unwrap();
    runtime.block_on(starts(&server));
    runtime.block_on(neighbours(&server));
}

fn op(n: u32) -> Op {
    let document = bson::serialize_to_vec(&doc! { "_id": n, "text": "x".repeat(180) }).unwrap();
    Op {
        timestamp: Timestamp { time: 1, increment: n },
        place: OpPlace::Index(0),
        origin: Origin::Replay,
        operation_type: OperationType::Insert,
        namespace: std::sync::Arc::new(Namespace { database: "a".into(), collection: "b".into() }),
        wall_time: Some(1),
        document_key: Some(document.clone().into()),
        full_document: Some(document.into()),
        full_document_before_change: None,
        update_description: None,
        command: None,
        transaction: None,
    }
}

fn load(path: &Path) -> Plugin {
    let engine = Engine::new(&gtm_test_support::target_dir().join("testbed/cache")).unwrap();
    Plugin::load(&engine, path, &PluginSetup::new("trivial", Limits::default())).unwrap()
}

/// Measures how long ops at a steady rate take through `filter` and `handle`, each from when it is due, while versions replace each other.
async fn swaps() {
    let folder = tempfile::tempdir().unwrap();
    let versions: Vec<PathBuf> = (0..2).map(|n| another("trivial", n, folder.path())).collect();
    let slot = PluginHandle::new(load(&versions[0]), Services::default());
    let (alone, _) = drive(&slot, None).await;
    let (swapped, count) = drive(&slot, Some(&versions)).await;
    println!(
        "{count} swaps at {RATE} ops/s: an op is handled {:.2} ms after it is due at the 99th of 100 ({:.2} ms at most); without swaps {:.2} \
         ms ({:.2} ms); each op once",
        at(&swapped, 0.99),
        at(&swapped, 1.0),
        at(&alone, 0.99),
        at(&alone, 1.0)
    );
}

async fn drive(slot: &PluginHandle, versions: Option<&[PathBuf]>) -> (Vec<f64>, usize) {
    let swapper = versions.map(|versions| {
        let (slot, versions) = (slot.clone(), versions.to_vec());
        std::thread::spawn(move || {
            for n in 1..=SWAPS {
                let successor = slot.current().successor(&versions[n % 2]).unwrap();
                slot.swap(successor).unwrap();
                std::thread::sleep(Duration::from_millis(10));
            }
        })
    });
    let (mut filter, mut handler) = (Filter::new(slot), Handler::new(slot));
    let started = Instant::now();
    let mut waited = Vec::new();
    let mut n = 0;
    while swapper.as_ref().map_or(n < 3 * RATE, |swapper| !swapper.is_finished()) {
        let due = started + Duration::from_secs(1) * n / RATE;
        if let Some(pause) = due.checked_duration_since(Instant::now()) {
            std::thread::sleep(pause);
        }
        let op = op(n);
        assert!(filter.call(&op, 1).await.unwrap());
        handler.call(&op, 1).await.unwrap().unwrap();
        waited.push(due.elapsed().as_secs_f64() * 1e3);
        n += 1;
    }
    let count = swapper.map_or(0, |swapper| {
        swapper.join().unwrap();
        SWAPS
    });
    waited.sort_by(f64::total_cmp);
    (waited, count)
}

/// Measures the memory of one more compiled plugin in Rust: its code, a filter and four lanes.
fn memory() {
    const PLUGINS: usize = 20;
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::new(&gtm_test_support::target_dir().join("testbed/cache")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut kept = Vec::new();
    let mut start = |n: usize| {
        let path = another("send_welcome_email", n, folder.path());
        let plugin = Plugin::load(&engine, &path, &PluginSetup::new("p", Limits::default())).unwrap();
        let slot = PluginHandle::new(plugin, Services::default());
        let mut filter = Filter::new(&slot);
        runtime.block_on(filter.call(&op(1), 1)).unwrap();
        let handlers: Vec<_> = (0..4)
            .map(|_| {
                let mut handler = Handler::new(&slot);
                let _ = runtime.block_on(handler.call(&op(1), 1));
                handler
            })
            .collect();
        kept.push((filter, handlers));
    };
    start(0);
    let before = resident(std::process::id());
    (1..=PLUGINS).for_each(&mut start);
    let each = (resident(std::process::id()) - before) / PLUGINS as f64;
    println!("a plugin in Rust (send_welcome_email), with a filter and four lanes: {each:.2} MiB");
}

/// Returns the resident memory of a process in MiB.
fn resident(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().split(' ').next().unwrap().parse::<f64>().unwrap() / 1024.0
}

struct Host {
    process: Process,
    lines: Receiver<(Instant, String)>,
}

impl Host {
    fn start(server: &Server, arguments: &[String]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gtm-host"));
        command.args(arguments).args(["--uri", server.uri(), "--store", "none", "--log-format", "json"]);
        command.env("GTM_CACHE_DIR", gtm_test_support::target_dir().join("testbed/cache"));
        let mut process = Process::start("gtm-host", command.stderr(Stdio::piped())).unwrap();
        let out = process.child().stderr.take().unwrap();
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if sender.send((Instant::now(), line)).is_err() {
                    return;
                }
            }
        });
        Self { process, lines }
    }

    /// Waits for the next line that contains `part`. Returns it, and when it came.
    fn wait_for(&self, part: &str) -> (Instant, String) {
        loop {
            let (at, line) = self.lines.recv_timeout(Duration::from_secs(60)).unwrap();
            if line.contains(part) {
                return (at, line);
            }
        }
    }

    fn stop(mut self) {
        self.process.signal(nix::sys::signal::Signal::SIGTERM).unwrap();
        self.process.wait(Duration::from_secs(60)).unwrap();
    }
}

/// Measures the time from the start of a host with ten plugins to its first op.
async fn starts(server: &Server) {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = Vec::new();
    for n in 0..10 {
        let path = another("print_ops", n, folder.path());
        arguments.extend(["--plugin".to_owned(), format!("p{n}={}", path.display())]);
    }
    // The op exists before the host starts, which reads from before it.
    let things = collection(server).await;
    things.insert_one(doc! {}).await.unwrap();
    arguments.extend(["--start".to_owned(), "oldest".to_owned()]);
    let mut took = Vec::new();
    for _ in 0..=STARTS {
        let started = Instant::now();
        let host = Host::start(server, &arguments);
        let (first, _) = host.wait_for("\"target\":\"plugin\"");
        took.push((first - started).as_secs_f64() * 1e3);
        host.stop();
    }
    // The first start compiled the plugins.
    took.remove(0);
    took.sort_by(f64::total_cmp);
    println!(
        "a host with ten compiled plugins handles its first op after {:.0} ms ({:.0} ms at most)",
        at(&took, 0.5),
        at(&took, 1.0)
    );
}

/// Measures how long an op takes to a good plugin, beside each kind of hostile plugin.
async fn neighbours(server: &Server) {
    let ways = [
        "none",
        "handle=loop",
        "filter=loop",
        "handle=eat-memory",
        "handle=recurse",
        "handle=panic",
        "handle=log",
        "handle=hoard",
        "handle=wait",
        "handle=print-much",
        "handle=say-much",
    ];
    println!(
        "| hostile plugin | outcome of its op | the good plugin receives an op after (median / 99th of 100) |"
    );
    for way in ways {
        let things = collection(server).await;
        let namespace = format!("namespace={}", things.namespace());
        let mut arguments =
            vec!["--plugin".to_owned(), gtm_test_support::plugin("print_ops").display().to_string()];
        arguments.extend([
            "--set".to_owned(),
            namespace,
            "--retry-max-attempts=1".to_owned(),
            "--shutdown-grace=0s".to_owned(),
        ]);
        if way != "none" {
            arguments
                .extend(["--plugin".to_owned(), gtm_test_support::plugin("misbehave").display().to_string()]);
            arguments.extend([
                "--set".to_owned(),
                format!("misbehave:{way}"),
                "--limits-handle-timeout=1s".to_owned(),
            ]);
            arguments.extend(["--limits-log-lines=1000".to_owned(), "--limits-memory=64MiB".to_owned()]);
        }
        let host = Host::start(server, &arguments);
        (0..if way == "none" { 1 } else { 2 }).for_each(|_| drop(host.wait_for("\"event\":\"source.tail\"")));
        let mut waited = Vec::new();
        let mut outcome = None;
        for n in 0..200 {
            let written = Instant::now();
            things.insert_one(doc! { "_id": n }).await.unwrap();
            loop {
                let (at, line) = host.lines.recv_timeout(Duration::from_secs(60)).unwrap();
                let line: Value = serde_json::from_str(&line).unwrap_or_default();
                let error = line["error"].as_str().unwrap_or_default();
                if line["plugin"] == "print_ops" && line["target"] == "plugin" {
                    waited.push((at - written).as_secs_f64() * 1e3);
                    break;
                }
                if line["plugin"] == "misbehave" && line["level"] == "ERROR" {
                    outcome.get_or_insert_with(|| last_words(error));
                }
            }
        }
        // The outcome is logged after the good plugin's op.
        while outcome.is_none()
            && let Ok((_, line)) = host.lines.recv_timeout(Duration::from_secs(3))
        {
            let line: Value = serde_json::from_str(&line).unwrap_or_default();
            if line["plugin"] == "misbehave" && line["level"] == "ERROR" {
                outcome = Some(last_words(line["error"].as_str().unwrap_or_default()));
            }
        }
        let outcome = outcome.unwrap_or_else(|| "handled".to_owned());
        waited.sort_by(f64::total_cmp);
        println!("| {way} | {outcome} | {:.1} ms / {:.1} ms |", at(&waited, 0.5), at(&waited, 0.99));
        host.stop();
    }
}

fn last_words(line: &str) -> String {
    line.rsplit(": ").next().unwrap_or_default().chars().take(90).collect()
}

async fn collection(server: &Server) -> mongodb::Collection<Document> {
    let client = Client::with_uri_str(server.uri()).await.unwrap();
    client.database(&format!("gtm_bench_{}", ObjectId::new())).collection("things")
}

/// Returns this quantile of sorted values.
fn at(sorted: &[f64], part: f64) -> f64 {
    let last = sorted.len() - 1;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let index = (last as f64 * part).round() as usize;
    sorted[index]
}

/// Returns another version of a plugin: the same code with a custom section after it.
fn another(of: &str, number: usize, folder: &Path) -> PathBuf {
    let name = format!("v{number:04}");
    let length = u8::try_from(name.len()).unwrap();
    let mut bytes = std::fs::read(gtm_test_support::plugin(of)).unwrap();
    bytes.extend([0, length + 1, length]);
    bytes.extend(name.bytes());
    let path = folder.join(format!("{of}{number}.wasm"));
    std::fs::write(&path, bytes).unwrap();
    path
}
