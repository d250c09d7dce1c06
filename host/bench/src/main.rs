//! `gtm-bench`: gtm-host beside the bare driver, on an oplog that is replayed at the speed of memory.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

mod bare;
mod expected;
mod host;
mod rows;
mod server;

use std::time::Instant;

use clap::{Args, Parser, Subcommand};
use server::{Mix, Options, Server};

/// Measures gtm-host beside the bare driver.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Replay a synthetic oplog from memory, for whatever tails it
    Serve(Serve),
    /// Read an oplog by the bare driver
    Drain(Drain),
    /// Try
    Try { rows: String, #[arg(long, default_value_t=3)] rounds: usize, #[arg(long, default_value_t=2_000_000)] count: u64, #[arg(long, default_value_t=300)] size: usize, #[arg(long)] more: Vec<String> },
}

#[derive(Debug, Args)]
struct Serve {
    /// Entries, before the 64 that end the stream: inserts into bench.end
    #[arg(long, default_value_t = 2_000_000)]
    count: u64,
    /// Bytes of an entry with a document
    #[arg(long, default_value_t = 300)]
    size: usize,
    /// Which entries
    #[arg(long, value_enum, default_value = "mixed")]
    mix: Mix,
    /// Entries that are written in a second [default: all are there from the start]
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
    /// Entries that are asked for at once [default: as many as the server sends]
    #[arg(long)]
    batch_size: Option<u32>,
    /// Threads
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Try { rows, rounds, count, size, more } => {
            use rows::drain::*; use host::Plugin;
            let backlog = Backlog::new(size, count, Mix::Mixed)?;
            let plain = Backlog::new(size, count, Mix::Inserts)?;
            for round in 0..rounds { for row in rows.split(',') {
                let h = |plugins: Vec<Plugin>, handled| Reader::Host { plugins, handled, more: more.clone() };
                let (b, reader) = match row {
                    "bare" => (&backlog, Reader::Bare(None)),
                    "bare5000" => (&backlog, Reader::Bare(Some(5000))),
                    "tenth" => (&backlog, h(vec![Plugin::new("tally_users", &[])], Handled::Users)),
                    "nobody" => (&backlog, h(vec![Plugin::new("tally_others", &[])], Handled::None)),
                    "rejected" => (&plain, h(vec![Plugin::new("tally_all", &["want=none"])], Handled::None)),
                    "every" => (&plain, h(vec![Plugin::new("tally_all", &[])], Handled::All)),
                    "rejectedmixed" => (&backlog, h(vec![Plugin::new("tally_all", &["want=none"])], Handled::None)),
                    "everymixed" => (&backlog, h(vec![Plugin::new("tally_all", &[])], Handled::All)),
                    "ten" => (&backlog, h(std::iter::once(Plugin::new("tally_users", &[])).chain(Plugin::several("tally_others", 9)).collect(), Handled::Users)),
                    "hundred" => (&backlog, h(std::iter::once(Plugin::new("tally_users", &[])).chain(Plugin::several("tally_others", 99)).collect(), Handled::Users)),
                    _ => anyhow::bail!("{row}"),
                };
                println!("{round} {row} {:.0}", b.rate(&reader)?);
            } }
            Ok(())
        }
        Command::Serve(Serve { count, size, mix, rate, port }) => {
            let server = Server::start(Options { count, size, mix, rate, port })?;
            println!("replaying {count} entries of {} bytes on average at {}", server.entries().average(), server.uri());
            loop {
                std::thread::park();
            }
        }
        Command::Drain(Drain { uri, batch_size, threads }) => {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
            let started = Instant::now();
            let (entries, _) = runtime.block_on(async move { tokio::spawn(async move {
                bare::drain(&uri, bson::Timestamp { time: 0, increment: 0 }, batch_size, false).await
            }).await })??;
            println!("{entries} entries, {:.0} a second", entries as f64 / started.elapsed().as_secs_f64());
            Ok(())
        }
    }
}
