//! `gtm-host checkpoints set` and `reset`: change checkpoints while no host is active.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::bail;
use gtm_host::config::Settings;
use gtm_oplog::Timestamp;
use gtm_runtime::Actor;
use gtm_source::{Position, ResolvedSource, StartAt, StreamError};
use gtm_store::lease::holder;
use gtm_store::{Checkpoint, CheckpointKey, LeaseKey, Store, StoreError, StoreKind};
use gtm_text::sanitize;
use serde_json::json;
use tokio::time::timeout;

use super::{is_selected, object, rfc3339, start_text};
use crate::cli::arguments::{ChangeArguments, Format, SetArguments};
use crate::cli::known_names;
use crate::cli::output::{print_json, print_text};
use crate::cli::server::{FollowedServer, client};
use crate::cli::usage::bail_usage;

/// The time to wait for a server that the command can do without.
const OPTIONAL_SERVER_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) async fn set(
    arguments: &SetArguments,
    settings: &Settings,
    store: &Store,
) -> anyhow::Result<ExitCode> {
    let SetArguments { to, change, .. } = arguments;
    let mut keys = selected_keys(change, settings, store).await?;
    if let (true, Some(plugin)) = (keys.is_empty(), &change.whose.plugin) {
        if !arguments.new {
            known_names::check_plugin(store, settings, Some(plugin)).await?;
            bail!(
                "the plugin {plugin} has no such checkpoint in the pipeline {}. help: run gtm-host checkpoints list; for a plugin that has not run \
                 yet, pass --new",
                settings.name()
            );
        }
        // The plugin begins there at its first run.
        keys.push(CheckpointKey {
            pipeline: settings.name().to_owned(),
            plugin: plugin.clone(),
            worker: change.whose.worker.clone(),
        });
    }
    refuse_if_live(change, settings, &keys).await?;
    let mut moves = Vec::new();
    for key in keys {
        let before = store.checkpoint(&key).await?;
        moves.push((key, before));
    }
    // A store in a directory can be changed while the server is down.
    let is_needed =
        matches!(to, StartAt::Now | StartAt::Oldest) || moves.iter().any(|(_, before)| before.is_none());
    let server = match is_needed {
        true => Some(FollowedServer::find(settings, 1).await?),
        false => timeout(OPTIONAL_SERVER_TIMEOUT, FollowedServer::find(settings, 1))
            .await
            .ok()
            .and_then(Result::ok),
    };
    let needed = server.as_ref().filter(|_| is_needed);
    let position = position(to, needed).await?;
    refuse_if_ahead(&position, server.as_ref()).await?;
    // The default URI may lead to a server of another deployment.
    let is_its_own = |server: &&FollowedServer| {
        let deployment = server.deployment();
        moves.iter().all(|(_, before)| before.as_ref().is_none_or(|before| before.deployment == deployment))
    };
    if let Some(server) = server.as_ref().filter(is_its_own) {
        warn_if_lost(&position, server).await;
    }
    for (key, before) in moves {
        let checkpoint = moved(&key, before.as_ref(), &position, needed, store).await?;
        store.save_checkpoint(&key, &checkpoint).await?;
        Actor::Command.did(
            "set checkpoint",
            &key.plugin,
            Some(&format!("{key}, after {}", start_text(&position))),
        );
        match change.place.output {
            Format::Json => print_json(&object(&key, &checkpoint))?,
            Format::Text => {
                let before = before.map(|before| format!(", and not after {}", start_text(&before.position)));
                let (to, before) = (start_text(&position), before.unwrap_or_default());
                print_text(&sanitize::line(&format!("{key}: resumes after {to}{before}")))?
            }
        };
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn reset(
    arguments: &ChangeArguments,
    settings: &Settings,
    store: &Store,
) -> anyhow::Result<ExitCode> {
    let keys = selected_keys(arguments, settings, store).await?;
    if keys.is_empty() {
        known_names::check_plugin(store, settings, arguments.whose.plugin.as_deref()).await?;
    }
    refuse_if_live(arguments, settings, &keys).await?;
    let mut removed = 0_u64;
    for key in &keys {
        // Another process may have removed it meanwhile.
        if store.remove_checkpoint(key).await? {
            Actor::Command.did("reset checkpoint", &key.plugin, Some(key));
            removed += 1;
        }
        store.remove_snapshot_progress(key).await?;
    }
    match arguments.place.output {
        Format::Json => print_json(&json!({ "reset": removed }))?,
        Format::Text => {
            let begin = if removed == 1 { "its plugin begins" } else { "their plugins begin" };
            print_text(&format!(
                "{} removed: {begin} where --start says",
                sanitize::counted(removed, "checkpoint")
            ))?
        }
    };
    Ok(ExitCode::SUCCESS)
}

/// Returns the keys of the checkpoints to change.
async fn selected_keys(
    ChangeArguments { whose, all, .. }: &ChangeArguments,
    settings: &Settings,
    store: &Store,
) -> anyhow::Result<Vec<CheckpointKey>> {
    let mut keys = store.checkpoint_keys(settings.name(), whose.plugin.as_deref()).await?;
    keys.retain(|key| is_selected(key, whose));
    let plugins: BTreeSet<&str> = keys.iter().map(|key| key.plugin.as_str()).collect();
    if whose.plugin.is_none() && !all && plugins.len() != 1 {
        let there = plugins.into_iter().collect::<Vec<_>>().join(", ");
        let there =
            if there.is_empty() { "none has a checkpoint".to_owned() } else { format!("there are {there}") };
        bail_usage!(
            "which plugin of the pipeline {}? {there}. help: pass --plugin NAME, or --all",
            settings.name()
        );
    }
    Ok(keys)
}

/// Fails if a host is active. A store in a directory is open in one process at a time, so no host can have it now.
async fn refuse_if_live(
    arguments: &ChangeArguments,
    settings: &Settings,
    keys: &[CheckpointKey],
) -> anyhow::Result<()> {
    if arguments.force || settings.store.kind != StoreKind::Mongodb {
        return Ok(());
    }
    let client = client(settings).await?;
    // A host may have joined or left the workers since.
    let workers: BTreeSet<Option<String>> = keys.iter().map(|key| key.worker.clone()).chain([None]).collect();
    for worker in workers {
        let key = LeaseKey { pipeline: settings.name().to_owned(), worker };
        let ttl = settings.lease.ttl;
        let log_wait = |holder: &str| {
            tracing::info!(
                event = "lease.wait",
                holder,
                ttl_ms = ttl.as_millis(),
                "waiting to see whether this host still works"
            );
        };
        if let Some(holder) = holder(&client, &key, ttl, log_wait).await? {
            bail!(
                "a host works on the {key}: {holder}. It would overwrite the change. help: stop it first, or use gtm-host seek; to change \
                 the checkpoint in spite of it, pass --force"
            );
        }
    }
    Ok(())
}

/// Returns the position for a start.
async fn position(to: &StartAt, server: Option<&FollowedServer>) -> anyhow::Result<Position> {
    Ok(match (to, server) {
        (StartAt::Time(time), _) => Position::OplogTime(*time),
        (StartAt::After(position), _) => position.clone(),
        (StartAt::Now, Some(server)) => Position::OplogTime(server.now().await?),
        (StartAt::Oldest, Some(server)) => match server.choice() {
            ResolvedSource::Oplog(_) => Position::before_all(),
            ResolvedSource::ChangeStream(_) => return Err(StreamError::NoOldest.into()),
        },
        (StartAt::Now | StartAt::Oldest, None) => bail!("{}", crate::cli::DEFECT),
    })
}

/// Fails if a position is in the future: a host that resumes there would fail, or skip all changes until then.
async fn refuse_if_ahead(position: &Position, server: Option<&FollowedServer>) -> anyhow::Result<()> {
    let Some(at) = position.cluster_time() else { return Ok(()) };
    let own = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    // Either clock may be wrong, and the newest change of an idle server may be old.
    let its = match server {
        Some(server) => server.now().await.map_or(0, |now| now.time.into()),
        None => 0,
    };
    if u64::from(at.time) > own.max(its) {
        bail!("{} is in the future. help: pass now, or a time that has passed", describe(at));
    }
    Ok(())
}

/// Warns if changes after this position can no longer be read.
async fn warn_if_lost(position: &Position, server: &FollowedServer) {
    let Some(at) = position.cluster_time() else { return };
    if let Ok(Some(oldest)) = server.rolled_off(at).await {
        tracing::warn!(
            event = "checkpoint.set_before_oplog",
            position = describe(at),
            oldest = describe(oldest),
            help = "pass oldest, or start the host with --source-on-history-lost",
            "changes after the position are not in the oplog any more; the host stops there"
        );
    }
}

/// Describes a position in the oplog as a start, with its time.
fn describe(at: Timestamp) -> String {
    let place = start_text(&Position::OplogTime(at));
    match rfc3339(at) {
        Some(time) => format!("{place} ({time})"),
        None => place,
    }
}

/// Returns the checkpoint with another position.
async fn moved(
    key: &CheckpointKey,
    before: Option<&Checkpoint>,
    position: &Position,
    server: Option<&FollowedServer>,
    store: &Store,
) -> Result<Checkpoint, StoreError> {
    let workers = match before {
        Some(before) => before.workers.clone(),
        // A new worker has the same list of workers as the others.
        None => {
            let others = store.checkpoints(&key.pipeline, &key.plugin).await?;
            others.into_iter().find_map(|(_, other)| other.workers).filter(|_| key.worker.is_some())
        }
    };
    let deployment = server.map(FollowedServer::deployment);
    let deployment = deployment.or_else(|| before.map(|before| before.deployment.clone()));
    Ok(Checkpoint {
        deployment: deployment.unwrap_or_default(),
        position: position.clone(),
        timestamp: position.cluster_time(),
        workers,
        epoch: before.map_or(0, |before| before.epoch),
        restarted: before.and_then(|before| before.restarted.clone()),
    })
}
