//! Where each plugin begins: at its checkpoint, or where a start was asked for in its place.

use anyhow::bail;
use gtm_host::config::{PluginSettings, Settings};
use gtm_oplog::Timestamp;
use gtm_source::{Position, ResolvedSource, Restart, SourceConfig};
use gtm_store::{Checkpoint, CheckpointKey, Group, Store};
use gtm_text::sanitize::quoted;

/// What was decided of a plugin's beginning, beside the start that is set in its [`SourceConfig`].
#[derive(Debug, Default)]
pub(super) struct Beginning {
    /// Everything up to here was done before, of which the cluster time may be known.
    pub(super) from: Option<(Position, Option<Timestamp>)>,
    /// The restart that was taken, now or before: each checkpoint keeps it, so that it is taken once.
    pub(super) restarted: Option<String>,
}

/// Decides where a plugin begins, sets it in `follow`, and logs what is not as it might be expected.
///
/// # Errors
/// The store cannot be read, or the checkpoint is of no use here.
pub(super) async fn begin(
    (settings, own): (&Settings, &PluginSettings),
    store: &Store,
    key: &CheckpointKey,
    deployment: &str,
    group: Option<&Group>,
    follow: &mut SourceConfig,
) -> anyhow::Result<Beginning> {
    let plugin = key.plugin.as_str();
    let kept = kept(store, key, group).await?;
    let asked = own.restart_from.as_ref().or(settings.source.restart_from.as_ref());
    let restarted = asked.map(|restart| restart.words().to_owned());
    if let Some(restart) = asked.filter(|restart| !is_taken(restart, kept.as_ref())) {
        let before = kept.map(|kept| kept.position.to_string());
        tracing::info!(
            plugin,
            start = restart.words(),
            checkpoint = before,
            "restarting where --restart-from says"
        );
        follow.start = restart.start.clone();
        // The snapshot of before is of no account: what is asked for is this place.
        follow.snapshot = false;
        return Ok(Beginning { from: None, restarted });
    }
    let Some(kept) = kept else { return Ok(Beginning { from: None, restarted }) };
    if kept.deployment != deployment {
        bail!(
            "the checkpoint of the plugin {plugin} in the pipeline {} is of another deployment: of {}, and this is {deployment}. \
             help: connect to that one; or pass --restart-from {}, or another start, to begin there on this one; or give \
             this pipeline another name (--name)",
            key.pipeline,
            kept.deployment,
            quoted(&format!("{plugin}=now"))
        );
    }
    let position = resumed(key, &kept, follow)?;
    match (asked, &settings.source.start) {
        (Some(restart), _) => tracing::info!(
            plugin,
            checkpoint = %kept.position,
            "resuming from the checkpoint: --restart-from {} was done before. help: to do it again, stop the host, run gtm-host \
             checkpoints set {} --plugin {} {}, and start it",
            restart.words(),
            quoted(restart.words()),
            quoted(plugin),
            store.arguments(&key.pipeline)
        ),
        (None, Some(start)) => tracing::info!(
            plugin,
            checkpoint = %kept.position,
            "resuming from the checkpoint: --start {start} is ignored. help: pass --restart-from {} to begin there",
            quoted(&format!("{plugin}={start}"))
        ),
        (None, None) => {}
    }
    follow.start = position.clone().into();
    Ok(Beginning { from: Some((position, kept.timestamp)), restarted })
}

/// Whether a checkpoint was made after this restart.
fn is_taken(restart: &Restart, kept: Option<&Checkpoint>) -> bool {
    kept.is_some_and(|kept| kept.restarted.as_deref() == Some(restart.words()))
}

/// The position of a checkpoint, in what is read now. The position of an oplog is one of a change stream too, but not the
/// other way round: then its time is.
fn resumed(key: &CheckpointKey, kept: &Checkpoint, follow: &SourceConfig) -> anyhow::Result<Position> {
    let plugin = key.plugin.as_str();
    let (of_stream, checkpoint) = (matches!(kept.position, Position::ChangeStream(_)), &kept.position);
    match &follow.choice {
        ResolvedSource::Oplog(_) if of_stream => {
            // Of two times that are known, the earlier one is right in any case.
            let times = [kept.timestamp, kept.position.cluster_time()];
            let Some(time) = times.into_iter().flatten().min() else {
                bail!(
                    "the plugin {plugin} cannot resume: its checkpoint is a place in a change stream, {checkpoint}, of which the time \
                     is not known, and the oplog is read. help: pass --source-kind change-stream; or --restart-from {}, where \
                     START is a time before the host stopped",
                    quoted(&format!("{plugin}=START"))
                )
            };
            let position = Position::before(time);
            tracing::warn!(
                plugin,
                %checkpoint,
                %position,
                "the checkpoint is of a change stream: resuming in the oplog at its time, so that ops of that time may repeat"
            );
            Ok(position)
        }
        ResolvedSource::ChangeStream(_) if !of_stream => {
            let repeats = match &kept.position {
                Position::OplogOp(..) => "ops of that time may repeat",
                _ => "no op repeats",
            };
            tracing::warn!(
                plugin,
                %checkpoint,
                "the checkpoint is of an oplog: resuming in the change stream at its time, {repeats}"
            );
            Ok(kept.position.clone())
        }
        _ => Ok(kept.position.clone()),
    }
}

/// The checkpoint to resume from. None: nothing is known of what was done.
async fn kept(
    store: &Store,
    key: &CheckpointKey,
    group: Option<&Group>,
) -> anyhow::Result<Option<Checkpoint>> {
    let own = store.checkpoint(key).await?;
    let names = group.map(Group::names);
    match own {
        Some(own) if own.workers.as_deref() == names => Ok(Some(own)),
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
) -> anyhow::Result<Option<Checkpoint>> {
    let before = own.as_ref().map(|own| own.workers.clone().unwrap_or_default());
    let shared_it = |worker: &Option<String>| match (worker, &before) {
        (None, _) => before.as_ref().is_none_or(Vec::is_empty),
        (Some(worker), Some(before)) => before.contains(worker) || key.worker.as_ref() == Some(worker),
        (Some(worker), None) => names.is_empty() || names.contains(worker),
    };
    let all = store.checkpoints(&key.pipeline, &key.plugin).await?;
    let time = |checkpoint: &Checkpoint| -> Option<Timestamp> {
        checkpoint.position.timestamp().or(checkpoint.timestamp).or(checkpoint.position.cluster_time())
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
    Ok(oldest)
}
