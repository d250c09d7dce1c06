//! A host as a process of its own, and the reports of its plugins.

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

use crate::expected::{Ops, PluginReports};

/// The maximum time until all ops of a stream are handled.
const FINISH_TIMEOUT: Duration = Duration::from_secs(120);

/// A plugin, with its name and config.
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

    /// Returns `count` plugins of one component, with numbered names.
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

    /// Returns how many ops a plugin handled. None: it is not the line that a plugin logs at its end.
    fn handled(&self) -> Option<u64> {
        self.handled.filter(|_| self.event == "plugin.stop")
    }

    /// Returns whether it is the line with which a plugin begins to tail.
    pub(crate) fn is_tailing(&self) -> bool {
        self.event == "source.tail"
    }
}

/// A host that runs.
pub(crate) struct Host {
    process: Process,
    lines: Receiver<(Instant, Line)>,
    pub(crate) reports: PluginReports,
    /// How many ops all its plugins handled until [`finish`](Self::finish) returned.
    finished: Option<u64>,
    /// The folder of the settings and checkpoints.
    _store: TempDir,
}

/// Returns the path of the program.
pub(crate) fn program() -> PathBuf {
    gtm_test_support::target_dir().join("release/gtm-host")
}

impl Host {
    /// Starts a host that follows `uri` from its oldest change on, unless `more` has another start.
    pub(crate) fn start(uri: &str, plugins: &[Plugin], more: &[&str]) -> anyhow::Result<Self> {
        let store = tempfile::tempdir()?;
        // An instance that is replaced would lose the plugin's own numbers.
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
                // A line that is not JSON is an error as the program ends.
                let text = Line { message: line.clone(), ..Line::default() };
                let line = serde_json::from_str(&line).unwrap_or(text);
                if sender.send((at, line)).is_err() {
                    return;
                }
            }
        });
        Ok(Self { process, lines, reports: PluginReports::default(), finished: None, _store: store })
    }

    pub(crate) fn id(&mut self) -> u32 {
        self.process.child().id()
    }

    /// Returns the next line of the log, and when it came. None: none came within `limit`.
    ///
    /// # Errors
    /// The host has ended, or it logs a warning or an error.
    pub(crate) fn line(&mut self, limit: Duration) -> anyhow::Result<Option<(Instant, Line)>> {
        match self.lines.recv_timeout(limit) {
            Ok((at, line)) => {
                if line.is_of_plugin() {
                    self.reports.take(&line.message);
                } else if line.level != "INFO" {
                    bail!("the host logs: {}", line.message);
                }
                Ok(Some((at, line)))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("the host has ended"),
        }
    }

    /// Waits until its plugins have handled these ops, and `ends` of the ops that end the stream. Returns when the last was handled.
    pub(crate) fn finish(&mut self, expected: Ops, ends: u64) -> anyhow::Result<Instant> {
        let deadline = Instant::now() + FINISH_TIMEOUT;
        let mut last = Instant::now();
        while self.reports.ends < ends {
            let line = self.line(deadline.saturating_duration_since(Instant::now()))?;
            last = line.map(|(at, _)| at).with_context(|| {
                format!(
                    "expected {expected:?} and {ends} ends, but within {} s there were {:?}",
                    FINISH_TIMEOUT.as_secs(),
                    self.reports
                )
            })?;
        }
        if (self.reports.handled, self.reports.ends) != (expected, ends) {
            bail!("expected {expected:?} and {ends} ends, but there were {:?}", self.reports);
        }
        self.finished = Some(expected.count + ends);
        Ok(last)
    }

    /// Stops the host as a user does, and checks that it handled nothing more after it had [finished](Self::finish).
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        self.process.signal(Signal::SIGTERM)?;
        let status = self.process.wait(Duration::from_secs(30))?;
        anyhow::ensure!(status.success(), "the host ended with {status}");
        let handled: u64 = self.lines.iter().filter_map(|(_, line)| line.handled()).sum();
        match self.finished {
            Some(expected) if expected != handled => {
                bail!("expected {expected} handled ops, but at the end there were {handled}")
            }
            _ => Ok(()),
        }
    }
}
