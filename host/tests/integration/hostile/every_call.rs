//! A plugin that calls whatever it can call, in every size and shape, as a seed says: granted everything, granted nothing, and while
//! it is loaded. No call takes long, none leaves much memory taken, and the host answers all the while.
//!
//! `cargo xtask fuzz host-calls` runs it for longer, or from a seed that failed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use bson::doc;
use gtm_test_support::{Server, ServerOptions, SmtpSink};
use nix::sys::signal::Signal;

use crate::capabilities::http::Sink;
use crate::support::{Database, Host, LIMIT, message, plugin};

/// How long it runs in a test, if nothing else is said.
const SECONDS: u64 = 20;
/// Seeds of a round, one for each op.
const ROUND: i64 = 60;
/// Rounds before the memory is looked at for the first time.
const WARM_UP: u64 = 4;
/// How long the host waits for a server in one call, in seconds.
const CALL_TIMEOUT: u64 = 2;
/// How long a call may take: far more than any needs. What it needs is printed.
const CALL: Duration = Duration::from_secs(30);
/// How long `/health` may take at the 99th of 100. Else as [`CALL`]: the goal, on a machine that does nothing else, is 50 ms.
const HEALTH: Duration = Duration::from_secs(5);
/// Memory of the host, in KiB, that may stay taken: 64 MiB, and what the instances that live may hold between two ops. Three plugins
/// have an instance that filters and two that handle, and each may hold 48 MiB.
const MEMORY: u64 = (64 + 3 * 3 * 48) << 10;

/// What a variable of the environment says, by which `cargo xtask fuzz host-calls` hands on what it is told.
fn told(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

/// Says how to run a seed again if a test fails.
struct Seed(i64);

impl Drop for Seed {
    #[expect(clippy::print_stderr, reason = "for who reads why a test failed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to run it again: cargo xtask fuzz host-calls --seed {}", self.0);
        }
    }
}

/// What calls of an import took.
#[derive(Default)]
struct Took {
    count: u64,
    most: Duration,
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "figures")]
async fn no_call_costs_the_host_much() {
    let seconds = told("GTM_FUZZ_SECONDS").unwrap_or(SECONDS);
    let any = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() << 20;
    let mut seed = Seed(i64::try_from(told("GTM_FUZZ_SEED").unwrap_or_else(any)).unwrap());
    let mut scene = Scene::start().await;
    // The first rounds make all that is made once.
    let mut calls = BTreeMap::new();
    scene.round(seed.0, 0, &mut calls).await;
    for round in 1..WARM_UP {
        seed.0 += ROUND;
        scene.round(seed.0, round, &mut calls).await;
    }
    let before = scene.resident();
    let prober = Prober::start(scene.address.clone());
    let (started, mut rounds) = (Instant::now(), WARM_UP);
    while rounds < 2 * WARM_UP || started.elapsed() < Duration::from_secs(seconds) {
        seed.0 += ROUND;
        scene.round(seed.0, rounds, &mut calls).await;
        rounds += 1;
    }
    let health = prober.stop();
    let after = scene.settled(before + MEMORY).await;
    for (name, Took { count, most }) in &calls {
        println!("{name:32} {count:6} calls, {:8.1} ms at most", most.as_secs_f64() * 1e3);
    }
    println!(
        "{} calls; /health answers within {:.1} ms ({} times, 99 of 100), {:.1} ms at most; memory {} MiB before and {} MiB after",
        calls.values().map(|took| took.count).sum::<u64>(),
        health[health.len() * 99 / 100].as_secs_f64() * 1e3,
        health.len(),
        health.last().unwrap().as_secs_f64() * 1e3,
        before >> 10,
        after >> 10
    );
    let slow: Vec<_> = calls.iter().filter(|(_, took)| took.most > CALL).map(|(name, _)| name).collect();
    assert!(slow.is_empty(), "they took longer than {} s: {slow:?}", CALL.as_secs());
    assert!(health[health.len() * 99 / 100] < HEALTH, "{health:?}");
    assert!(after < before + MEMORY, "{before} KiB before, {after} KiB after");
    assert_eq!(scene.host.stop().0, Some(0));
}

