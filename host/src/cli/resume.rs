//! Decides where each plugin begins: at its checkpoint, or at a start that overrides it.

use anyhow::bail;
use gtm_host::config::{PluginSettings, Settings};
use gtm_oplog::Timestamp;
use gtm_source::{Position, ResolvedSource, Restart, SourceConfig};
use gtm_store::{Checkpoint, CheckpointKey, Group, Store};
use gtm_text::sanitize::quoted;

use super::store_help::store_arguments;

/// Where a plugin begins, besides the start in its [`SourceConfig`].
#[derive(Debug, Default)]
pub(super) struct ResumePoint {
    /// The position up to which everything is done, and its cluster time if that is known.
    pub(super) from: Option<(Position, Option<Timestamp>)>,
    /// The restart that was carried out, now or earlier. Each checkpoint records it, so that it happens once.
    pub(super) restarted: Option<String>,
}

/// Decides where a plugin begins, sets it in `follow`, and logs what a user may not expect.
///
/// # Errors
/// Fails if the store cannot be read, or the checkpoint does not fit this source.
pub(super) async fn resume_point(
    (settings, own): (&Settings, &PluginSettings),
    store: &Store,
    key: &CheckpointKey,
    deployment: &str,
    group: Option<&Group>,
    follow: &mut SourceConfig,
) -> anyhow::Result<ResumePoint> {
    let plugin = key.plugin.as_str();
    let kept = stored_checkpoint(store, key, group).await?;
    let asked = own.restart_from.as_ref().or(settings.source.restart_from.as_ref());
    let restarted = asked.map(|restart| restart.words().to_owned());
    if let Some(restart) = asked.filter(|restart| !is_done(restart, kept.as_ref())) {
        let before = kept.map(|kept| kept.position.to_string());
        tracing::info!(
            event = "plugin.restart",
            plugin,
            start = restart.words(),
            checkpoint = before,
            "restarting, as --restart-from says"
        );
        follow.start = restart.start.clone();
        // A restart names a place in the stream, so no snapshot precedes it.
        follow.snapshot = false;
        return Ok(ResumePoint { from: None, restarted });
    }
    let Some(kept) = kept else { return Ok(ResumePoint { from: None, restarted }) };
    if kept.deployment != deployment {
        bail!(
            "the checkpoint of the plugin {plugin} in the pipeline {} is of another deployment: {}. This one is {deployment}. help: connect \
             to that deployment; to begin on this one, pass --restart-from {}, or another start, or give this pipeline another name \
             with --name",
            key.pipeline,
            kept.deployment,
            quoted(&format!("{plugin}=now"))
        );
    }
    let position = position_in_source(key, &kept, follow)?;
    match (asked, &settings.source.start) {
        (Some(restart), _) => tracing::info!(
            event = "checkpoint.resume", plugin, checkpoint = %kept.position, restart_from = restart.words(),
            help = format!(
                "to restart again, stop the host, run gtm-host checkpoints set {} --plugin {} {}, and start it",
                quoted(restart.words()),
                quoted(plugin),
                store_arguments(store, &key.pipeline)
            ),
            "resuming from the checkpoint: --restart-from was done before"
        ),
        (None, Some(start)) => tracing::info!(
            event = "checkpoint.resume", plugin, checkpoint = %kept.position, %start,
            help = format!("to begin there, pass --restart-from {}", quoted(&format!("{plugin}={start}"))),
            "resuming from the checkpoint: --start is ignored"
        ),
        (None, None) => {}
    }
    follow.start = position.clone().into();
    Ok(ResumePoint { from: Some((position, kept.timestamp)), restarted })
}

/// Returns whether the checkpoint was stored after this restart.
fn is_done(restart: &Restart, kept: Option<&Checkpoint>) -> bool {
    kept.is_some_and(|kept| kept.restarted.as_deref() == Some(restart.words()))
}

/// Returns the position of a checkpoint in the source that is read now. A change stream can start at a position of the oplog. The oplog
/// can start only at the time of a position of a change stream.
fn position_in_source(
    key: &CheckpointKey,
    kept: &Checkpoint,
    follow: &SourceConfig,
) -> anyhow::Result<Position> {
    let plugin = key.plugin.as_str();
    let (of_stream, checkpoint) = (matches!(kept.position, Position::ChangeStream(_)), &kept.position);
    match &follow.choice {
        ResolvedSource::Oplog(_) if of_stream => {
            // The earlier of two known times loses no change.
            let times = [kept.timestamp, kept.position.cluster_time()];
            let Some(time) = times.into_iter().flatten().min() else {
                bail!(
                    "the plugin {plugin} cannot resume in the oplog: its checkpoint is {checkpoint} in a change stream, whose time is \
                     unknown. help: pass --source-kind change-stream, or --restart-from {} with a time before the host stopped",
                    quoted(&format!("{plugin}=START"))
                )
            };
            let position = Position::before(time);
            tracing::warn!(
                event = "checkpoint.convert", plugin, %checkpoint, %position, may_repeat = true,
                "the checkpoint is of a change stream; resuming in the oplog at its time"
            );
            Ok(position)
        }
        ResolvedSource::ChangeStream(_) if !of_stream => {
            let may_repeat = matches!(kept.position, Position::OplogOp(..));
            tracing::warn!(
                event = "checkpoint.convert", plugin, %checkpoint, may_repeat,
                "the checkpoint is of an oplog; resuming in the change stream at its time"
            );
            Ok(kept.position.clone())
        }
        _ => Ok(kept.position.clone()),
    }
}

/// Returns the checkpoint to resume from. None: there is none.
async fn stored_checkpoint(
    store: &Store,
    key: &CheckpointKey,
    group: Option<&Group>,
) -> anyhow::Result<Option<Checkpoint>> {
    let own = store.checkpoint(key).await?;
    let names = group.map(Group::names);
    match own {
        Some(own) if own.workers.as_deref() == names => Ok(Some(own)),
        own => oldest_checkpoint(store, key, own, names.unwrap_or_default()).await,
    }
}

/// Returns the oldest checkpoint of the workers that shared the work. After the list of workers changed, a worker may get documents of
/// another, so it resumes from the oldest position, and nothing is lost. The former workers are those in the list of its own checkpoint, or
/// all workers if it has none.
async fn oldest_checkpoint(
    store: &Store,
    key: &CheckpointKey,
    own: Option<Checkpoint>,
    names: &[String],
) -> anyhow::Result<Option<Checkpoint>> {
    let before = own.as_ref().map(|own| own.workers.clone().unwrap_or_default());
    let shared_work = |worker: &Option<String>| match (worker, &before) {
        (None, _) => before.as_ref().is_none_or(Vec::is_empty),
        (Some(worker), Some(before)) => before.contains(worker) || key.worker.as_ref() == Some(worker),
        (Some(worker), None) => names.is_empty() || names.contains(worker),
    };
    let all = store.checkpoints(&key.pipeline, &key.plugin).await?;
    let time = |checkpoint: &Checkpoint| -> Option<Timestamp> {
        checkpoint.position.timestamp().or(checkpoint.timestamp).or(checkpoint.position.cluster_time())
    };
    let candidates =
        all.into_iter().filter(|(key, _)| shared_work(&key.worker)).map(|(_, checkpoint)| checkpoint);
    let oldest = candidates.min_by_key(time);
    if let Some(oldest) = &oldest {
        tracing::info!(
            event = "workers.change", plugin = key.plugin, position = %oldest.position,
            "the workers changed; resuming from the oldest of their checkpoints. Ops that the others did since then may repeat"
        );
    }
    Ok(oldest)
}
