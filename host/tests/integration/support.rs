//! Runs the program and looks at what it logs.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use bson::doc;
use bson::oid::ObjectId;
use gtm_runtime::Limits;
use gtm_test_support::{Process, Server};
use mongodb::Client;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::log;

/// The limit of every wait: far more than anything takes, also on a machine that is slow or busy with something else.
pub const LIMIT: Duration = Duration::from_secs(300);

/// How many milliseconds a test allows for what takes `milliseconds` at most on a fast machine that does nothing else.
///
/// Limits that a test sets for a plugin are wall-clock time, so they depend on the machine. The factor is measured once, with a fixed
/// amount of work, and doubled since others may come to want the machine too.
pub fn scaled(milliseconds: u64) -> u64 {
    static FACTOR: LazyLock<u64> = LazyLock::new(|| {
        let started = Instant::now();
        let sum = (0..WORK).fold(0_u64, |sum, n| std::hint::black_box(sum.rotate_left(5) ^ n));
        std::hint::black_box(sum);
        let taken = u64::try_from(started.elapsed().as_millis()).unwrap();
        2 * (taken / WORK_MILLISECONDS).clamp(1, 20)
    });
    milliseconds * *FACTOR
}

/// A limit of so many milliseconds, as the host says it.
pub fn in_words(milliseconds: u64) -> String {
    humantime::format_duration(Duration::from_millis(milliseconds)).to_string()
}

/// How long a call may take, or a lease lives, where a test is not about time: a machine that is busy stalls for seconds.
const PATIENT: Duration = Duration::from_secs(60);

/// The limits of a plugin where a test is not about time.
pub fn patient() -> Limits {
    Limits { filter_timeout: PATIENT, ..Limits::default() }
}

/// Whether these arguments are a settings file that has this limit. An argument for it goes before the environment anyway.
fn sets_filter_timeout(arguments: &[&str]) -> bool {
    arguments[0] == "--config"
        && std::fs::read_to_string(arguments[1]).is_ok_and(|settings| settings.contains("filter_timeout"))
}

/// Steps of the work by which a machine is measured, and what they take on a fast one.
const WORK: u64 = 800_000;
const WORK_MILLISECONDS: u64 = 60;

/// How many lines from either end of its log a host shows after a failed test.
const SHOWN_LINES: usize = 30;

/// A run of `gtm-host`.
pub struct Host {
    process: Process,
    lines: Receiver<String>,
    /// Ops that were printed while the host started, before the test waits for them.
    early: VecDeque<Value>,
    log: Vec<Value>,
    out: Receiver<String>,
}

