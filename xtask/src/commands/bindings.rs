//! Writes or checks the SDKs' copies of the contract: bindings for C, and the WIT files for JavaScript.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use wit_bindgen_c::Opts;
use wit_bindgen_core::Files;
use wit_parser::Resolve;

/// Writes the bindings. With `check`, it fails instead if they do not match the contract.
pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(gtm_test_support::root().join("wit/0.1"))?;
    let world = resolve.select_world(&[package], Some("sdk"))?;
    let options = Opts { no_object_file: true, rename_world: Some("gtm".to_owned()), ..Opts::default() };
    let mut files = Files::default();
    options.build().generate(&mut resolve, world, &mut files)?;
    for (name, text) in files.iter() {
        // The last lines need an object file with the type of the component, which gtm-host componentize replaces.
        let text = String::from_utf8_lossy(text);
        let text = text.split("\n// Ensure that the *_component_type.o").next().unwrap_or_default();
        let path = gtm_test_support::root().join("plugin-sdk/c").join(name);
        if !check {
            fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        } else if fs::read_to_string(&path).ok().as_deref() != Some(text) {
            bail!("{} does not match the contract. help: run cargo xtask bindings", path.display());
        }
    }
    // An npm package holds only files of its own folder.
    copy(
        &gtm_test_support::root().join("wit/0.2"),
        &gtm_test_support::root().join("plugin-sdk/javascript/wit"),
        check,
    )
}

fn copy(from: &Path, to: &Path, check: bool) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let from = entry?.path();
        let to = to.join(from.file_name().unwrap_or_default());
        if from.is_dir() {
            copy(&from, &to, check)?;
        } else if !check {
            fs::copy(&from, &to).with_context(|| format!("{} cannot be written", to.display()))?;
        } else if fs::read(&from)? != fs::read(&to).unwrap_or_default() {
            bail!("{} does not match the contract. help: run cargo xtask bindings", to.display());
        }
    }
    Ok(())
}
