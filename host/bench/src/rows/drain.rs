//! Measures how fast a backlog is read.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};

use crate::expected::Ops;
use crate::host::{Host, Plugin};
use crate::server::{END, Mix, Options, Server};

/// The reader of a backlog.
#[derive(Clone, Debug)]
pub(crate) enum Reader {
    /// The bare driver, with this number of entries per reply. None: as many as the server sends.
    Bare(Option<u32>),
    /// A host with these plugins, the ops that they handle, and the address of its admin API, if it has one.
    Host { plugins: Vec<Plugin>, handled: Handled, admin: Option<String> },
}

/// The ops that plugins handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handled {
    None,
    Users,
    All,
}

/// A backlog on a server.
pub(crate) struct Backlog {
    server: Server,
    users: Ops,
    all: Ops,
}

impl Backlog {
    pub(crate) fn new(size: usize, count: u64, mix: Mix) -> anyhow::Result<Self> {
        let server = Server::start(Options { count, size, mix, rate: None, port: 0 })?;
        let (users, all) = (Ops::of(server.entries().ops(true)), Ops::of(server.entries().ops(false)));
        Ok(Self { server, users, all })
    }

    /// Returns the average size of an entry in bytes.
    pub(crate) fn average(&self) -> u64 {
        self.server.entries().average()
    }

    /// Returns how many entries are read per second, from the first read on.
    pub(crate) fn rate(&self, reader: &Reader) -> anyhow::Result<f64> {
        self.server.forget_readers();
        let ended = match reader {
            Reader::Bare(batch_size) => self.bare(*batch_size)?,
            Reader::Host { plugins, handled, admin } => self.host(plugins, *handled, admin.as_deref())?,
        };
        let started = self.server.take_first_read().context("nothing was read")?;
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        Ok(self.server.entries().count as f64 / (ended - started).as_secs_f64())
    }

    fn bare(&self, batch_size: Option<u32>) -> anyhow::Result<Instant> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["drain", "--uri", &self.server.uri()]);
        if let Some(size) = batch_size {
            command.args(["--batch-size", &size.to_string()]);
        }
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no standard output")?).read_line(&mut line)?;
        let ended = Instant::now();
        let status = child.wait()?;
        ensure!(status.success(), "the bare driver ended with {status}");
        let entries = line.split_whitespace().next().and_then(|count| count.parse::<u64>().ok());
        ensure!(entries == Some(self.server.entries().count + END), "the bare driver prints: {line}");
        Ok(ended)
    }

    fn host(&self, plugins: &[Plugin], handled: Handled, admin: Option<&str>) -> anyhow::Result<Instant> {
        let more: Vec<_> =
            admin.into_iter().flat_map(|address| ["--admin", address, "--admin-token", "bench"]).collect();
        let mut host = Host::start(&self.server.uri(), plugins, &more)?;
        let expected = match handled {
            Handled::None => Ops::default(),
            Handled::Users => self.users,
            Handled::All => self.all,
        };
        let ended = host.finish(expected, END * plugins.len() as u64)?;
        let filtered = host.reports.filtered;
        if plugins.iter().any(|plugin| plugin.component == "tally_all") {
            ensure!(filtered == self.all.count, "{filtered} ops of {} were filtered", self.all.count);
        }
        host.stop()?;
        Ok(ended)
    }
}
