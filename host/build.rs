//! Lists the files of the SDKs that `gtm-host new` copies into a project, so that the program carries them.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The name of each list, and where its files come from: a file or folder of this repository, and its place in the copy.
const SDKS: [(&str, &[(&str, &str)]); 3] = [
    (
        "RUST_SDK",
        &[
            ("plugin-sdk/rust/Cargo.toml", "Cargo.toml"),
            ("plugin-sdk/rust/src", "src"),
            ("plugin-sdk/rust-macros/Cargo.toml", "macros/Cargo.toml"),
            ("plugin-sdk/rust-macros/src", "macros/src"),
            ("wit/0.2", "wit"),
        ],
    ),
    (
        "JAVASCRIPT_SDK",
        &[
            ("plugin-sdk/javascript/package.json", "package.json"),
            ("plugin-sdk/javascript/README.md", "README.md"),
            ("plugin-sdk/javascript/bin", "bin"),
            ("plugin-sdk/javascript/build", "build"),
            ("plugin-sdk/javascript/src", "src"),
            ("wit/0.2", "wit"),
        ],
    ),
    (
        "PYTHON_SDK",
        &[
            ("plugin-sdk/python/pyproject.toml", "pyproject.toml"),
            ("plugin-sdk/python/setup.py", "setup.py"),
            ("plugin-sdk/python/gtm_plugin", "gtm_plugin"),
            ("wit/0.2", "wit"),
        ],
    ),
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("..");
    let mut code = String::new();
    for (name, parts) in SDKS {
        let mut files = BTreeMap::new();
        for (from, to) in parts {
            // A folder is watched with all that is in it. Python leaves there what it compiles, each time that it runs.
            if name != "PYTHON_SDK" {
                println!("cargo::rerun-if-changed={}", root.join(from).display());
            }
            list(&root.join(from), to, &mut files)?;
        }
        writeln!(code, "/// The files of this SDK.\npub(super) const {name}: SdkFiles = &[")?;
        for (to, from) in files {
            println!("cargo::rerun-if-changed={}", from.display());
            writeln!(code, "    ({to:?}, include_str!({:?})),", from.canonicalize()?.display().to_string())?;
        }
        writeln!(code, "];")?;
    }
    fs::write(Path::new(&env::var("OUT_DIR")?).join("sdk_files.rs"), code)?;
    Ok(())
}

/// Adds a file, or all that is in a folder, but for what interpreters leave there.
fn list(from: &Path, to: &str, files: &mut BTreeMap<String, PathBuf>) -> Result<(), Box<dyn Error>> {
    if !from.is_dir() {
        files.insert(to.to_owned(), from.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        let name = name.to_str().ok_or("a file's name is not UTF-8")?;
        if name != "__pycache__" {
            list(&from.join(name), &format!("{to}/{name}"), files)?;
        }
    }
    Ok(())
}
