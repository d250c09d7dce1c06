//! Checks the settings of workers.

use anyhow::bail;
use gtm_host::config::{Settings, WorkerSettings};

/// Checks that a worker has one list, and a list a worker.
pub(super) fn check(settings: &Settings) -> anyhow::Result<()> {
    let WorkerSettings { name, file, from } = &settings.workers;
    match (name, file, from) {
        (Some(name), None, None) => {
            bail!(
                "worker {name} has no list of all workers. help: pass --workers-file FILE or --workers-from DB.COLL/ID"
            )
        }
        (None, Some(_), None) | (None, None, Some(_)) => {
            bail!(
                "there is a list of workers, and this host has no name in it. help: pass --workers-name NAME"
            )
        }
        _ => Ok(()),
    }
}
