//! Runs benchmarks: the host beside the bare driver, or one part of the host.

use super::{build, cargo, languages, step, succeed};

/// The parts that have a benchmark of their own.
pub(crate) const PARTS: [&str; 8] =
    ["hot_paths", "delivery", "hostile", "hosts", "languages", "replay", "snapshot", "swaps"];

/// The parts that run with criterion, which takes arguments.
const BY_CRITERION: [&str; 2] = ["hot_paths", "snapshot"];

/// Prints the table, or runs one of the [parts](PARTS). `arguments` are for the benchmark.
pub(crate) fn run(part: Option<&str>, plot: bool, arguments: &[String]) -> anyhow::Result<()> {
    let takes_arguments = part.is_none_or(|part| BY_CRITERION.contains(&part));
    anyhow::ensure!(
        takes_arguments || arguments.is_empty(),
        "{} takes no arguments",
        part.unwrap_or_default()
    );
    anyhow::ensure!(!plot || part.is_none(), "only the table has a history to plot");
    match part {
        None => table(plot, arguments),
        Some("languages") => {
            step("plugins", || languages::run(&[]))?;
            step("languages", || one("languages", &[]))
        }
        Some(part) => {
            let plugins = ["errand", "every_call", "misbehave", "print_ops", "send_welcome_email", "trivial"];
            step("plugins", || build::plugins(&plugins))?;
            step(part, || one(part, arguments))
        }
    }
}

fn table(plot: bool, arguments: &[String]) -> anyhow::Result<()> {
    step("plugins", || build::plugins(&["tally_all", "tally_others", "tally_users"]))?;
    step("programs", || {
        succeed(&mut cargo(&["build", "--release", "--package", "gtm-host", "--package", "gtm-bench"]))
    })?;
    step("table", || {
        let mut bench = std::process::Command::new(gtm_test_support::target_dir().join("release/gtm-bench"));
        bench.current_dir(gtm_test_support::root()).arg("run");
        if plot {
            bench.arg("--plot");
        }
        succeed(bench.args(arguments))
    })
}

fn one(name: &str, arguments: &[String]) -> anyhow::Result<()> {
    let mut bench = cargo(&["bench", "--package", "gtm-host", "--bench", name, "--"]);
    succeed(bench.args(arguments))
}
