//! One file per command, and what they share.

pub(crate) mod bench;
mod build;
pub(crate) mod demo;
pub(crate) mod test;

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};

/// Does one step, and says what and how long it took.
fn step<T>(what: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    println!("==> {what}");
    let started = Instant::now();
    let done = work().with_context(|| what.to_owned())?;
    println!("    {what}: {:.1} s", started.elapsed().as_secs_f64());
    Ok(done)
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(xtask::root()).args(arguments);
    command
}

fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("{command:?} cannot be started"))?;
    if !status.success() {
        bail!("{command:?}: {status}");
    }
    Ok(())
}
