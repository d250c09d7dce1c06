//! Checks that a host makes before it does anything, without asking a server. `gtm-host config check` makes the same checks.

use anyhow::bail;
use gtm_host::admin::check_token;
use gtm_host::config::Settings;
use gtm_store::Group;

use super::load::{check_mail, present};
use super::usage::OrUsage;
use super::{directories, server};

/// Checks one part of the settings.
type Check = fn(&Settings) -> anyhow::Result<()>;

/// All checks, in the order in which a host makes them.
const CHECKS: [Check; 7] = [server::check, check_mail, token, swap_from, workers, cache, plugins];

/// Returns all errors in the settings.
pub(super) fn problems(settings: &Settings) -> Vec<anyhow::Error> {
    CHECKS.iter().filter_map(|check| check(settings).err()).collect()
}

/// Checks the settings.
///
/// # Errors
/// Returns the first error in the settings.
pub(super) fn check(settings: &Settings) -> anyhow::Result<()> {
    CHECKS.iter().try_for_each(|check| check(settings))
}

fn token(settings: &Settings) -> anyhow::Result<()> {
    check_token(settings.admin.token()?.as_deref()).or_usage()
}

fn swap_from(settings: &Settings) -> anyhow::Result<()> {
    for directory in &settings.admin.swap_from {
        let found = std::fs::metadata(directory);
        let what = || format!("swaps cannot take files from {}", directory.display());
        const HELP: &str =
            "help: name a directory that exists with --admin-swap-from, or as swap_from under [admin]";
        match found {
            Ok(found) if found.is_dir() => {}
            Ok(_) => bail!("{}: it is not a directory. {HELP}", what()),
            Err(reason) => bail!("{}: {reason}. {HELP}", what()),
        }
    }
    Ok(())
}

fn workers(settings: &Settings) -> anyhow::Result<()> {
    match (&settings.workers.file, &settings.workers.name) {
        (Some(file), Some(name)) => Ok(Group::from_file(file, name).map(drop)?),
        _ => Ok(()),
    }
}

fn cache(settings: &Settings) -> anyhow::Result<()> {
    directories::cache(settings).map(drop)
}

fn plugins(settings: &Settings) -> anyhow::Result<()> {
    present(settings).map(drop)
}
