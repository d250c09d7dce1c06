//! The history of runs: a file with a line of JSON for each.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::Row;

/// One run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Run {
    /// Seconds since 1970-01-01 UTC.
    pub(crate) at: u64,
    /// The revision that was measured, as Git describes it.
    pub(crate) revision: String,
    pub(crate) cores: usize,
    pub(crate) rows: Vec<Row>,
}

impl Run {
    pub(crate) fn new(rows: Vec<Row>) -> Self {
        let mut git = Command::new("git");
        let described =
            git.current_dir(gtm_test_support::root()).args(["describe", "--always", "--dirty"]).output();
        let revision = described.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        Self {
            at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            revision: revision.unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            rows,
        }
    }
}

/// The file with the runs of this machine.
pub(crate) struct History(PathBuf);

impl History {
    /// Returns the history in the build directory.
    pub(crate) fn of_this_machine() -> Self {
        Self(gtm_test_support::target_dir().join("bench/history.jsonl"))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.parent().unwrap_or(&self.0)
    }

    /// Adds the rows of a run, and writes them alone to `latest.json`.
    pub(crate) fn add(&self, rows: Vec<Row>) -> anyhow::Result<PathBuf> {
        fs::create_dir_all(self.folder())?;
        let run = Run::new(rows);
        let latest = self.folder().join("latest.json");
        fs::write(&latest, serde_json::to_vec_pretty(&run)?)?;
        let mut file = OpenOptions::new().create(true).append(true).open(&self.0)?;
        writeln!(file, "{}", serde_json::to_string(&run)?)?;
        Ok(latest)
    }

    /// Returns all runs, the oldest first.
    pub(crate) fn runs(&self) -> anyhow::Result<Vec<Run>> {
        let text = fs::read_to_string(&self.0).with_context(|| {
            format!("{} cannot be read. help: run `cargo xtask bench` first", self.0.display())
        })?;
        let line = |(number, line)| {
            serde_json::from_str(line).with_context(|| format!("{}, line {}", self.0.display(), number + 1))
        };
        text.lines().enumerate().map(line).collect()
    }
}
