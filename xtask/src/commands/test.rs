//! Everything that CI runs.

use xtask::python::Venv;
use xtask::testbed::Server;

use super::{build, cargo, step, succeed};

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    step("formatting", || succeed(&mut cargo(&["fmt", "--all", "--check"])))?;
    step("plugins", || {
        build::plugins(&["send_welcome_email", "print_ops", "misbehave", "trivial", "errand"])
    })?;
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
    // One server for all tests but those that need one of their own.
    let server = step("server", Server::ready)?;
    step("tests", || {
        let mut test = cargo(&["test", "--workspace", "--"]);
        succeed(test.args(arguments).env("MONGODB_URI", server.uri()))
    })
}
