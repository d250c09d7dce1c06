//! What a host makes sure of before it does anything, as far as no server need be asked. `gtm-host config check` makes sure of the same.

use anyhow::bail;
use gtm_host::admin::check_token;
use gtm_host::config::Settings;
use gtm_store::Group;

use super::load::{check_mail, present};
use super::usage::OrUsage;
use super::{directories, server};

/// Looks at one part of the settings.
type Look = fn(&Settings) -> anyhow::Result<()>;

/// All looks, in the order in which a host has them.
const LOOKS: [Look; 7] = [server::check, check_mail, token, swap_from, workers, cache, plugins];

/// Returns all that is wrong with the settings.
pub(super) fn problems(settings: &Settings) -> Vec<anyhow::Error> {
    LOOKS.iter().filter_map(|look| look(settings).err()).collect()
}

/// Fails with the first of that.
pub(super) fn check(settings: &Settings) -> anyhow::Result<()> {
    LOOKS.iter().try_for_each(|look| look(settings))
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
