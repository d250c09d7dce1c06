//! Measures the hot paths, delivery, snapshots, whole hosts, and the replay of a dump.

use super::{build, cargo, languages, step, succeed};

/// `only` is one of the measurements that are a program each.
pub(crate) fn run(only: Option<&str>, arguments: &[String]) -> anyhow::Result<()> {
    if only == Some("languages") {
        step("plugins", || languages::run(&[]))?;
        return step("languages", || one("languages"));
    }
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
            step(name, || one(name))?;
        }
    }
    Ok(())
}

fn one(name: &str) -> anyhow::Result<()> {
    succeed(&mut cargo(&["bench", "--package", "gtm-host", "--bench", name]))
}
