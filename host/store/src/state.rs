//! The key of a value that a plugin keeps.

use std::fmt;

use bson::{RawDocumentBuf, rawdoc};

/// Identifies a value of a plugin. All workers of a pipeline share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateKey {
    /// The name of the pipeline.
    pub pipeline: String,
    /// The name of the plugin.
    pub plugin: String,
    /// The plugin's key.
    pub key: String,
}

impl StateKey {
    pub(super) fn document(&self) -> RawDocumentBuf {
        rawdoc! { "pipeline": &*self.pipeline, "plugin": &*self.plugin, "key": &*self.key }
    }
}

impl fmt::Display for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the state {} of the plugin {} of the pipeline {}", self.key, self.plugin, self.pipeline)
    }
}
