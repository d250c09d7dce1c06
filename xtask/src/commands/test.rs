//! Everything that CI runs.

use xtask::python::Venv;
use xtask::testbed::Server;

use super::{bindings, build, cargo, dependencies, languages, step, succeed};

/// Those that ship, and those that tests need.
const PLUGINS: [&str; 8] = [
    "audit_log",
    "errand",
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
    step("lints", || {
        succeed(&mut cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--quiet",
            "--",
            "--deny",
            "warnings",
        ]))
    })?;
    step("Python environment", Venv::ready)?;
    step("languages", || languages::run(&[]))?;
    // One server for all tests but those that need one of their own.
    let server = step("server", Server::ready)?;
    step("tests", || {
        let mut test = cargo(&["test", "--workspace", "--no-fail-fast", "--"]);
        succeed(test.args(arguments).env("MONGODB_URI", server.uri()))
    })
}
