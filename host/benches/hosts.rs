//! Measures whole hosts: what a plugin that never returns costs the plugins beside it, and how much memory a backlog takes.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark panics if it fails, and prints its results"
)]

mod entries;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bson::{Timestamp, doc};
use gtm_delivery::{PluginStatus, ReaderState};
use gtm_host::admin::AdminClient;
use gtm_test_support::{Process, Server};
use mongodb::Client;

const BACKLOG: u32 = 5_000_000;
/// The number of ops in a small backlog.
const LITTLE: u32 = 20_000;
const OPS: u32 = 30_000;
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() {
    // `cargo test --all-targets` runs benchmarks too; a long one is useless there.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (little, backlog) = (memory(folder.path(), LITTLE), memory(folder.path(), BACKLOG));
    println!(
        "a slow plugin before a backlog of {BACKLOG} ops: {backlog:.0} MiB resident, before one of {LITTLE}: {little:.0} MiB; \
         ratio {:.2}",
        backlog / little
    );
    let server = Server::ready().unwrap();
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(rate(&server, false).await);
        beside.push(rate(&server, true).await);
    }
    let (alone, beside) = (entries::median(alone), entries::median(beside));
    println!(
        "nine plugins handle {alone:.0} ops/s each, and {beside:.0} ops/s beside one that never returns: ratio {:.2}",
        beside / alone
    );
    println!("  the server, {}, bounds both", server.describe());
}

fn host() -> Command {
    let mut host = Command::new(env!("CARGO_BIN_EXE_gtm-host"));
    host.env("GTM_LOG_FILTER", "error")
        .env("GTM_CACHE_DIR", gtm_test_support::target_dir().join("testbed/cache"));
    host.stdout(Stdio::null());
    host
}

/// Returns the maximum memory of a replay to a slow plugin in its first ten seconds, in MiB.
fn memory(folder: &std::path::Path, ops: u32) -> f64 {
    let file = folder.join(ops.to_string());
    entries::write(&file, "i", ops);
    let mut command = host();
    command.arg("replay").arg(&file).arg("--plugin").arg(gtm_test_support::plugin("misbehave"));
    command.args(["--set", "handle=nap", "--shutdown-grace", "1ms"]);
    let mut process = Process::start("gtm-host", &mut command).unwrap();
    std::thread::sleep(Duration::from_secs(10));
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.child().id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim_end_matches("kB").trim().parse::<f64>().unwrap() / 1024.0
}

/// Returns how many ops per second each of nine plugins handles while they are written.
async fn rate(server: &Server, with_stuck: bool) -> f64 {
    let client = Client::with_uri_str(server.uri()).await.unwrap();
    let database = client.database(&format!("gtm_bench_{}", bson::oid::ObjectId::new()));
    database.create_collection("oplog").capped(true).size(256 << 20).await.unwrap();
    let oplog = database.collection::<bson::Document>("oplog");
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let mut command = host();
    for n in 0..9 {
        command.arg("--plugin").arg(format!("p{n}={}", gtm_test_support::plugin("trivial").display()));
    }
    if with_stuck {
        command.arg("--plugin").arg(format!("stuck={}", gtm_test_support::plugin("misbehave").display()));
        command.args(["--set", "stuck:handle=sleep", "--limits-handle-timeout", "1h"]);
    }
    command.args([
        "--uri",
        server.uri(),
        "--source-oplog",
        &oplog.namespace().to_string(),
        "--start",
        "oldest",
        "--store",
        "none",
    ]);
    command.args(["--admin", &address, "--admin-token", "bench", "--shutdown-grace", "1ms"]);
    let _process = Process::start("gtm-host", &mut command).unwrap();
    let client_of_host = AdminClient::new(&address.parse().unwrap(), Some("bench")).unwrap();
    let until = async |is_so: &dyn Fn(&PluginStatus) -> bool| {
        loop {
            if client_of_host
                .status()
                .is_ok_and(|status| status.plugins.iter().filter(|plugin| is_so(plugin)).count() >= 9)
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    until(&|plugin| plugin.reader == ReaderState::Shared).await;
    let begun = Instant::now();
    for start in (1..=OPS).step_by(1000) {
        let some = (start..start + 1000).map(|increment| {
            let ts = Timestamp { time: 1_700_000_000, increment };
            doc! { "op": "i", "ns": "a.b", "o": { "_id": increment, "text": "x".repeat(200) }, "ts": ts }
        });
        oplog.insert_many(some).await.unwrap();
    }
    until(&|plugin| plugin.counts.handled == u64::from(OPS)).await;
    f64::from(OPS) / begun.elapsed().as_secs_f64()
}
