//! Measures how long an op takes from the server to the plugin, at a steady rate.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::expected::Ops;
use crate::host::{Host, Plugin};
use crate::server::{END, Mix, Options, Server};

/// The number of entries per second, and in total.
const RATE: f64 = 10_000.0;
const COUNT: u64 = 30_000;

/// The median and the 99th percentile of the times from sending to handling, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    pub(crate) half: f64,
    pub(crate) most: f64,
}

/// Measures the inserts of users, handled by the plugin of a host.
pub(crate) fn of_host() -> anyhow::Result<Latency> {
    let server = server()?;
    let mut host = Host::start(&server.uri(), &[Plugin::new("tally_users", &["timed=yes"])], &[])?;
    host.finish(Ops::of(server.entries().ops(true)), END)?;
    let latencies = std::mem::take(&mut host.reports.latencies);
    host.stop()?;
    at(&latencies)
}

/// Measures the same ops with the bare driver.
pub(crate) fn of_driver() -> anyhow::Result<Latency> {
    let server = server()?;
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.args(["drain", "--timed", "--uri", &server.uri()]).output()?;
    let out = String::from_utf8(output.stdout)?;
    let mut latencies = BTreeMap::new();
    for micros in out.lines().filter_map(|line| line.strip_prefix("micros ")?.parse::<u64>().ok()) {
        *latencies.entry(micros).or_default() += 1;
    }
    at(&latencies)
}

fn server() -> anyhow::Result<Server> {
    Server::start(Options { count: COUNT, size: 300, mix: Mix::Mixed, rate: Some(RATE), port: 0 })
}

fn at(latencies: &BTreeMap<u64, u64>) -> anyhow::Result<Latency> {
    let count: u64 = latencies.values().sum();
    ensure!(count >= COUNT / 20, "only {count} ops were timed");
    let part = |part: u64, of: u64| {
        let mut before = count * part / of;
        let found = latencies.iter().find(|(_, count)| {
            let rest = before.checked_sub(**count);
            before = rest.unwrap_or(before);
            rest.is_none()
        });
        let micros = found.or(latencies.last_key_value()).map(|(micros, _)| *micros);
        Ok::<_, anyhow::Error>(
            Duration::from_micros(micros.context("nothing was timed")?).as_secs_f64() * 1e6,
        )
    };
    Ok(Latency { half: part(1, 2)?, most: part(99, 100)? })
}
