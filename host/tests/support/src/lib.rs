//! What tests, benchmarks and the demonstration run beside the host: a real MongoDB server, a real mail server, and the plugins that
//! were built.
//!
//! It uses none of the host's crates and few dependencies, because the first `cargo xtask` has to build it.

#![forbid(unsafe_code)]

pub mod languages;
mod process;
mod python;
mod server;
mod smtp;

use std::path::{Path, PathBuf};

pub use process::{Process, free_port};
pub use python::Venv;
pub use server::{Server, ServerOptions};
pub use smtp::{Mail, SmtpSink};

/// Returns the top folder of the workspace.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(3).unwrap_or(here).to_owned()
}

/// Returns the folder that all builds share.
pub fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => root().join(directory),
        None => root().join("target"),
    }
}

/// Returns the path of a plugin of this workspace, which exists once it is built.
pub fn plugin(name: &str) -> PathBuf {
    target_dir().join("wasm32-wasip2/release").join(name).with_extension("wasm")
}

/// Returns the seeds of a fuzz target in a file of `host/fuzz/seeds`: one per line, in which `\r\n` stands for a line break.
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
