//! Shows the progress of long work: a bar on a terminal, or a log line at an interval elsewhere.

use std::fmt;
use std::io::{self, Stderr, Write};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::sanitize::line;

/// The interval between two log lines about the same work.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
const BAR_TEMPLATE: &str = "{prefix}: [{bar:30}] {msg}";

/// The progress bars of the whole process, drawn on standard error.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// The progress display of one piece of work.
#[derive(Debug)]
pub struct ProgressDisplay {
    what: String,
    bar: Option<ProgressBar>,
    logged: Instant,
}

impl ProgressDisplay {
    /// Creates a display whose lines begin with `what`, such as `snapshot of shop.orders`.
    pub fn new(what: impl Into<String>) -> Self {
        let what = line(&what.into()).into_owned();
        let bar = (!BARS.is_hidden()).then(|| {
            let bar = BARS.add(ProgressBar::new(0)).with_prefix(what.clone());
            bar.with_style(
                ProgressStyle::with_template(BAR_TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar()),
            )
        });
        Self { what, bar, logged: Instant::now() }
    }

    /// Shows that `done` of `all` units are complete, with further details in `words`. Pass 0 as `all` if the total is
    /// unknown.
    ///
    /// It updates no more often than a reader can follow, so it can be called for every batch.
    pub fn show(&mut self, done: u64, all: u64, words: impl fmt::Display) {
        if let Some(bar) = &self.bar {
            bar.set_length(all.max(done));
            bar.set_position(if all == 0 { 0 } else { done });
            bar.set_message(line(&words.to_string()).into_owned());
        } else if self.logged.elapsed() >= LOG_INTERVAL {
            self.logged = Instant::now();
            tracing::info!(
                event = "progress.report", task = self.what, done, total = (all > 0).then_some(all), state = %words,
                "in progress"
            );
        }
    }

    /// Removes the bar.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Writes the log to standard error, above the bars instead of into them. Pass it as `with_writer(LogWriter::default)`.
#[derive(Debug)]
pub struct LogWriter(Stderr);

impl Default for LogWriter {
    fn default() -> Self {
        Self(io::stderr())
    }
}

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        BARS.suspend(|| self.0.write(line))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
