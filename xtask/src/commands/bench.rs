//! Measures the hot paths, delivery, snapshots, whole hosts, and the replay of a dump.

use super::{build, cargo, step, succeed};

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    step("plugins", || build::plugins(&["trivial", "misbehave", "print_ops", "send_welcome_email"]))?;
    step("benchmarks", || {
        let benches = ["--bench", "hot_paths", "--bench", "snapshot"];
        let mut bench = cargo(&["bench", "--package", "gtm-host"]);
        bench.args(benches).arg("--");
        succeed(bench.args(arguments))
    })?;
    // Each is one measurement, of which no part can be asked for.
    if arguments.is_empty() {
        for name in ["delivery", "hosts", "replay", "swaps"] {
            step(name, || succeed(&mut cargo(&["bench", "--package", "gtm-host", "--bench", name])))?;
        }
    }
    Ok(())
}
