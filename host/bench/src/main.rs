//! `gtm-bench`: compares gtm-host with the bare driver, on an oplog that is replayed from memory.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

mod bare;
mod expected;
mod host;
mod report;
mod rows;
mod server;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use bare::Drained;
use clap::{Args, Parser, Subcommand};
use report::{History, Row};
use server::{Mix, Options, Server};

/// Compares gtm-host with the bare driver.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Replay a synthetic oplog from memory
    Serve(Serve),
    /// Read an oplog with the bare driver
    Drain(Drain),
    /// Measure, print a table, write it as JSON and add it to the history
    Run(Run),
    /// Draw the history
    Plot {
        /// The file to write [default: history.svg beside the history]
        to: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct Serve {
    /// The number of entries before the 64 that end the stream, which are inserts into bench.end
    #[arg(long, default_value_t = 2_000_000)]
    count: u64,
    /// The size of an entry with a document, in bytes
    #[arg(long, default_value_t = 300)]
    size: usize,
    /// The kinds of entries
    #[arg(long, value_enum, default_value = "mixed")]
    mix: Mix,
    /// The number of entries per second [default: all are there from the start]
    #[arg(long)]
    rate: Option<f64>,
    /// The port on this machine
    #[arg(long, default_value_t = 27117)]
    port: u16,
}

#[derive(Debug, Args)]
struct Drain {
    /// The server
    #[arg(long, default_value = "mongodb://127.0.0.1:27117/?directConnection=true")]
    uri: String,
    /// The number of entries per reply [default: as many as the server sends]
    #[arg(long)]
    batch_size: Option<u32>,
    /// The number of threads
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Print how long each user took to arrive after it was sent
    #[arg(long)]
    timed: bool,
}

#[derive(Debug, Args)]
struct Run {
    /// The number of pairs for each row
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// The number of entries of 300 bytes in a backlog
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(100_000..))]
    count: u64,
    /// Draw the history, too
    #[arg(long)]
    plot: bool,
    /// Measure only rows whose kind contains this: drain, drain-sizes, drain-scraped, latency, lookups, live, memory, start
    only: Option<String>,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Serve(Serve { count, size, mix, rate, port }) => {
            let server = Server::start(Options { count, size, mix, rate, port })?;
            println!(
                "replaying {count} entries of {} bytes on average at {}",
                server.entries().average(),
                server.uri()
            );
            loop {
                std::thread::park();
            }
        }
        Command::Drain(drain) => drain.run(),
        Command::Run(run) => run.run(),
        Command::Plot { to } => draw(to),
    }
}

impl Drain {
    fn run(self) -> anyhow::Result<()> {
        let Self { uri, batch_size, threads, timed } = self;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
        let started = Instant::now();
        let start = bson::Timestamp { time: 0, increment: 0 };
        let drained = async move { bare::drain(&uri, start, batch_size, timed).await };
        let Drained { entries, latencies, client } =
            runtime.block_on(async move { tokio::spawn(drained).await })??;
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let rate = entries as f64 / started.elapsed().as_secs_f64();
        println!("{entries} entries, {rate:.0} per second");
        latencies.iter().for_each(|micros| println!("micros {micros}"));
        // The driver's background tasks must end before the runtime.
        runtime.block_on(client.shutdown().immediate(true).into_future());
        Ok(())
    }
}

impl Run {
    fn run(self) -> anyhow::Result<()> {
        let Self { rounds, count, only, plot } = self;
        let started = Instant::now();
        println!("{}", Row::heading());
        let extent = rows::Extent { rounds: usize::try_from(rounds)?, count };
        let mut rows = Vec::new();
        let measured = rows::measure(extent, only.as_deref().unwrap_or_default(), |row| {
            println!("{}", row.line());
            rows.push(row);
        });
        if rows.is_empty() {
            return measured;
        }
        let missed = rows.iter().filter(|row| row.reached() == Some(false)).count();
        let history = History::of_this_machine();
        let latest = history.add(rows)?;
        measured.context("the rows before this error are in the history")?;
        println!(
            "{:.0} s; {missed} goals missed. Each row: the median of {rounds} runs, and of their ratios to the baseline in the same round; ± is \
             half of the distance between the quartiles of these ratios. As JSON: {}; all runs: {}",
            started.elapsed().as_secs_f64(),
            latest.display(),
            history.path().display()
        );
        if plot { draw(None) } else { Ok(()) }
    }
}

fn draw(to: Option<PathBuf>) -> anyhow::Result<()> {
    let history = History::of_this_machine();
    let to = to.unwrap_or_else(|| history.folder().join("history.svg"));
    report::plot(&history.runs()?, &to)?;
    println!("the history is drawn in {}", to.display());
    Ok(())
}