struct Scene {
    own: Database,
    host: Host,
    address: String,
    settings: std::path::PathBuf,
    _directory: tempfile::TempDir,
    _smtp: SmtpSink,
    _server: Server,
}

impl Scene {
    async fn start() -> Self {
        // One of its own, as the plugin fills it.
        let server = Server::start(ServerOptions::default()).unwrap();
        let own = Database::new(server.uri()).await;
        let (sink, smtp, directory) =
            (Sink::start().await, SmtpSink::start().unwrap(), tempfile::tempdir().unwrap());
        let data = directory.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let settings = directory.path().join("gtm.toml");
        // It begins without a call: one whose first start fails is not there.
        write_settings(&settings, None);
        let every_call = plugin("every_call");
        let mut arguments: Vec<String> = Vec::new();
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
        add(&["--uri", server.uri(), "--mail-url", &smtp.url(), "--config", settings.to_str().unwrap()]);
        add(&[
            "--admin",
            "127.0.0.1:0",
            "--limits-memory",
            "64MiB",
            "--retry-max-attempts",
            "1",
            "--retry-initial-delay",
            "1ms",
        ]);
        // What a plugin waits for by itself counts for its call, too.
        add(&[
            "--limits-handle-timeout",
            "4m",
            "--limits-filter-timeout",
            "4m",
            "--limits-log-lines",
            "1000000",
        ]);
        add(&["--limits-call-timeout", &format!("{CALL_TIMEOUT}s"), "--log", "info,plugin=debug"]);
        for (name, salt, without) in [("granted", 1, "none"), ("bare", 2, "wasi:http")] {
            add(&["--plugin", &format!("{name}={every_call}")]);
            for set in [
                format!("salt={salt}"),
                format!("without={without}"),
                format!("database={}", own.name),
                format!("url={}", sink.url("").trim_end_matches('/')),
            ] {
                add(&["--set", &format!("{name}:{set}")]);
            }
        }
        let things = format!("{}.things", own.name);
        for grant in [
            "mail".to_owned(),
            "state".to_owned(),
            sink.grant(),
            // It speaks no TLS: without the grant, a call that fails after such a request would have the plugin wait.
            sink.grant().replace("http://", "https://"),
            format!("tcp=127.0.0.1:{}", sink.port()),
            format!("tcp=localhost:{}", sink.port()),
            format!("mongodb-read={things}"),
            format!("mongodb-write={things}"),
            format!("dir-write={}:/data", data.display()),
        ] {
            add(&["--grant", &format!("granted:{grant}")]);
        }
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let mut host = Host::start(&arguments);
        (0..3).for_each(|_| drop(host.wait_for("source.tail", &[])));
        let address = host.address();
        Self { own, host, address, settings, _directory: directory, _smtp: smtp, _server: server }
    }

    /// Has the plugins make the calls of some seeds, and waits until they have.
    async fn round(&mut self, seed: i64, round: u64, calls: &mut BTreeMap<String, Took>) {
        let seeds = (0..ROUND).map(|n| {
            let place = if n % 10 == 0 { "filter" } else { "handle" };
            doc! { "place": place, "seed": seed + n }
        });
        let all = seeds.chain([doc! { "place": "mark", "seed": seed }]);
        self.own.collection("seeds").insert_many(all).await.unwrap();
        let mut open = vec!["granted", "bare"];
        // Other settings make another version, which is asked what it subscribes to.
        if round > 0 {
            write_settings(&self.settings, Some(seed));
            self.host.signal(Signal::SIGHUP);
            open.push("loading");
        }
        let (mark, start) = (format!("mark {seed}"), format!("calls {seed}"));
        let mut next = BTreeMap::new();
        self.host.wait_until("the end of a round", |line| {
            let said = message(line);
            let whole = line.to_string();
            assert!(!whole.contains("panicked at host/") && !whole.contains("defect of the host"), "{line}");
            assert_ne!(line["event"], "plugin.block", "{line}: {next:?}");
            let Some(name) = line["plugin"].as_str() else { return false };
            if line["target"] == "plugin" {
                if let Some(said) = said.strip_prefix("next ") {
                    next.insert(name.to_owned(), said.to_owned());
                }
                if said.starts_with("calls ") {
                    count(said, calls);
                }
                open.retain(|open| {
                    *open != name || !(said == mark || (name == "loading" && said.starts_with(&start)))
                });
            } else {
                assert!(!whole.contains("took longer than"), "{line}: {:?}", next.get(name));
                // One whose start failed stays as it was.
                let failed = matches!(line["level"].as_str(), Some("WARN" | "ERROR"));
                open.retain(|open| *open != name || name != "loading" || !failed);
            }
            open.is_empty()
        });
        self.host.forget();
    }

