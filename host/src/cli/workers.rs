//! The group of workers that the settings name.

use gtm_host::config::WorkerSettings;
use gtm_store::{Group, WorkersError};
use mongodb::Client;

/// Returns the workers that share the work, if it is shared.
pub(super) async fn group(settings: &WorkerSettings, client: &Client) -> Result<Option<Group>, WorkersError> {
    let WorkerSettings { name: Some(name), file, from } = settings else { return Ok(None) };
    match (file, from) {
        (Some(file), _) => Group::from_file(file, name).map(Some),
        (None, Some(list)) => Group::from_cluster(client, list, name).await.map(Some),
        // The check of the arguments ensures that there is a list.
        (None, None) => Ok(None),
    }
}
