//! Finds a host of this user by the name of its pipeline.

use std::path::PathBuf;
use std::time::Duration;

use gtm_delivery::{HostActivity, HostStatus};

use super::client::ClientError;
use super::{AdminClient, place};

/// The time to wait for each host, so that one that hangs does not hide the others.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// A host that answers.
struct FoundHost {
    path: PathBuf,
    status: HostStatus,
}

impl FoundHost {
    fn describe(&self) -> String {
        let HostStatus { name, worker, standing, .. } = &self.status;
        let worker = worker.as_ref().map(|worker| format!(", worker {worker}")).unwrap_or_default();
        format!("{name}{worker}, {} ({})", standing.name(), self.path.display())
    }
}

/// Returns the socket of the host of this pipeline, or of the only host without a name. Of several hosts with one name, it returns the active
/// one.
///
/// # Errors
/// Fails if no host answers, or several could be meant.
pub(super) fn find(pipeline: Option<&str>) -> Result<PathBuf, ClientError> {
    let mut all: Vec<_> = sockets().into_iter().filter_map(ask).collect();
    if let Some(pipeline) = pipeline {
        all.retain(|found| found.status.name == pipeline);
    }
    let one = |found: &[FoundHost]| match found {
        [one] => Some(one.path.clone()),
        _ => None,
    };
    if let Some(path) = one(&all) {
        return Ok(path);
    }
    let is_one_pipeline = all.windows(2).all(|pair| match pair {
        [one, other] => one.status.name == other.status.name,
        _ => true,
    });
    let (active, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|found| found.status.standing == HostActivity::Active);
    match one(&active) {
        Some(path) if is_one_pipeline => Ok(path),
        _ if active.is_empty() && others.is_empty() => {
            let name = pipeline.map(str::to_owned);
            Err(ClientError::NoHost { name, directories: place::directories() })
        }
        _ => {
            let all: Vec<_> = active.iter().chain(&others).map(FoundHost::describe).collect();
            Err(ClientError::WhichHost { hosts: all.join("; ") })
        }
    }
}

fn sockets() -> Vec<PathBuf> {
    let safe = place::directories().into_iter().filter(|directory| place::check(directory).is_ok());
    let files = safe.filter_map(|directory| std::fs::read_dir(directory).ok()).flatten();
    let mut all: Vec<_> =
        files.filter_map(|file| Some(file.ok()?.path())).filter(|path| place::is_socket(path)).collect();
    all.sort();
    all.dedup();
    all
}

/// Asks the host at a socket. None: nobody answers, for example after a host was killed.
fn ask(path: PathBuf) -> Option<FoundHost> {
    let client = AdminClient::at_socket(&path, PROBE_TIMEOUT);
    let status = client.status().ok()?;
    Some(FoundHost { path, status })
}
