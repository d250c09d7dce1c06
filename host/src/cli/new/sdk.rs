//! Copies the SDKs that are packages, or makes a project refer to one outside.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};

use super::templates::Package;

/// The files of an SDK: paths and contents.
type SdkFiles = &'static [(&'static str, &'static str)];

include!(concat!(env!("OUT_DIR"), "/sdk_files.rs"));

/// The manifest of the workspace, from which the manifests of its crates inherit.
const WORKSPACE: &str = include_str!("../../../../Cargo.toml");

/// The folder of a project for its copy of the SDK.
pub(super) const FOLDER: &str = "gtm";

/// Returns the files of an SDK as a project has them: paths and contents.
pub(super) fn copy(package: &Package) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let text = |path: &str, text: &str| match path {
        // The contract is beside the SDK in the repository, and inside of it in the copy.
        "src/bindings.rs" => Ok(text.replace("\"../../wit/0.2\"", "\"wit\"")),
        "Cargo.toml" | "macros/Cargo.toml" => manifest(text),
        _ => Ok(text.to_owned()),
    };
    package.files.iter().map(|(path, file)| Ok((Path::new(FOLDER).join(path), text(path, file)?))).collect()
}

/// Returns the manifest of a crate with the inherited values of the workspace in place.
fn manifest(text: &str) -> anyhow::Result<String> {
    let mut alone = String::new();
    for line in text.lines().take_while(|line| *line != "[lints]") {
        match line.split_once(".workspace = true") {
            Some((key, _)) => {
                let inherited = WORKSPACE.lines().find(|line| line.starts_with(&format!("{key} = ")));
                let inherited = inherited.with_context(|| format!("the workspace has no line for {key}"))?;
                // The path of a crate of the workspace starts at the workspace.
                alone.push_str(&inherited.replace("\"plugin-sdk/rust-macros\"", "\"macros\""));
            }
            None => alone.push_str(line),
        }
        alone.push('\n');
    }
    Ok(format!("{}\n", alone.trim_end()))
}

/// Returns the path from a project to the SDK in a folder that its author names.
pub(super) fn outside(package: &Package, sdk: &Path, project: &Path) -> anyhow::Result<String> {
    let folder = sdk.join(package.folder);
    if !folder.join(package.manifest).is_file() {
        bail!(
            "there is no {} in {}. help: pass the folder plugin-sdk of gtm-host with --sdk",
            Path::new(package.folder).join(package.manifest).display(),
            sdk.display()
        );
    }
    std::fs::create_dir_all(project).with_context(|| format!("{} cannot be made", project.display()))?;
    let absolute =
        |path: &Path| path.canonicalize().with_context(|| format!("{} cannot be read", path.display()));
    let path = relative(&absolute(project)?, &absolute(&folder)?);
    // pip would take a path without a leading dot for the name of a package.
    Ok(Path::new(".").join(path).to_string_lossy().into_owned())
}

/// The start of the line of a README about the copy of the SDK.
const README_OF_COPY: &str = "`gtm/` is a copy of the SDK";

/// Returns the README of a project that refers to the SDK at `location`, from that of a project with a copy.
pub(super) fn readme_of_outside(readme: &str, location: &str) -> String {
    let line = |line: &str| match line.starts_with(README_OF_COPY) {
        true => format!(
            "The SDK is outside of the project, at `{location}`: the project builds only where that folder exists."
        ),
        false => line.to_owned(),
    };
    readme.lines().map(line).map(|line| format!("{line}\n")).collect()
}

/// Returns the path from one absolute folder to another.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let common = from.components().zip(to.components()).take_while(|(one, other)| one == other).count();
    let up = from.components().skip(common).map(|_| Component::ParentDir);
    up.chain(to.components().skip(common)).collect()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;
    use crate::cli::arguments::Language;

    #[test]
    fn a_path_from_one_folder_to_another_goes_up_and_down() {
        let path = |from, to| relative(Path::new(from), Path::new(to)).to_string_lossy().into_owned();
        assert_eq!(path("/a/b/c", "/a/d"), "../../d");
        assert_eq!(path("/a", "/a/b/c"), "b/c");
        assert_eq!(path("/a/b", "/a"), "..");
    }

    #[test]
    fn what_a_crate_inherits_is_in_the_manifest_of_its_copy() {
        let package = Package { files: RUST_SDK, ..super::super::templates::CRATE };
        let files = copy(&package).unwrap();
        let text = |path: &str| &files.iter().find(|(file, _)| file == Path::new(path)).unwrap().1;
        for path in ["gtm/Cargo.toml", "gtm/macros/Cargo.toml"] {
            let manifest: toml::Table = text(path).parse().unwrap();
            assert!(!text(path).contains("workspace"), "{}", text(path));
            assert_eq!(manifest["package"]["version"].as_str(), Some(env!("CARGO_PKG_VERSION")));
        }
        let manifest: toml::Table = text("gtm/Cargo.toml").parse().unwrap();
        assert_eq!(manifest["dependencies"]["gtm-plugin-macros"]["path"].as_str(), Some("macros"));
        assert!(text("gtm/src/bindings.rs").contains("path: \"wit\""));
    }

    #[test]
    fn a_readme_names_the_sdk_outside_of_the_project() {
        for language in Language::value_variants() {
            let template = super::super::templates::of(*language);
            let readme = template.files.iter().find(|(path, _)| *path == "README.md").unwrap().1;
            assert!(readme.contains(README_OF_COPY), "{readme}");
            let readme = readme_of_outside(readme, "../sdk");
            assert!(readme.contains("at `../sdk`") && !readme.contains("gtm/`"), "{readme}");
        }
    }

    #[test]
    fn a_copy_has_no_build_artifacts() {
        for files in [RUST_SDK, JAVASCRIPT_SDK, PYTHON_SDK] {
            for (path, _) in files {
                assert!(!path.contains("node_modules") && !path.contains(".pyc"), "{path}");
            }
            assert!(files.iter().any(|(path, _)| *path == "wit/types.wit"));
        }
    }
}
