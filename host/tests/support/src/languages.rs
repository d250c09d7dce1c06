//! The languages that plugins are written in, and the plugin `welcome` in each of them.

use std::path::PathBuf;

use crate::target_dir;

/// A language that `gtm-host new` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Language {
    /// The value of `--lang`.
    pub name: &'static str,
    /// The path of the built plugin in the project.
    wasm: &'static str,
}

/// All languages that `gtm-host new` knows.
pub const LANGUAGES: [Language; 8] = [
    Language { name: "rust", wasm: "target/wasm32-wasip2/release/welcome.wasm" },
    Language { name: "js", wasm: "build/welcome.wasm" },
    Language { name: "ts", wasm: "build/welcome.wasm" },
    Language { name: "python", wasm: "build/welcome.wasm" },
    Language { name: "c", wasm: "build/welcome.wasm" },
    Language { name: "cpp", wasm: "build/welcome.wasm" },
    Language { name: "go", wasm: "build/welcome.wasm" },
    Language { name: "zig", wasm: "zig-out/welcome.wasm" },
];

impl Language {
    /// Returns the folder of its project, which `cargo xtask languages` makes and builds.
    pub fn project(&self) -> PathBuf {
        target_dir().join("languages").join(self.name)
    }

    /// Returns the path of the plugin, which exists once it is built.
    pub fn plugin(&self) -> PathBuf {
        self.project().join(self.wasm)
    }
}

/// Returns the folder in which `cargo xtask languages` builds the example in Python with packages from PyPI.
pub fn rows_in_postgres() -> PathBuf {
    target_dir().join("languages/rows_in_postgres")
}
