//! The file of a component, as errors name it.

use std::fmt;
use std::path::{Path, PathBuf};

use super::setup::ComponentKind;

/// The file of a component and the kind that it is loaded as. Displayed as `the filter only_eu.wasm`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentPath {
    /// What the component is for.
    pub kind: ComponentKind,
    /// Its file.
    pub path: PathBuf,
}

impl ComponentPath {
    /// Makes the name of the file of a component of this kind.
    pub fn new(kind: ComponentKind, path: &Path) -> Self {
        Self { kind, path: path.to_owned() }
    }
}

impl fmt::Display for ComponentPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} {}", self.kind, self.path.display())
    }
}
