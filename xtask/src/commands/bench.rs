//! Measures the hot paths.

use super::{build, cargo, step, succeed};

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    step("plugins", || build::plugins(&["trivial"]))?;
    step("benchmarks", || {
        let benches = ["--bench", "hot_paths", "--bench", "snapshot"];
        let mut bench = cargo(&["bench", "--package", "gtm-host"]);
        bench.args(benches).arg("--");
        succeed(bench.args(arguments))
    })
}
