//! Where the host keeps what it makes, where nobody said it (XDG Base Directory Specification).

use std::path::PathBuf;

use anyhow::Context;
use gtm_host::config::Settings;

/// For compiled plugins.
pub(super) fn cache(settings: &Settings) -> anyhow::Result<PathBuf> {
    directory(settings.cache_dir.as_ref(), "XDG_CACHE_HOME", ".cache")
        .context("there is no home directory to keep compiled plugins in: name one by --cache-dir")
}

/// For the progress of snapshots.
pub(super) fn state(settings: &Settings) -> anyhow::Result<PathBuf> {
    directory(settings.state_dir.as_ref(), "XDG_STATE_HOME", ".local/state")
        .context("there is no home directory to keep the progress of snapshots in: name one by --state-dir")
}

fn directory(said: Option<&PathBuf>, variable: &str, in_home: &str) -> Option<PathBuf> {
    if let Some(directory) = said {
        return Some(directory.clone());
    }
    let base = std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
    let home = || std::env::home_dir().map(|home| home.join(in_home));
    Some(base.or_else(home)?.join("gtm-host"))
}
