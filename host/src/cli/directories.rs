//! Default directories of the host (XDG Base Directory Specification).

use std::path::PathBuf;

use anyhow::Context;
use gtm_host::config::Settings;

/// Returns the directory for compiled plugins.
pub(super) fn cache(settings: &Settings) -> anyhow::Result<PathBuf> {
    directory(settings.cache_dir.as_ref())
        .context("there is no home directory for the cache of compiled plugins. help: pass a directory with --cache-dir")
}

fn directory(configured: Option<&PathBuf>) -> Option<PathBuf> {
    if let Some(directory) = configured {
        return Some(directory.clone());
    }
    let base = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let home = || std::env::home_dir().map(|home| home.join(".cache"));
    Some(base.or_else(home)?.join("gtm-host"))
}
