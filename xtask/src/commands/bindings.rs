//! The contract as C has it, in plugin-sdk/c: written, or compared with what is there.

use std::fs;

use anyhow::{Context, bail};
use wit_bindgen_c::Opts;
use wit_bindgen_core::Files;
use wit_parser::Resolve;

/// Writes the bindings. With `check`, only says whether they are those of the contract.
pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(xtask::root().join("wit"))?;
    let world = resolve.select_world(&[package], Some("sdk"))?;
    let options = Opts { no_object_file: true, rename_world: Some("gtm".to_owned()), ..Opts::default() };
    let mut files = Files::default();
    options.build().generate(&mut resolve, world, &mut files)?;
    for (name, text) in files.iter() {
        // The last lines want an object file with the type of the component, in place of which gtm-host componentize is.
        let text = String::from_utf8_lossy(text);
        let text = text.split("\n// Ensure that the *_component_type.o").next().unwrap_or_default();
        let path = xtask::root().join("plugin-sdk/c").join(name);
        if !check {
            fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        } else if fs::read_to_string(&path).ok().as_deref() != Some(text) {
            bail!("{} is not what the contract says now: cargo xtask bindings writes it", path.display());
        }
    }
    Ok(())
}
