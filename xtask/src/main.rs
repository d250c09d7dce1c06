//! `cargo xtask …`: the tasks that a person or CI runs. Test support that needs no terminal is in `host/tests/support`.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

mod commands;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks of the gtm-host workspace
///
/// While you write, run `cargo xtask check` and `cargo xtask test NAME`. Before you propose a change, run `cargo xtask ci`. Each task
/// installs what it needs under target/; `cargo xtask TASK --help` says what it does and how long it takes.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the main job on a live server: users are inserted, a plugin sends them mail
    ///
    /// It builds the host and two plugins, starts a MongoDB server and a mail server on loopback, inserts documents, and prints each
    /// mail under the change that caused it. It fails if a mail is missing. MONGODB_URI names another server to use; the demonstration
    /// deletes the documents that it inserted.
    Demo,
    /// Check formatting, lints and unit tests of all crates: under a minute once the workspace is built
    ///
    /// It starts no server and builds no plugin, so it works offline. It lints integration tests and benchmarks too, without running
    /// them: `cargo xtask test NAME` does.
    Check,
    /// Run the tests whose path contains NAME; without NAME, everything that CI runs
    ///
    /// With NAME, it builds the host and its tests, lists unit and integration tests, and runs those whose path contains NAME. If an
    /// integration test is among them, it also builds the plugins and starts one MongoDB server for all of them (the one that
    /// MONGODB_URI names, a mongod on the PATH, or a test server from PyPI). It denies no warning and visits no other language.
    ///
    /// Without NAME, it does what `cargo xtask ci` does.
    #[command(after_long_help = "Examples:\n  \
        cargo xtask test delivery                        # integration tests in delivery/, unit tests of gtm-delivery\n  \
        cargo xtask test delivery::takeover              # one file\n  \
        cargo xtask test gtm_oplog::                     # the unit tests of one crate\n  \
        cargo xtask test swapping -- --nocapture         # arguments for the test programs come after --\n  \
        cargo xtask test languages                       # build a plugin in each language first, then test them\n  \
        cargo xtask test                                 # everything\n\n\
        A path is PROGRAM::MODULES::TEST. PROGRAM is the crate's name for unit tests (gtm_delivery), and integration for the rest.")]
    Test {
        /// Part of a test's path, such as delivery or lease::a_host. languages also builds a plugin in each language first
        name: Option<String>,
        /// Arguments for the test programs, such as --nocapture or --test-threads 1
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Run everything that CI runs, as `cargo xtask test` without a name does
    ///
    /// The steps: formatting; the features of dependencies (no command compiles one a second time); their licences, versions and
    /// sources (deny.toml); the bindings of the contract; the plugins; a plugin in each of eight languages, from `gtm-host new` on;
    /// lints; unit tests, integration tests, property tests with the seeds of the fuzz targets, and the examples in the
    /// documentation. It stops at the first step that fails. The first run takes tens of minutes on two cores.
    ///
    /// .ci/run runs this command by the name in the README, `cargo xtask test`.
    Ci,
    /// Create, build, test and try a plugin in each language, as a newcomer would
    ///
    /// It runs `gtm-host new`, then each command that it prints. `cargo xtask test languages` does this too, and then runs the tests
    /// that use these plugins.
    Languages {
        /// Languages to visit, such as rust, js, ts, python, c, cpp, go or zig [default: all]
        languages: Vec<String>,
    },
    /// Build the book in docs/ as HTML, into target/book
    ///
    /// The first run downloads mdBook into a virtual environment of Python. The integration tests check the links, commands and
    /// snippets of the pages; this command shows the pages as readers see them.
    Docs,
    /// Write the bindings of the contract, after a change to wit/
    ///
    /// It writes gtm.h and gtm.c in plugin-sdk/c, and the copy of wit/ in plugin-sdk/javascript. Rust and Python read wit/ itself.
    Bindings {
        /// Only check that they are up to date
        #[arg(long)]
        check: bool,
    },
    /// Feed random bytes to the parsers of untrusted input, or random calls to the host
    ///
    /// The targets need a nightly Rust and cargo-fuzz. host-calls needs neither: a plugin calls every import that it has, with arguments
    /// of every size and shape. A target that fails keeps its input; host-calls prints the seed that repeats the failure.
    Fuzz {
        /// The target [default: each but host-calls]
        #[arg(value_parser = commands::fuzz::TARGETS.into_iter().chain([commands::fuzz::HOST_CALLS]).collect::<Vec<_>>())]
        target: Option<String>,
        /// How long each target runs
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
        minutes: u64,
        /// How long host-calls runs
        #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..))]
        seconds: u64,
        /// The seed of host-calls, to repeat a failure [default: random]
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Measure the host beside the bare driver, in under ten minutes
    ///
    /// It prints a table, writes it as JSON under target/bench, and adds it to a history. Let nothing else run on the machine.
    Bench {
        /// Measure only this part
        #[arg(value_parser = commands::bench::PARTS)]
        part: Option<String>,
        /// Draw the history as an SVG file
        #[arg(long)]
        plot: bool,
        /// Arguments for the program that measures, such as --rounds 9 or part of a row's name
        #[arg(last = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Demo => commands::demo::run(),
        Command::Check => commands::check::run(),
        Command::Test { name: Some(name), arguments } => commands::test::run(&name, &arguments),
        Command::Test { name: None, arguments } => commands::ci::run(&arguments),
        Command::Ci => commands::ci::run(&[]),
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_help_of_each_task_says_more_than_one_line() {
        let mut command = Arguments::command();
        command.build();
        for task in command.get_subcommands() {
            let long = task.get_long_about().map(ToString::to_string).unwrap_or_default();
            assert!(task.get_name() == "help" || long.contains("\n\n"), "{}: {long}", task.get_name());
        }
    }

    #[test]
    fn a_name_is_told_from_arguments_for_the_test_programs() {
        let parsed = |arguments: &[&str]| {
            let words = ["xtask", "test"].into_iter().chain(arguments.iter().copied());
            match Arguments::parse_from(words).command {
                Command::Test { name, arguments } => (name, arguments),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(parsed(&[]), (None, Vec::new()));
        let name = Some("delivery".to_owned());
        assert_eq!(parsed(&["delivery", "--", "--nocapture"]), (name, vec!["--nocapture".to_owned()]));
        assert_eq!(parsed(&["--", "lease"]), (None, vec!["lease".to_owned()]));
    }
}