    /// KiB of memory of the host, without the memories of plugins, which have a limit of their own. Each of these is followed by
    /// gigabytes of addresses that nobody may use.
    fn resident(&mut self) -> u64 {
        let maps = std::fs::read_to_string(format!("/proc/{}/smaps", self.host.pid())).unwrap();
        // What each mapping takes, and whether nobody may use it, from the last to the first.
        let (mut sum, mut taken, mut follows) = (0, 0, None);
        for line in maps.lines().rev() {
            let mut words = line.split_whitespace();
            let (Some(first), Some(second)) = (words.next(), words.next()) else { continue };
            if first == "Rss:" {
                taken = second.parse::<u64>().unwrap();
            }
            let Some((start, end)) = first.split_once('-') else { continue };
            let [start, end] = [start, end].map(|address| u64::from_str_radix(address, 16).unwrap());
            let is_of_a_plugin = follows == Some(end);
            sum += if is_of_a_plugin { 0 } else { std::mem::take(&mut taken) };
            follows = (second == "---p" && end - start >= 1 << 30).then_some(start);
        }
        sum
    }

    /// The same, when it is at most so much again, or a minute is over.
    async fn settled(&mut self, most: u64) -> u64 {
        let deadline = Instant::now() + Duration::from_secs(60).min(LIMIT);
        loop {
            let now = self.resident();
            if now <= most || Instant::now() > deadline {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// The settings of the plugin that makes calls while it is loaded.
fn write_settings(path: &std::path::Path, seed: Option<i64>) {
    let startup = seed.map(|seed| format!("startup = \"{seed}\", ")).unwrap_or_default();
    let text = format!(
        "[plugins.loading]\npath = \"{}\"\nconfig = {{ {startup}salt = \"3\", database = \"none\", without = \"wasi:http\" }}\n",
        plugin("every_call")
    );
    std::fs::write(path, text).unwrap();
}

/// Takes up a line `calls SEED NAME=MICROSECONDS …`. A name may have words.
fn count(said: &str, calls: &mut BTreeMap<String, Took>) {
    let mut name = String::new();
    for word in said.split(' ').skip(2) {
        name.push_str(if name.is_empty() { "" } else { " " });
        let Some((last, micros)) = word.split_once('=') else {
            name.push_str(word);
            continue;
        };
        name.push_str(last);
        let Took { count, most } = calls.entry(std::mem::take(&mut name)).or_default();
        *count += 1;
        *most = (*most).max(Duration::from_micros(micros.parse().unwrap()));
    }
}

/// Asks `/health` again and again.
struct Prober {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

impl Prober {
    fn start(address: String) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut took = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let started = Instant::now();
                let answer = ureq::get(format!("http://{address}/health")).call();
                answer.unwrap_or_else(|error| panic!("/health does not answer: {error}"));
                took.push(started.elapsed());
                std::thread::sleep(Duration::from_millis(20));
            }
            took.sort_unstable();
            took
        });
        Self { stop, thread }
    }

    /// What the answers took, the quickest first.
    fn stop(self) -> Vec<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}
