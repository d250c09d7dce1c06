//! Where each plugin goes on: at its checkpoint.

use anyhow::bail;
use gtm_host::op::Timestamp;
use gtm_host::source::Position;
use gtm_host::store::{Checkpoint, CheckpointKey, Store};
use gtm_host::workers::Group;

/// Up to where everything was done before. None: nothing is known of it.
pub(super) async fn position(
    store: &Store,
    key: &CheckpointKey,
    deployment: &str,
    group: Option<&Group>,
) -> anyhow::Result<Option<Position>> {
    let own = store.checkpoint(key).await?;
    if let Some(Checkpoint { deployment: theirs, .. }) = &own
        && theirs != deployment
    {
        bail!(
            "the checkpoint of the plugin {} in the pipeline {} is of another deployment: of {theirs}, and this is {deployment}. \
             Connect to that one; or give this pipeline another name (--name), to begin anew",
            key.plugin,
            key.pipeline
        );
    }
    let names = group.map(Group::names);
    match own {
        Some(own) if own.workers.as_deref() == names => Ok(Some(own.position)),
        own => oldest(store, key, own, names.unwrap_or_default()).await,
    }
}

/// Of workers, one may take over what another left: so it goes on where the last of them was, and nothing is lost. Before the
/// list was another, those that shared the work were those of the old list; or, for one that is new, all that there are.
async fn oldest(
    store: &Store,
    key: &CheckpointKey,
    own: Option<Checkpoint>,
    names: &[String],
) -> anyhow::Result<Option<Position>> {
    let before = own.as_ref().map(|own| own.workers.clone().unwrap_or_default());
    let shared_it = |worker: &Option<String>| match (worker, &before) {
        (None, _) => before.as_ref().is_none_or(Vec::is_empty),
        (Some(worker), Some(before)) => before.contains(worker) || key.worker.as_ref() == Some(worker),
        (Some(worker), None) => names.is_empty() || names.contains(worker),
    };
    let all = store.checkpoints(&key.pipeline, &key.plugin).await?;
    let time = |checkpoint: &Checkpoint| -> Option<Timestamp> {
        checkpoint.position.timestamp().or(checkpoint.timestamp)
    };
    let those = all.into_iter().filter(|(key, _)| shared_it(&key.worker)).map(|(_, checkpoint)| checkpoint);
    let oldest = those.min_by_key(time);
    if let Some(oldest) = &oldest {
        tracing::info!(
            plugin = key.plugin,
            "the workers have changed: going on from {}, the oldest of their checkpoints; what the others did since may come again",
            oldest.position
        );
    }
    Ok(oldest.map(|oldest| oldest.position))
}
