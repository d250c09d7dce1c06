//! `gtm-host checkpoints set` and `reset`: for a pipeline on which no host works.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::bail;
use gtm_host::config::Settings;
use gtm_oplog::Timestamp;
use gtm_runtime::Actor;
use gtm_source::{Position, ResolvedSource, SourceError, Start};
use gtm_store::lease::holder;
use gtm_store::{Checkpoint, CheckpointKey, LeaseKey, Store, StoreError, StoreKind};
use gtm_text::sanitize;
use serde_json::json;
use tokio::time::timeout;

use super::{is_meant, object, typed, written};
use crate::cli::arguments::{ChangeArguments, Format, SetArguments};
use crate::cli::known;
use crate::cli::output::{print_json, print_text};
use crate::cli::server::{FollowedServer, client};
use crate::cli::usage::bail_usage;

/// How long a server that is not needed may take to answer.
const ASKED: Duration = Duration::from_secs(3);

pub(super) async fn set(
    arguments: &SetArguments,
    settings: &Settings,
    store: &Store,
) -> anyhow::Result<ExitCode> {
    let SetArguments { to, change, .. } = arguments;
    let mut keys = meant(change, settings, store).await?;
    if let (true, Some(plugin)) = (keys.is_empty(), &change.whose.plugin) {
        if !arguments.new {
            known::check(store, settings, Some(plugin)).await?;
            bail!(
                "the plugin {plugin} has no such checkpoint in the pipeline {}. help: run gtm-host checkpoints list; --new makes one, \
                 for a plugin that has not run yet",
                settings.name()
            );
        }
        // Its host resumes there the first time.
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
    // What is in a directory can be changed while the server is down.
    let is_needed =
        matches!(to, Start::Now | Start::Oldest) || moves.iter().any(|(_, before)| before.is_none());
    let server = match is_needed {
        true => Some(FollowedServer::find(settings, 1).await?),
        false => timeout(ASKED, FollowedServer::find(settings, 1)).await.ok().and_then(Result::ok),
    };
    let needed = server.as_ref().filter(|_| is_needed);
    let position = position(to, needed).await?;
    refuse_if_ahead(&position, server.as_ref()).await?;
    // Another server may answer where nobody said which.
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
            Some(&format!("{key}, after {}", typed(&position))),
        );
        match change.place.output {
            Format::Json => print_json(&object(&key, &checkpoint))?,
            Format::Text => {
                let before = before.map(|before| format!(", and not after {}", typed(&before.position)));
                let (to, before) = (typed(&position), before.unwrap_or_default());
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
    let keys = meant(arguments, settings, store).await?;
    if keys.is_empty() {
        known::check(store, settings, arguments.whose.plugin.as_deref()).await?;
    }
    refuse_if_live(arguments, settings, &keys).await?;
    let mut removed = 0_u64;
    for key in &keys {
        // Another may have removed it meanwhile.
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

/// The checkpoints that are to be changed.
async fn meant(
    ChangeArguments { whose, all, .. }: &ChangeArguments,
    settings: &Settings,
    store: &Store,
) -> anyhow::Result<Vec<CheckpointKey>> {
    let mut keys = store.checkpoint_keys(settings.name(), whose.plugin.as_deref()).await?;
    keys.retain(|key| is_meant(key, whose));
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

/// Refuses where a host works on the pipeline. A directory is open in one gtm-host at a time, so that no host has it now.
async fn refuse_if_live(
    arguments: &ChangeArguments,
    settings: &Settings,
    keys: &[CheckpointKey],
) -> anyhow::Result<()> {
    if arguments.force || settings.store.kind != StoreKind::Mongodb {
        return Ok(());
    }
    let client = client(settings).await?;
    // A host may have begun to share the work, or have ceased to.
    let workers: BTreeSet<Option<String>> = keys.iter().map(|key| key.worker.clone()).chain([None]).collect();
    for worker in workers {
        let key = LeaseKey { pipeline: settings.name().to_owned(), worker };
        let ttl = settings.lease.ttl;
        let say = |holder: &str| {
            tracing::info!(
                holder,
                "waiting for {} s to see whether this host still works",
                ttl.as_secs_f64()
            );
        };
        if let Some(holder) = holder(&client, &key, ttl, say).await? {
            bail!(
                "a host works on the {key}: {holder}. It would overwrite the change. help: stop it first, or use gtm-host seek on it; \
                 --force does it all the same"
            );
        }
    }
    Ok(())
}

/// The place that is meant.
async fn position(to: &Start, server: Option<&FollowedServer>) -> anyhow::Result<Position> {
    Ok(match (to, server) {
        (Start::After(timestamp), _) => Position::OplogTime(*timestamp),
        (Start::AfterOp(timestamp, index), _) => Position::OplogOp(*timestamp, *index),
        (Start::AfterToken(token), _) => Position::ChangeStream(token.clone()),
        (Start::Resume(position), _) => position.clone(),
        (Start::Now, Some(server)) => Position::OplogTime(server.now().await?),
        (Start::Oldest, Some(server)) => match server.choice() {
            ResolvedSource::Oplog(_) => Position::before_all(),
            ResolvedSource::ChangeStream(_) => return Err(SourceError::NoOldest.into()),
        },
        (Start::Now | Start::Oldest, None) => bail!("{}", crate::cli::DEFECT),
    })
}

/// Refuses a place that nothing has come to: a host that resumes there would fail, or pass over what comes until then.
async fn refuse_if_ahead(position: &Position, server: Option<&FollowedServer>) -> anyhow::Result<()> {
    let Some(at) = position.cluster_time() else { return Ok(()) };
    let own = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    // The clock of either may be wrong, and a server on which nothing is written stands still.
    let its = match server {
        Some(server) => server.now().await.map_or(0, |now| now.time.into()),
        None => 0,
    };
    if u64::from(at.time) > own.max(its) {
        bail!("{} is in the future. help: pass now, or a time that has passed", in_words(at));
    }
    Ok(())
}

/// Says it if changes after this place were rolled off.
async fn warn_if_lost(position: &Position, server: &FollowedServer) {
    let Some(at) = position.cluster_time() else { return };
    if let Ok(Some(oldest)) = server.rolled_off(at).await {
        tracing::warn!(
            "the oplog begins at {}: changes between {} and then cannot be read any more, and the host stops there. help: pass oldest, or \
             start the host with --source-on-history-lost",
            in_words(oldest),
            in_words(at)
        );
    }
}

/// A place in the oplog, as it is typed, with its time.
fn in_words(at: Timestamp) -> String {
    let place = typed(&Position::OplogTime(at));
    match written(at) {
        Some(time) => format!("{place} ({time})"),
        None => place,
    }
}

/// A checkpoint at another place.
async fn moved(
    key: &CheckpointKey,
    before: Option<&Checkpoint>,
    position: &Position,
    server: Option<&FollowedServer>,
    store: &Store,
) -> Result<Checkpoint, StoreError> {
    let workers = match before {
        Some(before) => before.workers.clone(),
        // As the others have it that share the work.
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
