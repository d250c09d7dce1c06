//! Measures how much memory a host takes under full load.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::expected::Ops;
use crate::host::{Host, Plugin};
use crate::server::{END, Mix, Options, Server};

const PLUGINS: usize = 10;
const LOAD_TIMEOUT: Duration = Duration::from_secs(180);

/// The number of ops in an hour at 10,000 per second.
const COUNT: u64 = 36_000_000;
/// The interval between two measurements.
const MEASURE_INTERVAL: Duration = Duration::from_millis(250);
/// How long the host starts before its memory is measured.
const START_TIME: Duration = Duration::from_secs(3);

/// The memory of a host with ten plugins, each of which filters and handles a tenth of the ops, in MB: the maximum, the median of the
/// first quarter after its start, and that of the last quarter.
pub(crate) struct Memory {
    pub(crate) most: f64,
    pub(crate) early: f64,
    pub(crate) late: f64,
}

/// Measures a host while it handles an hour's ops at full speed.
pub(crate) fn of_host() -> anyhow::Result<Memory> {
    let server = Server::start(Options { count: COUNT, size: 300, mix: Mix::Mixed, rate: None, port: 0 })?;
    let plugins: Vec<_> = Plugin::several("tally_users", PLUGINS).collect();
    let expected = Ops::of(server.entries().ops(true)).times(PLUGINS as u64);
    let mut host = Host::start(&server.uri(), &plugins, &[])?;
    let (id, started) = (host.id(), Instant::now());
    let mut resident = Vec::new();
    while host.reports.ends == 0 {
        ensure!(started.elapsed() < LOAD_TIMEOUT, "the host takes longer than {} s", LOAD_TIMEOUT.as_secs());
        let until = Instant::now() + MEASURE_INTERVAL;
        while host.line(until.saturating_duration_since(Instant::now()))?.is_some() {}
        if started.elapsed() > START_TIME {
            resident.push(megabytes(id, "VmRSS:")?);
        }
    }
    let most = megabytes(id, "VmHWM:")?;
    host.finish(expected, END * PLUGINS as u64)?;
    host.stop()?;
    let part = resident.len() / 4;
    ensure!(part > 0, "the host ended before its memory was measured four times");
    let median = |part: &[f64]| crate::report::median(&mut part.to_vec());
    let early = resident.get(..part).unwrap_or_default();
    let late = resident.get(resident.len() - part..).unwrap_or_default();
    Ok(Memory { most, early: median(early), late: median(late) })
}

/// Returns a value from the status of a process, in MB.
pub(crate) fn megabytes(process: u32, name: &str) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such line")?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024.0 / 1e6)
}
