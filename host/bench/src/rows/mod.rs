//! Measures all kinds of rows in turn. Each kind has a file.

mod drain;
mod latency;
mod live;
mod lookups;
mod memory;
mod start;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use drain::{Backlog, Handled, Reader};
use gtm_test_support::Server;

use crate::host::Plugin;
use crate::report::{Goal, Row};
use crate::server::Mix;

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// The number of pairs for each row.
    pub(crate) rounds: usize,
    /// The number of entries of 300 bytes in a backlog.
    pub(crate) count: u64,
}

/// Measures the kinds of rows whose name contains `part`, and calls `found` with each row.
///
/// # Errors
/// No kind has such a name, or a row cannot be measured. The rows before it are valid.
pub(crate) fn measure(extent: Extent, part: &str, mut found: impl FnMut(Row)) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let kinds: Vec<_> = KINDS.iter().filter(|(name, _)| name.contains(part)).collect();
    let names = || KINDS.map(|(name, _)| name).join(", ");
    anyhow::ensure!(!kinds.is_empty(), "no kind of row contains \"{part}\"; there are: {}", names());
    kinds.into_iter().try_for_each(|(_, measure)| measure(extent, &runtime, &mut found))
}

type Measure = fn(Extent, &tokio::runtime::Runtime, &mut dyn FnMut(Row)) -> anyhow::Result<()>;

const KINDS: [(&str, Measure); 8] = [
    ("drain", drained),
    ("drain-sizes", sizes),
    ("drain-scraped", scraped),
    ("latency", latencies),
    ("lookups", looked_up),
    ("live", live_server),
    ("memory", in_memory),
    ("start", started),
];

fn host(plugins: impl IntoIterator<Item = Plugin>, handled: Handled) -> Reader {
    Reader::Host { plugins: plugins.into_iter().collect(), handled, admin: None }
}

fn users() -> Plugin {
    Plugin::new("tally_users", &[])
}

/// Measures each reader once per round. Each round begins with another reader, so that all have the same neighbours.
fn rounds(extent: Extent, readers: &[(&Backlog, Reader)]) -> anyhow::Result<Vec<Vec<f64>>> {
    let mut rates = vec![Vec::new(); readers.len()];
    for round in 0..extent.rounds {
        let mut all: Vec<_> = readers.iter().zip(&mut rates).collect();
        all.rotate_left(round % readers.len());
        for ((backlog, reader), rates) in all {
            rates.push(backlog.rate(reader)?);
        }
    }
    Ok(rates)
}

fn pairs(values: &[f64], baseline: &[f64]) -> Vec<(f64, f64)> {
    values.iter().copied().zip(baseline.iter().copied()).collect()
}

/// The baselines: replies of 16 MB, as the server sends by default, and of 1 MB, which the driver reads fastest.
const BARE: [&str; 2] = ["bare driver", "bare driver, batches of 1 MB"];

fn megabyte(size: usize) -> Option<u32> {
    u32::try_from((1 << 20) / size).ok()
}

