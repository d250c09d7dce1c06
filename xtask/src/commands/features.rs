//! Checks that every way of building the workspace gives its dependencies the same features.

use std::collections::BTreeSet;

use anyhow::{Context, bail};

use super::cargo;

/// What people and CI build alone: this program, by `cargo xtask`, and the host.
const ALONE: [&str; 2] = ["xtask", "gtm-host"];

/// Fails if a package that is built alone has a dependency with other features than in a build of the whole
/// workspace: Cargo would compile that dependency, and all that depend on it, a second time.
pub(crate) fn check() -> anyhow::Result<()> {
    let whole = dependencies(&["--workspace", "--edges", "normal,build,dev"])?;
    for package in ALONE {
        let alone = dependencies(&["--package", package, "--edges", "normal,build"])?;
        let others: Vec<_> = alone.difference(&whole).map(String::as_str).collect();
        if !others.is_empty() {
            bail!(
                "cargo build --package {package} compiles these with other features than --workspace does: {}. \
                 help: name them in xtask/features/Cargo.toml, with the features that \
                 `cargo tree --workspace --edges normal,build,dev --format '{{p}} {{f}}'` shows",
                others.join("; ")
            );
        }
    }
    Ok(())
}

/// Each dependency of a selection of packages, with its features.
fn dependencies(selection: &[&str]) -> anyhow::Result<BTreeSet<String>> {
    let mut tree = cargo(&["tree", "--locked", "--prefix", "none", "--format", "{p} {f}"]);
    let output = tree.args(selection).output().context("cargo cannot be started")?;
    if !output.status.success() {
        bail!("cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    }
    let lines = String::from_utf8(output.stdout)?;
    // Those of this workspace have their path in parentheses.
    Ok(lines
        .lines()
        .map(|line| line.trim_end_matches(" (*)"))
        .filter(|line| !line.contains("(/"))
        .map(str::to_owned)
        .collect())
}
