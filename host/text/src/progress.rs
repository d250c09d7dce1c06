//! Shows how far long work is: a bar on a terminal, a line in the log now and then elsewhere.

use std::fmt;
use std::io::{self, Stderr, Write};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::sanitize::line;

/// Between two lines in the log.
const PAUSE: Duration = Duration::from_secs(10);
const BAR: &str = "{prefix}: [{bar:30}] {msg}";

/// All bars of the process, on standard error.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// One piece of work, shown.
#[derive(Debug)]
pub struct ProgressDisplay {
    what: String,
    bar: Option<ProgressBar>,
    said: Instant,
}

impl ProgressDisplay {
    /// `what` each line begins with: `snapshot`, say, and of what.
    pub fn new(what: impl Into<String>) -> Self {
        let what = line(&what.into()).into_owned();
        let bar = (!BARS.is_hidden()).then(|| {
            let bar = BARS.add(ProgressBar::new(0)).with_prefix(what.clone());
            bar.with_style(ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { what, bar, said: Instant::now() }
    }

    /// Shows that so much of it is `done`, in some unit, and the rest in words; no more often than a reader can follow, so
    /// that it can be called for every batch. Where it is not known how much there is, `all` is 0.
    pub fn show(&mut self, done: u64, all: u64, words: impl fmt::Display) {
        if let Some(bar) = &self.bar {
            bar.set_length(all.max(done));
            bar.set_position(if all == 0 { 0 } else { done });
            bar.set_message(line(&words.to_string()).into_owned());
        } else if self.said.elapsed() >= PAUSE {
            self.said = Instant::now();
            tracing::info!("{}: {words}", self.what);
        }
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Standard error for the log (`with_writer(LogWriter::default)`): a line goes above the bars, not into them.
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
