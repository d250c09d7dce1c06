//! How much memory a host takes, under full load.

use std::time::{Duration, Instant};

use anyhow::Context;

use crate::host::{Host, Plugin};
use crate::server::{Mix, Options, Server};

/// An hour's worth of ops, at ten thousand in a second.
const COUNT: u64 = 36_000_000;
/// Looked at so often.
const PAUSE: Duration = Duration::from_millis(250);
/// Where the memory is that of a host that has begun: after so many seconds.
const BEGUN: Duration = Duration::from_secs(3);

/// Megabytes that a host with ten plugins has in memory while each of them filters every op: the most, the median soon after its start,
/// and that at the end.
pub(crate) struct Memory {
    pub(crate) most: f64,
    pub(crate) early: f64,
    pub(crate) late: f64,
}

/// Runs for as long as an hour's worth of ops takes, flat out, but `limit` at most.
pub(crate) fn of_host(limit: Duration) -> anyhow::Result<Memory> {
    let server = Server::start(Options { count: COUNT, size: 300, mix: Mix::Mixed, rate: None, port: 0 })?;
    let plugins: Vec<_> = Plugin::several("tally_users", 10).collect();
    let mut host = Host::start(&server.uri(), &plugins, &[])?;
    let (id, started) = (host.id(), Instant::now());
    let mut resident = Vec::new();
    while started.elapsed() < limit && host.said.ends == 0 {
        let until = Instant::now() + PAUSE;
        while host.line(until.saturating_duration_since(Instant::now()))?.is_some() {}
        if started.elapsed() > BEGUN {
            resident.push(megabytes(id, "VmRSS:")?);
        }
    }
    let most = megabytes(id, "VmHWM:")?;
    let part = resident.len() / 4;
    let median = |part: &[f64]| crate::report::median(&mut part.to_vec());
    let (early, late) = (resident.get(..part), resident.get(resident.len() - part..));
    let memory = Memory {
        most,
        early: median(early.context("it was too short")?),
        late: median(late.context("it was too short")?),
    };
    host.stop()?;
    Ok(memory)
}

/// Of a process, as the system says it.
pub(crate) fn megabytes(process: u32, name: &str) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such line")?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024.0 / 1e6)
}
