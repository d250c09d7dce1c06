//! Finds the host of this user that is meant, by the name of its pipeline.

use std::path::PathBuf;
use std::time::Duration;

use gtm_delivery::{HostActivity, HostStatus};

use super::client::ClientError;
use super::{AdminClient, place};

/// How long each host is waited for: one that hangs, or was stopped by a signal, keeps nobody from the others.
const LOOK: Duration = Duration::from_secs(10);

/// A host that answers.
struct FoundHost {
    path: PathBuf,
    status: HostStatus,
}

impl FoundHost {
    fn described(&self) -> String {
        let HostStatus { name, worker, standing, .. } = &self.status;
        let worker = worker.as_ref().map(|worker| format!(", worker {worker}")).unwrap_or_default();
        format!("{name}{worker}, {} ({})", standing.name(), self.path.display())
    }
}

/// The socket of the host that works on this pipeline; without a name, of the only one there is. Of several hosts of one name, it is the
/// one that works: the others stand by.
///
/// # Errors
/// None answers, or it is not known which is meant.
pub(super) fn find(pipeline: Option<&str>) -> Result<PathBuf, ClientError> {
    let mut all: Vec<_> = sockets().into_iter().filter_map(answering).collect();
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
            let all: Vec<_> = active.iter().chain(&others).map(FoundHost::described).collect();
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

/// None: nobody listens there, as where a host was killed.
fn answering(path: PathBuf) -> Option<FoundHost> {
    let client = AdminClient::at_socket(&path, LOOK);
    let status = client.status().ok()?;
    Some(FoundHost { path, status })
}
