//! What the demonstration and the tests stand on: real servers, started and ended here.

#![forbid(unsafe_code)]

pub mod languages;
pub mod process;
pub mod python;
pub mod testbed;

use std::path::{Path, PathBuf};

/// The top folder of the workspace.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// The folder that all builds share.
pub fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => root().join(directory),
        None => root().join("target"),
    }
}

/// Where the build of a plugin of this workspace ends up.
pub fn plugin(name: &str) -> PathBuf {
    target_dir().join("wasm32-wasip2/release").join(name).with_extension("wasm")
}

/// The seeds of a fuzz target in a file of `host/fuzz/seeds`: one on a line, in which `\r\n` stands for the end of a line.
pub fn seeds(file: &[u8]) -> Vec<Vec<u8>> {
    const WRITTEN: &[u8] = br"\r\n";
    let seed = |line: &[u8]| {
        let (mut seed, mut rest) = (Vec::new(), line);
        while let Some((first, after)) = rest.split_first() {
            match rest.strip_prefix(WRITTEN) {
                Some(after) => {
                    seed.extend(b"\r\n");
                    rest = after;
                }
                None => {
                    seed.push(*first);
                    rest = after;
                }
            }
        }
        seed
    };
    file.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(seed).collect()
}
