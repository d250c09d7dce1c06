//! A plugin that was swapped by hand, and whether that may be a mistake.

use std::path::Path;

use gtm_runtime::Plugin;
use serde::{Deserialize, Serialize};

/// What a plugin goes on with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Swapped {
    /// The version.
    pub version: String,
    /// Why it may be another plugin, if that seems so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

impl Swapped {
    /// What is to be said of a `successor` that comes from this file. Versions may have other names, or other subscriptions: that both
    /// are others is odd.
    pub(super) fn new(file: &Path, before: &Plugin, successor: &Plugin) -> Self {
        let (name, stem) = (before.name(), file.file_stem().unwrap_or_default().to_string_lossy());
        let is_odd = stem != name && successor.selection().digest() != before.selection().digest();
        let warning = is_odd.then(|| {
            format!(
                "the file is called {stem}, and it subscribes to something else than the plugin {name} did. help: if it is another \
                 plugin, swap back, and run it under its own name (--plugin)"
            )
        });
        Self { version: successor.version().to_owned(), warning }
    }
}
