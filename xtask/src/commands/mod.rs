//! One file per command, and the functions that they share.

pub(crate) mod bench;
pub(crate) mod bindings;
mod build;
pub(crate) mod check;
pub(crate) mod ci;
pub(crate) mod demo;
pub(crate) mod dependencies;
pub(crate) mod docs;
pub(crate) mod fuzz;
pub(crate) mod languages;
pub(crate) mod test;
mod test_program;

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};

/// Runs one step, and prints its name and the time that it took.
fn step<T>(what: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    println!("==> {what}");
    let started = Instant::now();
    let done = work().with_context(|| what.to_owned())?;
    println!("    {what}: {:.1} s", started.elapsed().as_secs_f64());
    Ok(done)
}

/// Returns a command that runs Cargo as a person's shell does, without the variables that Cargo set for this program. Some build scripts
/// read these, and their crates would be built again whenever they change.
fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_")
            || text.starts_with("CARGO_MANIFEST_")
            || text.starts_with("CARGO_BIN_")
        {
            command.env_remove(&name);
        }
    }
    command.current_dir(gtm_test_support::root()).args(arguments);
    command
}

fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let shown = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let status = command.status().with_context(|| format!("{shown} cannot be started"))?;
    if !status.success() {
        bail!("{shown}: {status}");
    }
    Ok(())
}
