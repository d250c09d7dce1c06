//! A host at work, as a process of its own, and what its plugins say.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use gtm_test_support::Process;
use nix::sys::signal::Signal;
use serde::Deserialize;
use tempfile::TempDir;

use crate::expected::{Ops, Said};

/// How long a stream may take to its end.
const PATIENCE: Duration = Duration::from_secs(120);

/// A plugin, and the names and config that it has.
#[derive(Clone, Debug)]
pub(crate) struct Plugin {
    pub(crate) component: &'static str,
    pub(crate) name: String,
    pub(crate) config: Vec<&'static str>,
}

impl Plugin {
    pub(crate) fn new(component: &'static str, config: &[&'static str]) -> Self {
        Self { component, name: component.to_owned(), config: config.to_vec() }
    }

    /// So many, by numbered names.
    pub(crate) fn several(component: &'static str, count: usize) -> impl Iterator<Item = Self> {
        (0..count).map(move |n| Self { component, name: format!("{component}{n}"), config: Vec::new() })
    }
}

/// A line of a host's log.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Line {
    level: String,
    target: String,
    event: String,
    handled: Option<u64>,
    pub(crate) message: String,
}

impl Line {
    fn is_of_plugin(&self) -> bool {
        self.target == "plugin"
    }

    /// How many ops a plugin has handled, where it is said at the end.
    fn handled(&self) -> Option<u64> {
        self.handled.filter(|_| self.event == "plugin.stop")
    }

    /// A plugin is brought what changes from now on.
    pub(crate) fn says_that_it_tails(&self) -> bool {
        self.event == "source.tail"
    }
}

/// A host that runs.
pub(crate) struct Host {
    process: Process,
    lines: Receiver<(Instant, Line)>,
    pub(crate) said: Said,
    /// Ops that all its plugins were to handle, when they had.
    finished: Option<u64>,
    /// Checkpoints are kept here.
    _store: TempDir,
}

/// Where the program is.
pub(crate) fn program() -> PathBuf {
    gtm_test_support::target_dir().join("release/gtm-host")
}

impl Host {
    /// Starts one that follows `uri` from its oldest change on.
    pub(crate) fn start(uri: &str, plugins: &[Plugin], more: &[&str]) -> anyhow::Result<Self> {
        let store = tempfile::tempdir()?;
        // So that a plugin's own numbers are not lost with an instance that is replaced.
        let settings = store.path().join("gtm.toml");
        std::fs::write(&settings, "[limits]\nrecycle_calls = 4000000000\n")?;
        let mut command = Command::new(program());
        command.arg("--config").arg(&settings);
        command.env("GTM_CACHE_DIR", gtm_test_support::target_dir().join("testbed/cache"));
        command.args(["--log-format", "json", "--uri", uri]);
        if !more.contains(&"--start") {
            command.args(["--start", "oldest"]);
        }
        command.arg("--store").arg(format!("file:{}", store.path().join("store").display()));
        for Plugin { component, name, config } in plugins {
            command.arg("--plugin").arg(format!("{name}={}", gtm_test_support::plugin(component).display()));
            for value in config {
                command.arg("--set").arg(format!("{name}:{value}"));
            }
        }
        command.args(more).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = Process::start("gtm-host", &mut command)?;
        let out = process.child().stderr.take().context("no standard error")?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let at = Instant::now();
                // What is no such line is said on the way out.
                let said = Line { message: line.clone(), ..Line::default() };
                let line = serde_json::from_str(&line).unwrap_or(said);
                if sender.send((at, line)).is_err() {
                    return;
                }
            }
        });
        Ok(Self { process, lines, said: Said::default(), finished: None, _store: store })
    }

    pub(crate) fn id(&mut self) -> u32 {
        self.process.child().id()
    }

    /// The next line that it logs, and when.
    pub(crate) fn line(&mut self, limit: Duration) -> anyhow::Result<Option<(Instant, Line)>> {
        match self.lines.recv_timeout(limit) {
            Ok((at, line)) => {
                if line.is_of_plugin() {
                    self.said.take(&line.message);
                } else if line.level != "INFO" {
                    bail!("the host says: {}", line.message);
                }
                Ok(Some((at, line)))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("the host has ended"),
        }
    }

    /// Waits until its plugins have handled these ops, and `ends` of those that end the stream.
    pub(crate) fn finish(&mut self, expected: Ops, ends: u64) -> anyhow::Result<Instant> {
        let deadline = Instant::now() + PATIENCE;
        let mut last = Instant::now();
        while self.said.ends < ends {
            let line = self.line(deadline.saturating_duration_since(Instant::now()))?;
            last = line.map(|(at, _)| at).with_context(|| {
                format!(
                    "expected {expected:?} and {ends} ends, but within {} s there were {:?}",
                    PATIENCE.as_secs(),
                    self.said
                )
            })?;
        }
        if (self.said.handled, self.said.ends) != (expected, ends) {
            bail!("expected {expected:?} and {ends} ends, but there were {:?}", self.said);
        }
        self.finished = Some(expected.count + ends);
        Ok(last)
    }

    /// Stops it as a person would, and sees that nothing more was handled than when it had [finished](Self::finish).
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        self.process.signal(Signal::SIGTERM)?;
        let status = self.process.wait(Duration::from_secs(30))?;
        anyhow::ensure!(status.success(), "the host ended with {status}");
        let handled: u64 = self.lines.iter().filter_map(|(_, line)| line.handled()).sum();
        match self.finished {
            Some(expected) if expected != handled => {
                bail!("{expected} ops were to be handled, but in the end {handled} were")
            }
            _ => Ok(()),
        }
    }
}
