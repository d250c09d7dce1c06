//! Builds the plugins that the other commands run.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

use super::{cargo, succeed};

const TARGET: &str = "wasm32-wasip2";
/// The plugins that tests run: those that ship, and those that only tests need.
pub(super) const TESTED: [&str; 11] = [
    "audit_log",
    "errand",
    "every_call",
    "index_documents",
    "keep",
    "misbehave",
    "print_ops",
    "send_welcome_email",
    "sieve",
    "trivial",
    "webhook",
];

/// Builds plugins of this workspace. Adds the target for them if the toolchain lacks it, since
/// rust-toolchain.toml adds none to a toolchain that is installed already.
pub(super) fn plugins(names: &[&str]) -> anyhow::Result<()> {
    let libraries = Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output();
    let libraries = libraries.context("rustc cannot be started. help: install Rust with rustup")?.stdout;
    let libraries = PathBuf::from(String::from_utf8_lossy(&libraries).trim());
    if !libraries.is_dir() {
        let mut rustup = Command::new("rustup");
        rustup.current_dir(gtm_test_support::root()).args(["target", "add", TARGET]);
        succeed(&mut rustup)
            .with_context(|| format!("the target {TARGET} is missing and cannot be added"))?;
    }
    let mut build = cargo(&["build", "--release", "--target", TARGET]);
    for name in names {
        build.args(["--package", name]);
    }
    succeed(&mut build)
}
