//! `cargo xtask ci`: everything that CI runs.

use gtm_test_support::{Server, Venv};

use super::{bindings, build, check, dependencies, languages, step, succeed};

/// Runs every step and stops at the first that fails. `arguments` are for the test programs.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    step("formatting", check::formatting)?;
    step("features of dependencies", dependencies::check_features)?;
    step("dependencies", dependencies::check_allowed)?;
    step("bindings", || bindings::run(true))?;
    step("plugins", || build::plugins(&build::TESTED))?;
    step("Python environment", Venv::ready)?;
    step("languages", || languages::run(&[]))?;
    step("lints, and a build of the tests", check::lints)?;
    // One server for all tests, except for those that start their own.
    let server = step("server", Server::ready)?;
    step("tests", || {
        let mut test = check::linted(&["--no-fail-fast", "--"]);
        // A panic names its place. A backtrace of a test is long and names the machinery that runs it.
        test.args(arguments).env("MONGODB_URI", server.uri()).env("RUST_BACKTRACE", "0");
        succeed(&mut test)
    })
}
