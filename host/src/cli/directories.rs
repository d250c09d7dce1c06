//! Where the host keeps what it makes, where nobody said it (XDG Base Directory Specification).

use std::path::PathBuf;

use anyhow::Context;
use gtm_host::config::Settings;

/// For compiled plugins.
pub(super) fn cache(settings: &Settings) -> anyhow::Result<PathBuf> {
    directory(settings.cache_dir.as_ref())
        .context("there is no home directory to keep compiled plugins in: name one by --cache-dir")
}

fn directory(said: Option<&PathBuf>) -> Option<PathBuf> {
    if let Some(directory) = said {
        return Some(directory.clone());
    }
    let base = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let home = || std::env::home_dir().map(|home| home.join(".cache"));
    Some(base.or_else(home)?.join("gtm-host"))
}
