//! `cargo xtask check`: what to run while writing, before each commit.

use std::process::Command;

use super::{bindings, cargo, step, succeed};

/// The form in which `cargo clippy` passes its arguments to Clippy.
const DENY_WARNINGS: &str = "--deny__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__";

/// Checks formatting, bindings and lints, and runs the unit tests of all crates.
pub(crate) fn run() -> anyhow::Result<()> {
    step("formatting", formatting)?;
    step("bindings", || bindings::run(true))?;
    step("lints, and a build of the tests", lints)?;
    step("unit tests", || succeed(&mut linted(&["--lib", "--bins", "--no-fail-fast", "--quiet"])))
}

/// Fails if a file is not formatted.
pub(super) fn formatting() -> anyhow::Result<()> {
    succeed(&mut cargo(&["fmt", "--all", "--check"]))
}

/// Builds every target of the workspace, and fails if the compiler or Clippy warns.
pub(super) fn lints() -> anyhow::Result<()> {
    succeed(&mut linted(&["--all-targets", "--no-run", "--quiet"]))
}

/// Returns `cargo test` of the workspace with Clippy as its compiler: `cargo clippy` would have Cargo check each dependency once more.
pub(super) fn linted(arguments: &[&str]) -> Command {
    let mut test = cargo(&["test", "--workspace"]);
    test.args(arguments).env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver").env("CLIPPY_ARGS", DENY_WARNINGS);
    test
}