impl Host {
    /// Starts the program, with its log as JSON.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_in(arguments, &[])
    }

    /// Starts the program with these variables in its environment.
    pub fn start_in(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gtm-host"));
        command.env_remove("MONGODB_URI").env("GTM_LOG_FORMAT", "json");
        // What is read in order is then printed in order.
        command.env("GTM_DELIVERY_ORDERING", "oplog");
        command.env("GTM_CACHE_DIR", gtm_test_support::target_dir().join("testbed/cache"));
        command.env("XDG_RUNTIME_DIR", runtime_dir());
        // Tests share a server, not their checkpoints.
        command.env("GTM_NAME", ObjectId::new().to_hex());
        // A server that all tests share may stall for longer than a lease lives by default.
        command.env("GTM_LEASE_TTL", format!("{}s", PATIENT.as_secs()));
        if !arguments.windows(2).any(sets_filter_timeout) {
            command.env("GTM_LIMITS_FILTER_TIMEOUT", format!("{}s", PATIENT.as_secs()));
        }
        command.envs(environment.iter().copied()).args(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process::start("gtm-host", &mut command).unwrap();
        let out = lines_of(process.child().stdout.take().unwrap());
        let lines = lines_of(process.child().stderr.take().unwrap());
        Self { process, lines, early: VecDeque::new(), log: Vec::new(), out }
    }

    /// The next whole line on standard output. None: there are no more.
    pub fn line(&self) -> Option<String> {
        match self.out.recv_timeout(LIMIT) {
            Err(RecvTimeoutError::Timeout) => panic!("nothing is printed"),
            line => line.ok(),
        }
    }

    /// The next op that `gtm-host tail` prints.
    pub fn op(&self) -> Value {
        serde_json::from_str(&self.line().expect("an op")).unwrap()
    }

    /// Starts the program and waits until its plugins listen.
    pub fn tailing(arguments: &[&str]) -> Self {
        let mut host = Self::start(arguments);
        let plugins = arguments.iter().filter(|argument| **argument == "--plugin").count();
        for _ in 0..plugins {
            host.wait_for("source.tail", &[]);
        }
        // One plugin may have ops before the other has said that it tails.
        host.early = host.log.iter().filter(|line| is_printed_op(line)).cloned().collect();
        host
    }

    /// Waits for an event with these fields. Lines before it are kept.
    pub fn wait_for(&mut self, event: &str, fields: &[(&str, &str)]) -> Value {
        self.wait_until(event, |line| log::is_event(line, event, fields))
    }

    /// Waits for a line of a plugin's own log with `part` in it.
    pub fn wait_for_plugin_log(&mut self, part: &str) -> Value {
        self.wait_until(part, |line| line["event"] == "plugin.log" && message(line).contains(part))
    }

    /// Counts the events with these fields, up to the last line that was waited for.
    pub fn count(&self, event: &str, fields: &[(&str, &str)]) -> usize {
        log::count(&self.log, event, fields)
    }

    /// Waits for a line that `wanted` accepts.
    pub fn wait_until(&mut self, what: &str, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        let deadline = Instant::now() + LIMIT;
        while let Some(line) = self.early.pop_front() {
            if wanted(&line) {
                return line;
            }
        }
        loop {
            let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) else {
                panic!("no line with {what:?} came within {} s", LIMIT.as_secs());
            };
            let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
            self.log.push(line.clone());
            if wanted(&line) {
                return line;
            }
        }
    }

    /// The next `count` ops that `print_ops` logs of a database.
    pub fn printed(&mut self, database: &str, count: usize) -> Vec<Value> {
        let mut ops = Vec::new();
        while ops.len() < count {
            let line = self.wait_until("an op", is_printed_op);
            let op: Value = serde_json::from_str(message(&line)).unwrap();
            if op["ns"]["db"] == database {
                ops.push(op);
            }
        }
        ops
    }

    /// Its process id.
    pub fn pid(&mut self) -> u32 {
        self.process.child().id()
    }

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal).unwrap();
    }

    /// Sends SIGTERM and waits for the end. Gives back the exit code and the lines since the last
    /// that was waited for.
    pub fn stop(mut self) -> (Option<i32>, Vec<Value>) {
        self.signal(Signal::SIGTERM);
        self.ended()
    }

    /// Waits for the program to end by itself.
    pub fn ended(&mut self) -> (Option<i32>, Vec<Value>) {
        let status = self.process.wait(LIMIT).unwrap();
        let lines = self
            .lines
            .iter()
            .map(|line| serde_json::from_str(&line).unwrap_or(Value::String(line)))
            .collect();
        (status.code(), lines)
    }

    /// Waits for the end. Gives back the exit code and all lines from the start on.
    pub fn all(mut self) -> (Option<i32>, Vec<Value>) {
        let (code, rest) = self.ended();
        (code, self.log.drain(..).chain(rest).collect())
    }

    /// Where a host that was started with `--admin 127.0.0.1:0` listens.
    pub fn address(&self) -> String {
        let url = self.log.iter().find_map(|line| line["url"].as_str()).expect("it listens");
        url.strip_prefix("http://").unwrap().to_owned()
    }

    /// The token that such a host made.
    pub fn token(&self) -> String {
        let file = self.log.iter().find_map(|line| line["token_file"].as_str()).expect("it made a token");
        std::fs::read_to_string(file).unwrap().trim_end().to_owned()
    }

    /// The path of its socket.
    pub fn socket(&self) -> String {
        self.log.iter().find_map(|line| line["socket"].as_str()).expect("it has a socket").to_owned()
    }

    /// What such a host says that it does.
    pub fn status(&self) -> Value {
        let (code, out, said) = run(&["status", "--output", "json", "--admin", &self.address()]);
        assert_eq!(code, Some(0), "{said}");
        serde_json::from_str(&out).unwrap()
    }

    /// Waits until each plugin of such a host has done all up to a position that ends with this.
    pub async fn wait_for_position(&self, end: &str) {
        let is_there = |plugin: &Value| plugin["position"].as_str().is_some_and(|at| at.ends_with(end));
        let what = format!("all plugins are at a position that ends with {end}");
        eventually(&what, async || self.status()["plugins"].as_array().unwrap().iter().all(is_there)).await;
    }

    /// The lines so far, up to the last that was waited for.
    pub fn logged(&self) -> &[Value] {
        &self.log
    }

    /// Forgets the lines so far: of a host that logs for long.
    pub fn forget(&mut self) {
        self.log.clear();
    }

    /// The log, without its middle if it is long.
    fn shown(&self) -> String {
        let ends = SHOWN_LINES..self.log.len().saturating_sub(SHOWN_LINES);
        let line = |(n, line): (usize, &Value)| match line {
            _ if n == ends.start && !ends.is_empty() => format!("({} lines)\n", ends.len()),
            _ if ends.contains(&n) => String::new(),
            Value::String(line) => format!("{line}\n"),
            line => format!("{line}\n"),
        };
        self.log.iter().enumerate().map(line).collect()
    }
}

