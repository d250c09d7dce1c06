//! Which part of the work is this host's.

use anyhow::bail;
use gtm_host::config::{Settings, WorkerSettings};

/// Makes sure that a worker has one list, and a list a worker.
pub(super) fn check(settings: &Settings) -> anyhow::Result<()> {
    let WorkerSettings { name, file, from } = &settings.workers;
    match (name, file, from) {
        (Some(name), None, None) => {
            bail!(
                "worker {name} has no list of all workers: name one by --workers FILE or --workers-from DB.COLL/ID"
            )
        }
        (_, Some(_), Some(_)) => {
            bail!("there are two lists of workers: say one of --workers and --workers-from")
        }
        (None, Some(_), None) | (None, None, Some(_)) => {
            bail!("there is a list of workers: say by --worker NAME which of them this host is")
        }
        _ => Ok(()),
    }
}