fn drained(extent: Extent, _: &tokio::runtime::Runtime, add: &mut dyn FnMut(Row)) -> anyhow::Result<()> {
    let mixed = Backlog::new(300, extent.count, Mix::Mixed)?;
    let inserts = Backlog::new(300, extent.count, Mix::Inserts)?;
    let others = |count: usize| std::iter::once(users()).chain(Plugin::several("tally_others", count - 1));
    let rates = rounds(
        extent,
        &[
            (&mixed, Reader::Bare(None)),
            (&mixed, Reader::Bare(megabyte(300))),
            (&mixed, host([users()], Handled::Users)),
            (&mixed, host([Plugin::new("tally_others", &[])], Handled::None)),
            (&inserts, Reader::Bare(None)),
            (&inserts, host([Plugin::new("tally_all", &["want=none"])], Handled::None)),
            (&inserts, host([Plugin::new("tally_all", &[])], Handled::All)),
            (&mixed, host([Plugin::new("tally_all", &[])], Handled::All)),
            (&mixed, host(others(10), Handled::Users)),
            (&mixed, host(others(100), Handled::Users)),
        ],
    )?;
    let [bare, small, tenth, nobody, bare_inserts, rejected, every, every_mixed, ten, hundred] = &rates[..]
    else {
        return Ok(());
    };
    let mut drain = |name: &str, of: &str, rates: &[f64], baseline: &[f64], goal| {
        add(Row::of(&format!("drain: {name}"), "entries/s", of, &pairs(rates, baseline), goal));
    };
    let [large_batches, small_batches] = BARE;
    drain("one plugin wants a tenth", large_batches, tenth, bare, Goal::AtLeast(Some(0.7e6), Some(0.8)));
    drain("one plugin wants a tenth", small_batches, tenth, small, Goal::AtLeast(Some(0.7e6), Some(0.8)));
    drain("nobody wants anything", large_batches, nobody, bare, Goal::AtLeast(None, Some(0.95)));
    drain("nobody wants anything", small_batches, nobody, small, Goal::AtLeast(None, Some(0.95)));
    drain(
        "each filtered in Wasm, none wanted",
        large_batches,
        rejected,
        bare_inserts,
        Goal::AtLeast(Some(1e6), None),
    );
    drain("each handled", large_batches, every, bare_inserts, Goal::AtLeast(Some(0.4e6), None));
    drain("each handled, a third looked up", large_batches, every_mixed, bare, Goal::None);
    let cost = |rates: &[f64]| rates.iter().map(|rate| 1e6 / rate).collect::<Vec<_>>();
    let one = cost(tenth);
    for (others, rates, most) in [(9, ten, 1.2), (99, hundred, 1.5)] {
        add(Row::of(
            &format!("drain: a tenth, {others} on other namespaces"),
            "µs/entry",
            "one plugin",
            &pairs(&cost(rates), &one),
            Goal::AtMost(None, Some(most)),
        ));
    }
    Ok(())
}

fn sizes(extent: Extent, _: &tokio::runtime::Runtime, add: &mut dyn FnMut(Row)) -> anyhow::Result<()> {
    for (name, size, part, goal) in
        [("4 KB", 4096, 10, Goal::None), ("64 KB", 65536, 100, Goal::AtLeast(None, Some(0.8)))]
    {
        let backlog = Backlog::new(size, extent.count / part, Mix::Mixed)?;
        let readers = [Reader::Bare(None), Reader::Bare(megabyte(size)), host([users()], Handled::Users)];
        let rates = rounds(extent, &readers.map(|reader| (&backlog, reader)))?;
        let [large, small, tenth] = &rates[..] else { return Ok(()) };
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let megabytes = |rates: &[f64]| {
            rates.iter().map(|rate| rate * backlog.average() as f64 / 1e6).collect::<Vec<_>>()
        };
        for (of, baseline) in BARE.iter().zip([large, small]) {
            let pairs = pairs(&megabytes(tenth), &megabytes(baseline));
            add(Row::of(
                &format!("drain: documents of {name}, a tenth wanted"),
                "MB/s",
                of,
                &pairs,
                goal.clone(),
            ));
        }
    }
    Ok(())
}

/// Measures a host whose status and metrics are requested each second, and one for which they are not.
fn scraped(extent: Extent, _: &tokio::runtime::Runtime, add: &mut dyn FnMut(Row)) -> anyhow::Result<()> {
    let backlog = Backlog::new(300, extent.count * 4, Mix::Mixed)?;
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let ended = Arc::new(AtomicBool::new(false));
    let scraper = thread::spawn({
        let (address, ended) = (address.clone(), Arc::clone(&ended));
        move || {
            let mut scraped = 0;
            while !ended.load(Ordering::Relaxed) {
                for path in ["status", "metrics"] {
                    let request = ureq::get(format!("http://{address}/{path}"));
                    let answer = request.header("Authorization", "Bearer bench").call();
                    scraped += usize::from(
                        answer.is_ok_and(|mut answer| answer.body_mut().read_to_string().is_ok()),
                    );
                }
                thread::sleep(Duration::from_secs(1));
            }
            scraped
        }
    });
    let reader = |admin| Reader::Host { plugins: vec![users()], handled: Handled::Users, admin };
    let rates = rounds(extent, &[(&backlog, reader(None)), (&backlog, reader(Some(address)))])?;
    ended.store(true, Ordering::Relaxed);
    let scraped = scraper.join().map_err(|_| anyhow::anyhow!("the scraper has failed"))?;
    anyhow::ensure!(scraped >= extent.rounds, "the host was scraped only {scraped} times");
    let [alone, scraped] = &rates[..] else { return Ok(()) };
    add(Row::of(
        "drain: status and metrics each second",
        "entries/s",
        "not scraped",
        &pairs(scraped, alone),
        Goal::AtLeast(None, Some(0.98)),
    ));
    Ok(())
}