impl Drop for Host {
    /// A test that fails shows what the host logged.
    #[expect(clippy::print_stderr, reason = "for who reads why a test failed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.log.extend(self.lines.try_iter().map(Value::String));
            eprintln!("the log of the host:\n{}", self.shown());
        }
    }
}

/// Where the hosts of the tests have their sockets and tokens.
pub fn runtime_dir() -> PathBuf {
    let directory = gtm_test_support::target_dir().join("testbed/run");
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

/// The whole lines that come, read on a thread so that the writer never waits.
fn lines_of(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = String::new();
        // A writer that is killed leaves half a line.
        while pipe.read_line(&mut line).is_ok() && line.ends_with('\n') {
            line.truncate(line.len() - 1);
            if sender.send(std::mem::take(&mut line)).is_err() {
                return;
            }
        }
    });
    lines
}

/// Runs a command to its end. Gives back its exit code, what it printed, and what it said on standard error.
pub fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut host = Host::start(&[arguments, &["--log-format", "text"]].concat());
    let printed = std::iter::from_fn(|| host.line()).map(|line| line + "\n").collect();
    let (code, said) = host.ended();
    (code, printed, said.iter().map(message).collect::<Vec<_>>().join("\n"))
}

/// Whether `print_ops` logged an op.
fn is_printed_op(line: &Value) -> bool {
    line["plugin"] == "print_ops" && line["target"] == "plugin" && message(line).starts_with('{')
}

/// The namespace of an op that was printed: `database.collection`, or `database`.
pub fn namespace(op: &Value) -> String {
    let database = op["ns"]["db"].as_str().unwrap();
    match op["ns"]["coll"].as_str() {
        Some(collection) => format!("{database}.{collection}"),
        None => database.to_owned(),
    }
}

/// The id of an op that was printed.
pub fn op_id(op: &Value) -> &str {
    op["_id"]["_data"].as_str().unwrap()
}

