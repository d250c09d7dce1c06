//! How fast a backlog is drained.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};

use crate::expected::Ops;
use crate::host::{Host, Plugin};
use crate::server::{END, Mix, Options, Server};

/// Who drains it.
#[derive(Clone, Debug)]
pub(crate) enum Reader {
    /// The driver, asking for so many entries at once. None: as many as the server sends.
    Bare(Option<u32>),
    /// A host with these plugins; of its ops, all or only those of users are handled by so many of them.
    /// It may be seen at an address.
    Host { plugins: Vec<Plugin>, handled: Handled, admin: Option<String> },
}

/// Which ops are handled.
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

    /// Bytes of the average entry.
    pub(crate) fn average(&self) -> u64 {
        self.server.entries().average()
    }

    /// Entries drained in a second, from the first read on.
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
        let mut said = String::new();
        BufReader::new(child.stdout.take().context("no standard output")?).read_line(&mut said)?;
        let ended = Instant::now();
        let status = child.wait()?;
        ensure!(status.success(), "the bare driver ended with {status}");
        let entries = said.split_whitespace().next().and_then(|count| count.parse::<u64>().ok());
        ensure!(entries == Some(self.server.entries().count + END), "the bare driver says: {said}");
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
        let filtered = host.said.filtered;
        if plugins.iter().any(|plugin| plugin.component == "tally_all") {
            ensure!(filtered == self.all.count, "{filtered} ops were filtered of {}", self.all.count);
        }
        host.stop()?;
        Ok(ended)
    }
}
