//! Everything that CI runs.

use std::process::Command;

use gtm_test_support::{Server, Venv};

use super::{bindings, build, cargo, dependencies, languages, step, succeed};

/// As `cargo clippy` hands its arguments on.
const DENY_WARNINGS: &str = "--deny__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__";
/// Those that ship, and those that tests need.
const PLUGINS: [&str; 9] = [
    "audit_log",
    "errand",
    "every_call",
    "index_documents",
    "misbehave",
    "print_ops",
    "send_welcome_email",
    "trivial",
    "webhook",
];

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    step("formatting", || succeed(&mut cargo(&["fmt", "--all", "--check"])))?;
    step("features of dependencies", dependencies::check_features)?;
    step("dependencies", dependencies::check_allowed)?;
    step("bindings", || bindings::run(true))?;
    step("plugins", || build::plugins(&PLUGINS))?;
    step("Python environment", Venv::ready)?;
    step("languages", || languages::run(&[]))?;
    step("lints, and a build of the tests", || {
        succeed(&mut linted(&["--all-targets", "--no-run", "--quiet"]))
    })?;
    // One server for all tests but those that need one of their own.
    let server = step("server", Server::ready)?;
    step("tests", || {
        let mut test = linted(&["--no-fail-fast", "--"]);
        succeed(test.args(arguments).env("MONGODB_URI", server.uri()))
    })
}

/// `cargo test`, with Clippy as the compiler of this workspace: `cargo clippy` would have Cargo check each dependency once more.
fn linted(arguments: &[&str]) -> Command {
    let mut test = cargo(&["test", "--workspace"]);
    test.args(arguments).env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver").env("CLIPPY_ARGS", DENY_WARNINGS);
    test
}