/// What a line says.
pub fn message(line: &Value) -> &str {
    line.as_str().or_else(|| line["message"].as_str()).unwrap_or_default()
}

/// Runs the program, which should fail, and gives back the one sentence that it ends with.
pub fn error_of(arguments: &[&str]) -> String {
    ended_with(1, arguments)
}

/// The same, where the program does not understand what is said to it.
pub fn usage_error_of(arguments: &[&str]) -> String {
    ended_with(2, arguments)
}

fn ended_with(status: i32, arguments: &[&str]) -> String {
    let mut host = Host::start(&[arguments, &["--log", "error", "--log-format", "text"]].concat());
    let (code, said) = host.ended();
    assert_eq!(code, Some(status), "{said:?}");
    assert_eq!(said.len(), 1, "one sentence and no backtrace: {said:?}");
    message(&said[0]).strip_prefix("gtm-host: error: ").unwrap().to_owned()
}

/// Waits until `is_so`, asked again and again.
pub async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so().await {
        assert!(Instant::now() < deadline, "not within {} s: {what}", LIMIT.as_secs());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The path of a built plugin.
pub fn plugin(name: &str) -> String {
    let path = gtm_test_support::plugin(name);
    assert!(path.exists(), "{} is not built: cargo xtask test NAME builds it", path.display());
    path.to_str().unwrap().to_owned()
}

/// A database that no other test uses. Dropped, it is dropped.
pub struct Database {
    pub name: String,
    pub client: Client,
    uri: String,
}

impl Database {
    pub async fn new(uri: &str) -> Self {
        let client = Client::with_uri_str(uri).await.unwrap();
        Self { name: format!("gtm_test_{}", ObjectId::new()), client, uri: uri.to_owned() }
    }

    /// The server's time now, as a start. Tests that share a server read only what was written since.
    pub async fn now(&self) -> String {
        let hello = self.client.database("admin").run_command(doc! { "hello": 1 }).await.unwrap();
        let now = hello.get_timestamp("operationTime").unwrap();
        format!("{}.{}", now.time, now.increment)
    }

    pub fn collection(&self, name: &str) -> mongodb::Collection<bson::Document> {
        self.client.database(&self.name).collection(name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (name, uri) = (self.name.clone(), self.uri.clone());
        // In a runtime of its own, as a drop cannot wait. A server that was killed needs no tidying.
        let tidy = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let client = Client::with_uri_str(uri).await?;
                tokio::time::timeout(Duration::from_secs(5), client.database(&name).drop())
                    .await
                    .unwrap_or(Ok(()))
            })
        });
        let _ = tidy.join();
    }
}

/// A capped collection `oplog` to write entries to, as a server has them.
pub async fn create_oplog(own: &Database, entries: impl IntoIterator<Item = bson::Document>) -> String {
    own.client.database(&own.name).create_collection("oplog").capped(true).size(64 << 20).await.unwrap();
    for entry in entries {
        own.collection("oplog").insert_one(entry).await.unwrap();
    }
    format!("{}.oplog", own.name)
}

/// Numbers that look random and are the same in each run (xorshift, Marsaglia 2003).
pub fn random(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state >> 16).unwrap()
}

/// A host whose plugin does `how` with each op of the collection `things`.
pub struct Scene {
    pub own: Database,
    pub host: Host,
    _server: Server,
}

impl Scene {
    pub async fn misbehaving(how: &str, more: &[&str]) -> Self {
        let server = Server::ready().unwrap();
        let own = Database::new(server.uri()).await;
        let namespace = format!("namespace={}.things", own.name);
        let misbehave = plugin("misbehave");
        let arguments = ["--plugin", &misbehave, "--uri", server.uri(), "--set", &namespace, "--set", how];
        let host = Host::tailing(&[&arguments[..], more].concat());
        Self { own, host, _server: server }
    }

    pub fn things(&self) -> mongodb::Collection<bson::Document> {
        self.own.collection("things")
    }
}
