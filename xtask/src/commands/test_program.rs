//! A test program that Cargo built: lists its tests, and runs some of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use serde::Deserialize;

/// The kind of tests in a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suite {
    /// Tests within a crate.
    Unit,
    /// Tests of the whole host, with plugins and a server.
    Integration,
}

/// A test program.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TestProgram {
    name: String,
    suite: Suite,
    executable: PathBuf,
    /// The folder of its package, in which Cargo runs it.
    folder: PathBuf,
}

/// The fields of a message of Cargo that describe what it built.
#[derive(Deserialize)]
struct Artifact {
    reason: String,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

impl TestProgram {
    /// Returns the test program that a line of Cargo's messages reports, if it reports one.
    pub(super) fn of(message: &str) -> anyhow::Result<Option<Self>> {
        let artifact: Artifact = serde_json::from_str(message).context("a message of cargo is not JSON")?;
        let Artifact { reason, manifest_path, target, profile, executable } = artifact;
        let (Some(manifest), Some(target), Some(Profile { test: true }), Some(executable)) =
            (manifest_path, target, profile, executable)
        else {
            return Ok(None);
        };
        if reason != "compiler-artifact" {
            return Ok(None);
        }
        let is_integration = target.kind.iter().any(|kind| kind == "test");
        let suite = if is_integration { Suite::Integration } else { Suite::Unit };
        let folder = manifest.parent().unwrap_or(Path::new(".")).to_owned();
        Ok(Some(Self { name: target.name.replace('-', "_"), suite, executable, folder }))
    }

    /// Returns the name with which the paths of its tests begin.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the kind of its tests.
    pub(super) fn suite(&self) -> Suite {
        self.suite
    }

    /// Returns the tests whose path contains `name`, by the names that the program lists.
    pub(super) fn select(&self, name: &str) -> anyhow::Result<Vec<String>> {
        let output = self.command().args(["--list", "--format", "terse"]).output();
        let output = output.with_context(|| format!("{} cannot be started", self.executable.display()))?;
        if !output.status.success() {
            bail!("{} failed to list its tests: {}", self.executable.display(), output.status);
        }
        Ok(selected(&self.name, &String::from_utf8_lossy(&output.stdout), name))
    }

    /// Runs these of its tests, and returns whether all passed.
    pub(super) fn run(
        &self,
        tests: &[String],
        uri: Option<&str>,
        arguments: &[String],
    ) -> anyhow::Result<bool> {
        let mut command = self.command();
        command.arg("--exact").args(tests).args(arguments).envs(uri.map(|uri| ("MONGODB_URI", uri)));
        let status = command.status();
        Ok(status.with_context(|| format!("{} cannot be started", self.executable.display()))?.success())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.executable);
        command.current_dir(&self.folder);
        command
    }
}

/// Returns the tests of a list whose path, with the program's name before it, contains `name`.
fn selected(program: &str, list: &str, name: &str) -> Vec<String> {
    let tests = list.lines().filter_map(|line| line.strip_suffix(": test"));
    tests.filter(|test| format!("{program}::{test}").contains(name)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "lane::tests::an_op_waits: test\nlease::two_hosts: test\nlease::speed: benchmark\n";

    #[test]
    fn a_name_selects_tests_by_program_module_and_test() {
        assert_eq!(selected("gtm_delivery", LIST, "delivery").len(), 2);
        assert_eq!(selected("gtm_delivery", LIST, "lease"), ["lease::two_hosts"]);
        assert_eq!(selected("gtm_delivery", LIST, "gtm_delivery::lane"), ["lane::tests::an_op_waits"]);
        assert_eq!(selected("gtm_delivery", LIST, "an_op"), ["lane::tests::an_op_waits"]);
        assert_eq!(selected("gtm_delivery", LIST, "speed"), [""; 0]);
    }

    #[test]
    fn only_a_test_build_is_a_test_program() {
        let message = |kind: &str, test: bool| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"/w/host/Cargo.toml","target":{{"name":"gtm-host","kind":["{kind}"]}},
                    "profile":{{"test":{test}}},"executable":"/w/target/debug/deps/gtm_host-1"}}"#
            )
        };
        let program = TestProgram::of(&message("lib", true)).unwrap().unwrap();
        assert_eq!((program.name(), program.suite()), ("gtm_host", Suite::Unit));
        assert_eq!(program.folder, Path::new("/w/host"));
        let program = TestProgram::of(&message("test", true)).unwrap().unwrap();
        assert_eq!(program.suite(), Suite::Integration);
        assert_eq!(TestProgram::of(&message("bin", false)).unwrap(), None);
        assert_eq!(TestProgram::of(r#"{"reason":"build-finished","success":true}"#).unwrap(), None);
    }
}