fn latencies(extent: Extent, _: &tokio::runtime::Runtime, add: &mut dyn FnMut(Row)) -> anyhow::Result<()> {
    let (mut half, mut most) = (Vec::new(), Vec::new());
    for _ in 0..extent.rounds {
        let (driver, host) = (latency::of_driver()?, latency::of_host()?);
        half.push((host.half, driver.half));
        most.push((host.most, driver.most));
    }
    add(Row::of(
        "latency: sent → handled, 10,000/s, median",
        "µs",
        "bare driver",
        &half,
        Goal::AtMost(Some(100.0), None),
    ));
    add(Row::of(
        "latency: sent → handled, 10,000/s, 99 of 100",
        "µs",
        "bare driver",
        &most,
        Goal::AtMost(Some(1000.0), None),
    ));
    Ok(())
}

fn looked_up(
    extent: Extent,
    runtime: &tokio::runtime::Runtime,
    add: &mut dyn FnMut(Row),
) -> anyhow::Result<()> {
    let server = Server::ready()?;
    let updates = runtime.block_on(lookups::Updates::write(&server))?;
    let mut times = Vec::new();
    for _ in 0..extent.rounds {
        let alone = runtime.block_on(updates.one_by_one())?;
        let (host, queries) = runtime.block_on(updates.by_host())?;
        // One if the first reply has all documents, two if it has the server's default number.
        anyhow::ensure!((1..=2).contains(&queries), "there were {queries} queries");
        times.push((host, alone));
    }
    add(Row::of(
        "lookups: 1,000 updates of 200 documents",
        "ms",
        "one by one",
        &times,
        Goal::AtMost(None, Some(0.2)),
    ));
    Ok(())
}

fn live_server(
    extent: Extent,
    runtime: &tokio::runtime::Runtime,
    add: &mut dyn FnMut(Row),
) -> anyhow::Result<()> {
    let server = Server::ready()?;
    let (mut medians, mut added) = (Vec::new(), Vec::new());
    for _ in 0..extent.rounds {
        let took = runtime.block_on(live::wake_ups(&server))?;
        let median =
            |of: fn(&(f64, f64)) -> f64| crate::report::median(&mut took.iter().map(of).collect::<Vec<_>>());
        let (host, driver) = (median(|took| took.0), median(|took| took.1));
        medians.push((host, driver));
        added.push((host - driver, 1.0));
    }
    add(Row::of("live: commit → handled, median", "ms", "bare driver's wake-up", &medians, Goal::None));
    add(Row::of(
        "live: what the host adds to that",
        "ms",
        "a millisecond",
        &added,
        Goal::AtMost(Some(0.5), None),
    ));
    Ok(())
}

fn in_memory(_: Extent, _: &tokio::runtime::Runtime, add: &mut dyn FnMut(Row)) -> anyhow::Result<()> {
    let memory = memory::of_host()?;
    add(Row::of(
        "memory: ten plugins under load, the most",
        "MB",
        "60 MB",
        &[(memory.most, 60.0)],
        Goal::AtMost(Some(60.0), None),
    ));
    let pair = [(memory.late, memory.early)];
    add(Row::of(
        "memory: the last quarter of 36 million entries",
        "MB",
        "the first quarter",
        &pair,
        Goal::AtMost(None, Some(1.05)),
    ));
    Ok(())
}

fn started(
    extent: Extent,
    runtime: &tokio::runtime::Runtime,
    add: &mut dyn FnMut(Row),
) -> anyhow::Result<()> {
    // The first start may compile the plugins.
    start::of_host()?;
    let mut times = Vec::new();
    for _ in 0..extent.rounds {
        times.push((start::of_host()?, runtime.block_on(start::of_driver())?));
    }
    add(Row::of(
        "start: ten compiled plugins, until they tail",
        "ms",
        "bare driver connects",
        &times,
        Goal::AtMost(Some(150.0), None),
    ));
    Ok(())
}
