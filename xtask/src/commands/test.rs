//! `cargo xtask test NAME`: builds and runs the tests whose path contains a name.

use std::process::Stdio;

use anyhow::{Context, bail};
use gtm_test_support::Server;

use super::test_program::{Suite, TestProgram};
use super::{build, cargo, languages, step};

/// The name that also stands for the plugins in each language, which take minutes to build.
const LANGUAGES: &str = "languages";

/// The command of Cargo that builds the unit and integration tests. Selecting the whole workspace gives dependencies the features
/// that they have in every other build, so nothing is compiled again.
pub(super) const BUILD: [&str; 7] =
    ["test", "--workspace", "--lib", "--bins", "--test", "integration", "--no-run"];

/// Runs the tests whose path contains `name`. `arguments` are for the test programs.
pub(crate) fn run(name: &str, arguments: &[String]) -> anyhow::Result<()> {
    let programs = step("build the tests", programs)?;
    let mut selected = Vec::new();
    for program in programs {
        let tests = program.select(name)?;
        if !tests.is_empty() {
            selected.push((program, tests));
        }
    }
    if selected.is_empty() {
        bail!(
            "no test has a path that contains \"{name}\"\n\
             help: a path is PROGRAM::MODULES::TEST, such as integration::delivery::takeover or gtm_oplog::fields; \
             cargo xtask test --help shows more"
        );
    }
    let server = if selected.iter().any(|(program, _)| program.suite() == Suite::Integration) {
        step("plugins", || build::plugins(&build::TESTED))?;
        if name == LANGUAGES {
            step("languages", || languages::run(&[]))?;
        }
        // One server for all tests, except for those that start their own.
        Some(step("server", Server::ready)?)
    } else {
        None
    };
    let uri = server.as_ref().map(Server::uri);
    let mut failed = Vec::new();
    for (program, tests) in &selected {
        let what = format!("{}: {} tests", program.name(), tests.len());
        if !step(&what, || program.run(tests, uri, arguments))? {
            failed.push(program.name());
        }
    }
    if !failed.is_empty() {
        bail!("tests failed in {}", failed.join(", "));
    }
    Ok(())
}

/// Builds the unit and integration tests of the workspace.
fn programs() -> anyhow::Result<Vec<TestProgram>> {
    let mut build = cargo(&BUILD);
    build.args(["--quiet", "--message-format", "json-render-diagnostics"]).stderr(Stdio::inherit());
    let output = build.output().context("cargo cannot be started")?;
    if !output.status.success() {
        bail!("the tests do not compile");
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| TestProgram::of(line).transpose())
        .collect()
}
