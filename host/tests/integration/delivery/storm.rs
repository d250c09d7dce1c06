//! Hosts that are killed, while the directory of the plugin is written to all the time: each is followed by the next.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bson::doc;
use bson::oid::ObjectId;
use gtm_test_support::{Process, Server};
use nix::sys::signal::Signal;

use crate::log;
use crate::support::{Database, LIMIT, create_oplog, plugin};
use crate::swapping::put;

const KILLS: usize = 5;
const TTL: Duration = Duration::from_secs(2);

/// Writes beside the plugin far more often than a lease lives, as an editor, a log or a shared volume does.
struct Noise(Arc<AtomicBool>, Option<std::thread::JoinHandle<()>>);

impl Noise {
    fn in_directory(directory: &Path) -> Self {
        let (file, ends) = (directory.join("noise"), Arc::new(AtomicBool::new(false)));
        let ended = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                std::fs::write(&file, "x").unwrap();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self(ends, Some(thread))
    }
}

impl Drop for Noise {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        drop(self.1.take().map(std::thread::JoinHandle::join));
    }
}

/// A host whose log is beside its plugin.
fn start(directory: &Path, arguments: &[&str], log: &Path) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gtm-host"));
    command
        .env_remove("MONGODB_URI")
        .env("GTM_CACHE_DIR", gtm_test_support::target_dir().join("testbed/cache"));
    command.args(["--log", "debug", "--plugin"]).arg(directory.join("print_ops.wasm")).args(arguments);
    command.stdout(Stdio::null()).stderr(File::create(log).unwrap());
    Process::start("gtm-host", &mut command).unwrap()
}

fn wait_for(part: &str, log: &Path) -> String {
    let deadline = Instant::now() + LIMIT;
    loop {
        let text = std::fs::read_to_string(log).unwrap();
        if text.contains(part) {
            return text;
        }
        assert!(Instant::now() < deadline, "no {part:?} came; the log is:\n{text}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "how long it took, for who runs it with --nocapture")]
async fn who_is_killed_is_followed_however_often_files_beside_the_plugin_change() {
    let kills = std::env::var("GTM_TEST_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let oplog = create_oplog(&own, []).await;
    let directory = tempfile::tempdir().unwrap();
    put(plugin("print_ops"), &directory.path().join("print_ops.wasm"));
    let (pipeline, ttl) = (ObjectId::new().to_hex(), format!("{}s", TTL.as_secs()));
    let arguments = [
        "--uri",
        server.uri(),
        "--source-oplog",
        &oplog,
        "--start",
        "oldest",
        "--name",
        &pipeline,
        "--lease-ttl",
        &ttl,
    ];
    let leases = own.client.database("gtm").collection::<bson::Document>("leases");
    let _noise = Noise::in_directory(directory.path());
    let mut running = None::<Process>;
    let mut took = Vec::new();
    for round in 0..=kills {
        if let Some(mut process) = running.take() {
            process.signal(Signal::SIGKILL).unwrap();
            process.wait(LIMIT).unwrap();
            // As if it had run on another machine: nobody can know that it has ended.
            let forget = doc! { "$unset": { "process": "" } };
            leases.update_one(doc! { "_id.pipeline": &pipeline }, forget).await.unwrap();
        }
        let (killed, log) = (Instant::now(), directory.path().join(format!("host-{round}.log")));
        running = Some(start(directory.path(), &arguments, &log));
        let text = wait_for("event=source.tail ", &log);
        if round > 0 {
            took.push(killed.elapsed().as_millis());
            let ttl_ms = TTL.as_millis().to_string();
            let waits = log::parse(&text);
            assert_eq!(log::count(&waits, "lease.standby", &[("ttl_ms", &ttl_ms)]), 1, "{text}");
        }
        // It works, and takes the files beside its plugin for what they are.
        let ts = bson::Timestamp { time: 1_700_000_000, increment: u32::try_from(round).unwrap() + 1 };
        own.collection("oplog")
            .insert_one(doc! { "op": "i", "ns": "a.b", "o": { "_id": format!("round {round}") }, "ts": ts })
            .await
            .unwrap();
        let text = wait_for(&format!("round {round}"), &log);
        assert!(!log::has(&text, "plugin.swap_start", &[]), "{text}");
    }
    println!("with a lease of {} ms, the next one worked after {took:?} ms", TTL.as_millis());
}
