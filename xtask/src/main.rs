//! `cargo xtask …`: what a person or CI runs.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

mod commands;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks of the gtm-host workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the main job on a live server: users are inserted, a plugin sends them mail
    Demo,
    /// Run everything that CI runs: formatting, lints, unit and integration tests
    Test {
        /// For the test programs, after a --: part of a test's name, for example
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Begin, build, test and try a plugin in each language, as a newcomer would
    Languages {
        /// Which [default: all]
        languages: Vec<String>,
    },
    /// Build the book in docs/ as HTML, into target/book
    Docs,
    /// Write the contract as C has it, after a change to wit/
    Bindings {
        /// Only say whether it is up to date
        #[arg(long)]
        check: bool,
    },
    /// Feed any bytes to what reads what strangers write, and say what it could not bear. Needs a nightly Rust and cargo-fuzz, except
    /// for host-calls: a plugin that calls whatever it can call, with arguments of every size and shape
    Fuzz {
        /// What [default: each but host-calls]
        #[arg(value_parser = commands::fuzz::TARGETS.into_iter().chain([commands::fuzz::HOST_CALLS]).collect::<Vec<_>>())]
        target: Option<String>,
        /// How long each target runs
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
        minutes: u64,
        /// How long host-calls runs
        #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..))]
        seconds: u64,
        /// Where host-calls begins, to run again what failed [default: anywhere]
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Measure the host beside the bare driver: prints a table, writes it as JSON and adds it to a history. Under ten minutes
    Bench {
        /// Instead, one of the smaller things
        #[arg(value_parser = commands::bench::PARTS)]
        part: Option<String>,
        /// Draw the history as an SVG file
        #[arg(long)]
        plot: bool,
        /// For the program that measures, after a --: `--rounds 9` or part of a row's name, say
        #[arg(last = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Demo => commands::demo::run(),
        Command::Test { arguments } => commands::test::run(&arguments),
        Command::Languages { languages } => commands::languages::run(&languages),
        Command::Docs => commands::docs::run(),
        Command::Bindings { check } => commands::bindings::run(check),
        Command::Fuzz { target, minutes, seconds, seed } => match target.as_deref() {
            Some(commands::fuzz::HOST_CALLS) => commands::fuzz::host_calls(seconds, seed),
            target => commands::fuzz::run(target, minutes),
        },
        Command::Bench { part, plot, arguments } => commands::bench::run(part.as_deref(), plot, &arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo xtask: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
