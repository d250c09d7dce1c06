//! Writes or checks the SDKs' copies of the contract: bindings for C, and the WIT files for JavaScript.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use wit_bindgen_c::Opts;
use wit_bindgen_core::Files;
use wit_component::{StringEncoding, metadata};
use wit_parser::Resolve;

/// The world of the bindings for C: all capabilities, and the types of what a plugin exports. The SDK writes the exports itself, so that
/// a plugin exports only what it has.
const C_WORLD: &str = "
package gtm:bindings;

world gtm {
    use gtm:plugin/types@0.2.0.{op, failure};

    include gtm:plugin/capabilities@0.2.0;
}
";

/// The worlds of Rust plugins, each with the interfaces that it exports.
const RUST_WORLDS: [(&str, &[&str]); 3] = [
    ("PLUGIN_WORLD", &["lifecycle", "filter", "batch-filter", "handler"]),
    ("FILTER_WORLD", &["lifecycle", "filter", "batch-filter"]),
    ("BATCH_PLUGIN_WORLD", &["lifecycle", "filter", "batch-filter", "batch-handler"]),
];

/// Writes the bindings. With `check`, it fails instead if they do not match the contract.
pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    let mut resolve = Resolve::default();
    resolve.push_dir(gtm_test_support::root().join("wit/0.2"))?;
    let package = resolve.push_str("bindings.wit", C_WORLD)?;
    let world = resolve.select_world(&[package], None)?;
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
    write_rust_worlds(check)?;
    // An npm package holds only files of its own folder.
    copy(
        &gtm_test_support::root().join("wit/0.2"),
        &gtm_test_support::root().join("plugin-sdk/javascript/wit"),
        check,
    )
}

/// Writes the worlds of Rust plugins as the bytes of the section by which a linker learns what a component exports. wit-bindgen writes
/// the section of one world only, and the exported interfaces of two worlds of one crate would have the same macros.
fn write_rust_worlds(check: bool) -> anyhow::Result<()> {
    let mut text =
        "//! The worlds of plugins, encoded for the linker. `cargo xtask bindings` writes this file.\n"
            .to_owned();
    for (name, exports) in RUST_WORLDS {
        let mut resolve = Resolve::default();
        resolve.push_dir(gtm_test_support::root().join("wit/0.2"))?;
        let mut world =
            "package gtm:rust;\n\nworld plugin {\ninclude gtm:plugin/capabilities@0.2.0;\n".to_owned();
        for export in exports {
            writeln!(world, "export gtm:plugin/{export}@0.2.0;")?;
        }
        world.push_str("}\n");
        let package = resolve.push_str("world.wit", &world)?;
        let world = resolve.select_world(&[package], Some("plugin"))?;
        let bytes = metadata::encode(&resolve, world, StringEncoding::UTF8, None)?;
        write!(
            text,
            "\n/// The world of a plugin with the exports {}.\npub const {name}: [u8; {}] = *b\"{}\";\n",
            exports.join(", "),
            bytes.len(),
            bytes.escape_ascii()
        )?;
    }
    let path = gtm_test_support::root().join("plugin-sdk/rust/src/worlds.rs");
    if !check {
        fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    } else if fs::read_to_string(&path).ok().as_deref() != Some(&text) {
        bail!("{} does not match the contract. help: run cargo xtask bindings", path.display());
    }
    Ok(())
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
