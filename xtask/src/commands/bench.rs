//! Measures the hot paths.

use super::{build, cargo, step, succeed};

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    step("plugins", || build::plugins(&["trivial"]))?;
    step("benchmarks", || {
        let mut bench = cargo(&["bench", "--package", "gtm-host", "--bench", "hot_paths", "--"]);
        succeed(bench.args(arguments))
    })
}
