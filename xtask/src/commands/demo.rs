//! A demonstration of the main job: users are inserted into a live server, and a sandboxed plugin sends them mail.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use gtm_test_support::{Mail, Process, Server, SmtpSink, Venv};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{build, cargo, step, succeed};

/// The time within which each part must end.
const STEP_TIMEOUT: Duration = Duration::from_secs(300);
/// The time for ops after the last mail: a busy server always has one more.
const LAST_OPS_TIMEOUT: Duration = Duration::from_secs(1);

pub(crate) fn run() -> anyhow::Result<()> {
    step("build gtm-host", || succeed(&mut cargo(&["build", "--package", "gtm-host"])))?;
    step("build the plugins", || build::plugins(&["send_welcome_email", "print_ops"]))?;
    let venv = step("Python environment", Venv::ready)?;
    let server = step("start MongoDB", Server::ready)?;
    println!("    {}", server.describe());
    let sink = step("start a mail server", SmtpSink::start)?;
    let mut host = step("start gtm-host", || Host::start(&server, &sink))?;

    let expected = step("insert users and other documents", || insert(&venv, &server))?;
    let mails = show(&host, &sink, expected)?;
    host.stop()?;
    if mails != expected {
        bail!("{mails} of {expected} mails came");
    }
    println!("\nEvery mail came: {mails} of {expected}.");
    Ok(())
}

struct Host {
    process: Process,
    log: Receiver<Value>,
}

impl Host {
    fn start(server: &Server, sink: &SmtpSink) -> anyhow::Result<Self> {
        let mut command = Command::new(gtm_test_support::target_dir().join("debug/gtm-host"));
        for plugin in ["send_welcome_email", "print_ops"] {
            command.arg("--plugin").arg(gtm_test_support::plugin(plugin));
        }
        command.args(["--grant", "send_welcome_email:mail"]);
        command.args(["--mail-url", &sink.url(), "--log-format", "json"]).env("MONGODB_URI", server.uri());
        let mut shown: Vec<_> =
            vec!["gtm-host --plugin send_welcome_email.wasm --plugin print_ops.wasm".to_owned()];
        shown.push("--grant send_welcome_email:mail".to_owned());
        shown.push(format!("--uri '{}' --mail-url {}", server.uri(), sink.url()));
        println!("    {}", shown.join(" \\\n      "));

        let mut process = Process::start("gtm-host", command.stderr(Stdio::piped()))?;
        let output = process.child().stderr.take().context("gtm-host has no log")?;
        let (sender, log) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut host = Self { process, log };
        host.wait_until_tailing(2)?;
        Ok(host)
    }

    fn wait_until_tailing(&mut self, plugins: usize) -> anyhow::Result<()> {
        let mut tailing = 0;
        while tailing < plugins {
            match self.log.recv_timeout(STEP_TIMEOUT) {
                Ok(line) if line.get("event").is_some_and(|event| event == "source.tail") => tailing += 1,
                Ok(Value::String(line)) => bail!("{line}"),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    bail!("gtm-host did not tail within {} s", STEP_TIMEOUT.as_secs())
                }
                Err(RecvTimeoutError::Disconnected) => bail!("gtm-host ended while it started"),
            }
        }
        Ok(())
    }

    /// Waits for the next op that `print_ops` logs, and returns its id and its line.
    fn next_op(&self, limit: Duration) -> Option<(String, String)> {
        let deadline = Instant::now() + limit;
        loop {
            let line = self.log.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()?;
            let field = |name| line.get(name).and_then(Value::as_str);
            if let (Some("plugin"), Some("print_ops"), Some(op)) =
                (field("target"), field("plugin"), field("op"))
            {
                return Some((op.to_owned(), message(&line).to_owned()));
            }
        }
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        self.process.signal(Signal::SIGTERM)?;
        let status = self.process.wait(STEP_TIMEOUT)?;
        if !status.success() {
            bail!("gtm-host ended with {status}");
        }
        Ok(())
    }
}

fn insert(venv: &Venv, server: &Server) -> anyhow::Result<usize> {
    let output =
        venv.script("xtask/python/demo_inserts.py").arg(server.uri()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("the documents could not be inserted");
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
}

/// Prints each mail as it arrives, under the op that caused it, as the plugin `print_ops` logged that op; then the other ops.
/// Returns the number of mails.
fn show(host: &Host, sink: &SmtpSink, expected: usize) -> anyhow::Result<usize> {
    println!("\nEach mail as it arrives, under the change that caused it:");
    let mut ops = BTreeMap::new();
    let mut mails = 0;
    while mails < expected {
        let Some(mail) = sink.next(STEP_TIMEOUT) else { break };
        let id = op_of(&mail);
        while !ops.contains_key(&id) {
            let Some((id, op)) = host.next_op(STEP_TIMEOUT) else {
                bail!("print_ops logged no op for the mail {}", mail.id)
            };
            ops.insert(id, op);
        }
        let op = ops.remove(&id).unwrap_or_default();
        let text = mail.text.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        println!("\n  op    {op}");
        println!("  mail  to {}, \"{}\": {text}", mail.to.join(", "), mail.subject);
        println!("        {}", mail.id);
        mails += 1;
    }
    println!("\nOther changes, which ask for no mail:\n");
    let end = Instant::now() + LAST_OPS_TIMEOUT;
    ops.extend(std::iter::from_fn(|| host.next_op(end.saturating_duration_since(Instant::now()))));
    for op in ops.values() {
        println!("  op    {op}");
    }
    Ok(mails)
}

/// A Message-ID begins with the id of the op: `<SECONDS.INCREMENT.INDEX.…@…>`.
fn op_of(mail: &Mail) -> String {
    mail.id.trim_start_matches('<').split('.').take(3).collect::<Vec<_>>().join(".")
}

fn message(line: &Value) -> &str {
    line.get("message").and_then(Value::as_str).unwrap_or_default()
}
