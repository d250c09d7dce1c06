//! Measures what each kind of hostile plugin or client costs the good plugin beside it: the delay of its ops, the time of `/health`, and the
//! memory that the host still has a minute later.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark panics if it fails, and prints its results"
)]

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bson::oid::ObjectId;
use bson::{Document, doc};
use gtm_test_support::{Process, Server, free_port};
use mongodb::{Client, Collection};

/// The maximum number of ops, and how long they are written.
const OPS: usize = 200;
const TIME: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);
/// The maximum time of an op or a start.
const OP_TIMEOUT: Duration = Duration::from_secs(120);
/// The time after which the host must have released the memory, except for `KEPT` MiB.
const MINUTE: Duration = Duration::from_secs(60);
const KEPT: f64 = 64.0;
/// The number of silent clients.
const CONNECTIONS: usize = 1200;

/// A kind of hostile plugin or client.
struct Attack {
    name: &'static str,
    plugin: Option<&'static str>,
    arguments: &'static [&'static str],
    /// Returns the document that is written for the hostile plugin beside each op.
    errand: fn(usize) -> Option<Document>,
}

const fn misbehaving(name: &'static str, arguments: &'static [&'static str]) -> Attack {
    Attack { name, plugin: Some("misbehave"), arguments, errand: |_| None }
}

const fn errand(name: &'static str, errand: fn(usize) -> Option<Document>) -> Attack {
    Attack { name, plugin: Some("errand"), arguments: &[], errand }
}

const ATTACKS: [Attack; 20] = [
    Attack { name: "nothing", plugin: None, arguments: &[], errand: |_| None },
    misbehaving("loops in handle", &["--set", "hostile:handle=loop"]),
    misbehaving("loops in filter", &["--set", "hostile:filter=loop"]),
    misbehaving("eats memory in handle", &["--set", "hostile:handle=eat-memory"]),
    misbehaving("eats memory in filter", &["--set", "hostile:filter=eat-memory"]),
    misbehaving("recurses", &["--set", "hostile:handle=recurse"]),
    misbehaving("panics in handle", &["--set", "hostile:handle=panic"]),
    misbehaving("panics in filter", &["--set", "hostile:filter=panic"]),
    misbehaving("logs without end", &["--set", "hostile:handle=log"]),
    misbehaving("logs 1 MiB", &["--set", "hostile:handle=flood"]),
    misbehaving("prints 100 MB", &["--set", "hostile:handle=print-much"]),
    misbehaving("fails with 100 MB", &["--set", "hostile:handle=say-much"]),
    misbehaving("hoards resources", &["--set", "hostile:handle=hoard"]),
    misbehaving(
        "hoards bodies",
        &["--set", "hostile:handle=hoard-bodies", "--grant", "hostile:http=https://api.example.com"],
    ),
    misbehaving("waits for ever", &["--set", "hostile:handle=wait"]),
    errand("sends 40,000 headers", |n| {
        Some(
            doc! { "_id": i64::try_from(n).ok(), "do": "http", "url": "http://localhost:1/", "headers_more": 40_000 },
        )
    }),
    errand("mails 6,000 people", |n| {
        Some(doc! { "_id": i64::try_from(n).ok(), "do": "mail", "to": "a@example.com", "more": 6000 })
    }),
    errand("sends 16 MiB by wasi:http", |n| {
        Some(
            doc! { "_id": i64::try_from(n).ok(), "do": "http", "url": "http://localhost:1/", "method": "POST", "bytes": 16 << 20, "by_wasi": true },
        )
    }),
    Attack {
        name: "calls everything, in every size",
        plugin: Some("every_call"),
        arguments: &["--set", "hostile:url=http://localhost:1"],
        errand: |n| {
            let place = if n.is_multiple_of(4) { "filter" } else { "handle" };
            Some(doc! { "place": place, "seed": i64::try_from(n).ok() })
        },
    },
    Attack { name: "1,200 silent clients", plugin: None, arguments: &["silent"], errand: |_| None },
];

fn main() {
    // `cargo test --all-targets` runs benchmarks too; a long one is useless there.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let server = Server::ready().unwrap();
    println!(
        "| the hostile one | an op is handled after (ms, 50 / 99 of 100, maximum) | /health replies after | MiB before, after | released within |"
    );
    println!("|---|---|---|---|---|");
    for attack in &ATTACKS {
        runtime.block_on(attacked(&server, attack));
    }
}

async fn attacked(server: &Server, attack: &Attack) {
    let database = Client::with_uri_str(server.uri()).await.unwrap();
    let database = database.database(&format!("gtm_bench_{}", ObjectId::new()));
    let (things, orders) = (database.collection::<Document>("things"), of(attack, &database));
    let mut host = Host::start(server, attack, database.name());
    // The first op creates what later ones reuse.
    for n in 0..10 {
        host.handled(&things, n).await;
    }
    let before = resident(host.process.child().id());
    let clients: Vec<_> = match attack.arguments {
        ["silent"] => {
            (0..CONNECTIONS).map_while(|_| TcpStream::connect(("127.0.0.1", host.port)).ok()).collect()
        }
        _ => vec![],
    };
    let prober = Prober::start(host.port);
    let (started, mut waited) = (Instant::now(), Vec::new());
    for n in 10..OPS {
        if let Some(orders) = &orders {
            let errand = (attack.errand)(n).unwrap_or_else(|| doc! { "n": i64::try_from(n).ok() });
            orders.insert_one(errand).await.unwrap();
        }
        waited.push(host.handled(&things, n).await);
        if started.elapsed() > TIME {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    let health = prober.stop();
    drop(clients);
    let over = Instant::now();
    let after = loop {
        let now = resident(host.process.child().id());
        if now < before + KEPT || over.elapsed() > MINUTE {
            break now;
        }
        tokio::time::sleep(PAUSE).await;
    };
    waited.sort_by(f64::total_cmp);
    let three =
        |sorted: &[f64]| format!("{:.1} / {:.1}, {:.1}", at(sorted, 0.5), at(sorted, 0.99), at(sorted, 1.0));
    println!(
        "| {} | {} | {} | {before:.0}, {after:.0} | {:.0} s |",
        attack.name,
        three(&waited),
        three(&health),
        over.elapsed().as_secs_f64()
    );
    database.drop().await.unwrap();
    host.process.signal(nix::sys::signal::Signal::SIGTERM).unwrap();
    host.process.wait(OP_TIMEOUT).unwrap();
}

/// Returns the collection from which the hostile plugin receives its ops.
fn of(attack: &Attack, database: &mongodb::Database) -> Option<Collection<Document>> {
    let name = match attack.plugin? {
        "errand" => "errands",
        "every_call" => "seeds",
        _ => "orders",
    };
    Some(database.collection(name))
}

/// Returns the resident memory of a process in MiB.
fn resident(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().split(' ').next().unwrap().parse::<f64>().unwrap() / 1024.0
}

struct Host {
    process: Process,
    port: u16,
    /// The numbers of the ops that the good plugin received, and when.
    handled: Receiver<(Instant, usize)>,
}

impl Host {
    fn start(server: &Server, attack: &Attack, database: &str) -> Self {
        let port = free_port().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_gtm-host"));
        command.args(["--uri", server.uri(), "--store", "none", "--log-format", "json"]);
        command.args([
            "--admin",
            &format!("127.0.0.1:{port}"),
            "--limits-handle-timeout",
            "1s",
            "--retry-max-attempts",
            "1",
        ]);
        command.args(["--shutdown-grace", "0s", "--limits-memory", "64MiB"]);
        command.arg("--plugin").arg(format!("good={}", gtm_test_support::plugin("print_ops").display()));
        command.args(["--set", &format!("good:namespaces={database}.things")]);
        if let Some(plugin) = attack.plugin {
            command.arg("--plugin").arg(format!("hostile={}", gtm_test_support::plugin(plugin).display()));
            command.args(["--set", &format!("hostile:database={database}")]);
            if plugin == "misbehave" {
                command.args(["--set", &format!("hostile:namespace={database}.orders")]);
            }
            command.args(attack.arguments);
        }
        if attack.plugin == Some("errand") {
            command.args(["--grant", "hostile:mail", "--grant", "hostile:http=http://localhost:1"]);
            command.args(["--mail-url", "smtp://127.0.0.1:1"]);
        }
        command.env("GTM_CACHE_DIR", gtm_test_support::target_dir().join("testbed/cache"));
        let mut process = Process::start("gtm-host", command.stderr(Stdio::piped())).unwrap();
        let out = process.child().stderr.take().unwrap();
        let (tails, tailing) = mpsc::channel();
        let (sender, handled) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).split(b'\n').map_while(Result::ok) {
                let at = Instant::now();
                // The hostile plugin writes many long lines.
                let line = String::from_utf8_lossy(&line[..line.len().min(2000)]).into_owned();
                if line.contains("\"event\":\"source.tail\"") {
                    let _ = tails.send(());
                }
                let is_good = line.contains("\"plugin\":\"good\"") && line.contains("\"target\":\"plugin\"");
                if let Some(number) = is_good.then(|| number(&line)).flatten() {
                    let _ = sender.send((at, number));
                }
            }
        });
        for _ in 0..=usize::from(attack.plugin.is_some()) {
            tailing.recv_timeout(OP_TIMEOUT).unwrap();
        }
        Self { process, port, handled }
    }

    /// Writes an op, and waits until the good plugin receives it. Returns the time in milliseconds.
    async fn handled(&self, things: &Collection<Document>, n: usize) -> f64 {
        let written = Instant::now();
        things.insert_one(doc! { "_id": i64::try_from(n).ok() }).await.unwrap();
        loop {
            let (at, number) = self.handled.recv_timeout(OP_TIMEOUT).unwrap();
            if number == n {
                return (at - written).as_secs_f64() * 1e3;
            }
        }
    }
}

/// Returns the number of the op in a line of the good plugin, which contains JSON in JSON.
fn number(line: &str) -> Option<usize> {
    let (_, rest) = line.split_once("\\\"_id\\\":")?;
    rest.split(|sign: char| !sign.is_ascii_digit()).find(|digits| !digits.is_empty())?.parse().ok()
}

/// Requests `/health` again and again.
struct Prober {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<f64>>,
}

impl Prober {
    fn start(port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut took = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let started = Instant::now();
                ureq::get(format!("http://127.0.0.1:{port}/health")).call().unwrap();
                took.push(started.elapsed().as_secs_f64() * 1e3);
                std::thread::sleep(PAUSE);
            }
            took.sort_by(f64::total_cmp);
            took
        });
        Self { stop, thread }
    }

    /// Stops, and returns the sorted times of the replies in milliseconds.
    fn stop(self) -> Vec<f64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
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
