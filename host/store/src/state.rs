//! What plugins keep.

use std::fmt;

use bson::{RawDocumentBuf, rawdoc};

/// Which value of which plugin. All workers of a pipeline share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateKey {
    /// The name of the pipeline.
    pub pipeline: String,
    /// The name of the plugin.
    pub plugin: String,
    /// The plugin's own name of it.
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
