//! Measures the hot paths, and the replay of a dump.

use super::{build, cargo, step, succeed};

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    step("plugins", || build::plugins(&["trivial"]))?;
    step("benchmarks", || {
        let benches = ["--bench", "hot_paths", "--bench", "snapshot"];
        let mut bench = cargo(&["bench", "--package", "gtm-host"]);
        bench.args(benches).arg("--");
        succeed(bench.args(arguments))
    })?;
    // It is one measurement, of which no part can be asked for.
    if arguments.is_empty() {
        step("replay", || succeed(&mut cargo(&["bench", "--package", "gtm-host", "--bench", "replay"])))?;
    }
    Ok(())
}
