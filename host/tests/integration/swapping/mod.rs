//! Plugins that come, change and go while the host runs.

mod directory;
mod set_up;
mod settings;
mod swaps;
mod versions;

use std::path::{Path, PathBuf};

use crate::support::plugin;

/// Puts a file in the place of another at once, as a build does.
pub fn put(from: impl AsRef<Path>, to: &Path) {
    let aside = to.with_extension("part");
    std::fs::copy(from, &aside).unwrap();
    std::fs::rename(aside, to).unwrap();
}

/// A plugin of another version: the same, with bytes of no meaning after it (a custom section).
pub fn another(of: &str, number: usize) -> Vec<u8> {
    let name = format!("v{number:04}");
    let length = u8::try_from(name.len()).unwrap();
    let mut bytes = std::fs::read(plugin(of)).unwrap();
    bytes.extend([0, length + 1, length]);
    bytes.extend(name.bytes());
    bytes
}

/// Writes such a version in the place of a file.
pub fn put_another(of: &str, number: usize, to: &Path) {
    let aside = to.with_extension("new");
    std::fs::write(&aside, another(of, number)).unwrap();
    put(&aside, to);
}

pub fn path_in(directory: &tempfile::TempDir, name: &str) -> PathBuf {
    directory.path().join(name)
}
