//! Feeds random bytes to the parsers of untrusted input, and random calls of a plugin to the host.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use bson::{Bson, Document};
use gtm_test_support::Process;
use serde_json::Value;

use super::{build, cargo, step, succeed};

/// The target that does not run with cargo-fuzz: a plugin calls every import of a real host.
pub(crate) const HOST_CALLS: &str = "host-calls";
/// The targets that run with cargo-fuzz.
pub(crate) const TARGETS: [&str; 8] =
    ["admin", "delta", "entry", "extended_json", "files", "grants", "pipeline", "request"];
/// The test in which a plugin calls every import.
const TEST: &str = "hostile::every_call::no_call_costs_the_host_much";
/// The time for the last input and for the statistics.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// Has a plugin make calls for this many seconds, from this seed on, or from a random one.
pub(crate) fn host_calls(seconds: u64, seed: Option<u64>) -> anyhow::Result<()> {
    step("plugins", || build::plugins(&["every_call"]))?;
    step(HOST_CALLS, || {
        let mut test = cargo(&["test", "--package", "gtm-host", "--test", "integration", "--"]);
        test.args(["--exact", TEST, "--nocapture"]).env("GTM_FUZZ_SECONDS", seconds.to_string());
        test.envs(seed.map(|seed| ("GTM_FUZZ_SEED", seed.to_string())));
        succeed(&mut test)
    })
}

/// Runs one of the [targets](TARGETS), or all of them, for this many minutes each.
pub(crate) fn run(target: Option<&str>, minutes: u64) -> anyhow::Result<()> {
    let triple = triple()?;
    let folder = gtm_test_support::target_dir().join("fuzz");
    step("seeds", || seeds(&folder))?;
    // Without a sanitizer, as there is no unsafe code here that one could find wrong. The first build is long.
    step("build", || {
        let mut build =
            cargo(&["+nightly", "fuzz", "build", "--fuzz-dir", "host/fuzz", "--sanitizer", "none"]);
        succeed(build.args(["--target", &triple, "--target-dir"]).arg(&folder).args(target))
    })?;
    let programs = folder.join(triple).join("release");
    TARGETS.into_iter().filter(|name| target.is_none_or(|target| target == *name)).try_for_each(|name| {
        step(name, || {
            let (mut process, log) = start(name, &programs, &folder, minutes)?;
            let status = process.wait(Duration::from_secs(60 * minutes) + STOP_TIMEOUT)?;
            println!("    {name}: {}", summary(&log)?);
            if !status.success() {
                bail!("{name} found something: see the end of {}", log.display());
            }
            Ok(())
        })
    })
}

/// Returns the target triple of the nightly compiler.
///
/// # Errors
/// Fails if nightly Rust or cargo-fuzz is missing.
fn triple() -> anyhow::Result<String> {
    let rustc = Command::new("rustc").args(["+nightly", "-vV"]).stderr(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&rustc.stdout).into_owned();
    let triple = said.lines().find_map(|line| line.strip_prefix("host: "));
    let triple = triple
        .context("there is no nightly Rust\nhelp: rustup toolchain install nightly --profile minimal")?;
    let fuzz = cargo(&["fuzz", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if !fuzz.success() {
        bail!("there is no cargo-fuzz\nhelp: cargo install cargo-fuzz");
    }
    Ok(triple.to_owned())
}

fn start(target: &str, programs: &Path, folder: &Path, minutes: u64) -> anyhow::Result<(Process, PathBuf)> {
    let log = folder.join(target).with_extension("log");
    let mut command = Command::new(programs.join(target));
    command.arg(folder.join("corpus").join(target)).stderr(File::create(&log)?);
    command.args(["-print_final_stats=1", "-max_len=16384", "-timeout=10"]);
    command.arg(format!("-max_total_time={}", 60 * minutes));
    command.arg(format!("-artifact_prefix={}/{target}-", folder.display()));
    Ok((Process::start(target, &mut command)?, log))
}

/// Returns the number of runs and the coverage.
fn summary(log: &Path) -> anyhow::Result<String> {
    let log = fs::read(log)?;
    let log = String::from_utf8_lossy(&log);
    let runs = log.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    let reached = log.lines().rev().find_map(|line| line.split_once("cov: ")?.1.split(" exec/s").next());
    Ok(format!("{} runs, coverage {}", runs.unwrap_or("unknown").trim(), reached.unwrap_or("unknown")))
}

/// Writes the first inputs of the fuzzers: the seeds in `host/fuzz/seeds`, the cases of the tests as dumps, and the updates in them.
fn seeds(folder: &Path) -> anyhow::Result<()> {
    for target in TARGETS {
        let corpus = folder.join("corpus").join(target);
        fs::create_dir_all(&corpus)?;
        let written = gtm_test_support::root().join("host/fuzz/seeds").join(target).with_extension("txt");
        for (n, seed) in
            gtm_test_support::seeds(&fs::read(written).unwrap_or_default()).into_iter().enumerate()
        {
            fs::write(corpus.join(format!("seed-{n}")), seed)?;
        }
    }
    for case in fs::read_dir(gtm_test_support::root().join("host/tests/oplog"))? {
        let case = case?;
        let name = case.file_name().to_string_lossy().into_owned();
        let mut dump = Vec::new();
        for file in ["history.jsonl", "entries.jsonl"] {
            for (line, entry) in documents(&case.path().join(file))?.into_iter().enumerate() {
                dump.extend(bson::serialize_to_vec(&entry)?);
                if let (Ok("u"), Ok(object)) = (entry.get_str("op"), entry.get_document("o")) {
                    let seed = folder.join("corpus/delta").join(format!("{name}-{file}-{line}"));
                    fs::write(seed, bson::serialize_to_vec(object)?)?;
                }
            }
        }
        fs::write(folder.join("corpus/entry").join(&name), &dump)?;
        // As a file of the first name that the target knows.
        fs::write(folder.join("corpus/files").join(&name), [vec![0], dump].concat())?;
    }
    Ok(())
}

/// Returns the lines of Extended JSON in a file; none if the file is missing.
fn documents(path: &Path) -> anyhow::Result<Vec<Document>> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let document = |line| {
        let value: Value = serde_json::from_str(line)?;
        match Bson::try_from(value)? {
            Bson::Document(document) => Ok(document),
            _ => bail!("{} holds something that is not a document", path.display()),
        }
    };
    text.lines().map(document).collect()
}
