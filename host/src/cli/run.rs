//! `gtm-host --plugin …`: brings changes to plugins until it is stopped.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use gtm_host::config::Settings;
use gtm_host::delivery::{CheckpointLike, Control, Ended, Pipeline, Policy, run_all};
use gtm_host::plugin::Plugin;
use gtm_host::source::{HistoryLost, Selection, Skipped, skipped_by_name};
use gtm_host::store::{CheckpointKey, Store};
use tokio_util::sync::CancellationToken;

use super::load::load;
use super::server::Server;
use super::{DEFECT, GRACE, listed};

pub(super) async fn run(settings: Settings, shutdown: CancellationToken) -> anyhow::Result<ExitCode> {
    let prepared = tokio::select! {
        prepared = prepare(&settings) => prepared?,
        () = shutdown.cancelled() => return Ok(ExitCode::SUCCESS),
    };
    let (plugins, server, store) = prepared;
    let mut all = Selection::default();
    plugins.iter().for_each(|(_, selection)| all.add_all(selection));
    let control = Control::new(settings.name(), None);
    let pipelines = pipelines(&settings, &server, &store, &plugins, &all).await?;
    let grace = settings.shutdown_grace.unwrap_or(GRACE);
    let shared = server.follow(&settings, all);
    let (ended, skipped) =
        run_all(pipelines, shared, &control, shutdown.clone(), grace).await.context(DEFECT)?;
    say_skipped(None, &skipped);
    finish(ended)?;
    Ok(ExitCode::SUCCESS)
}

async fn prepare(settings: &Settings) -> anyhow::Result<(Vec<(Plugin, Selection)>, Server, Store)> {
    let plugins = load(settings).await?;
    let server = Server::find(settings, plugins.len() + 1).await?;
    let store = server.store(settings).await?;
    Ok((plugins, server, store))
}

/// What each plugin is to be brought, from its checkpoint on.
async fn pipelines(
    settings: &Settings,
    server: &Server,
    store: &Store,
    plugins: &[(Plugin, Selection)],
    all: &Selection,
) -> anyhow::Result<Vec<Pipeline>> {
    let mut pipelines = Vec::new();
    for (plugin, selection) in plugins {
        let own = settings.plugins.get(plugin.name());
        let mut policy =
            Policy { delivery: settings.delivery, retry: settings.retry, breaker: settings.breaker };
        policy.delivery.ordering = own.and_then(|own| own.ordering).unwrap_or(policy.delivery.ordering);
        policy.delivery.lanes = own.and_then(|own| own.lanes).unwrap_or(policy.delivery.lanes);
        let key = CheckpointKey {
            pipeline: settings.name().to_owned(),
            plugin: plugin.name().to_owned(),
            worker: None,
        };
        let mut follow = server.follow(settings, selection.clone());
        follow.watched = Some(all.clone());
        follow.snapshot = own.and_then(|own| own.snapshot).unwrap_or(settings.source.snapshot);
        if follow.snapshot || settings.source.on_history_lost == HistoryLost::Snapshot {
            follow.progress = store.keeps().then(|| server.progress(store.progress(key.clone())));
        }
        let checkpoint = store.checkpoint(&key).await?;
        let from = checkpoint.map(|checkpoint| checkpoint.position);
        if let Some(from) = &from {
            follow.start = from.clone().into();
        }
        pipelines.push(Pipeline {
            plugin: plugin.clone(),
            source: server.describe(),
            follow,
            from,
            policy,
            mine: Arc::new(|_| true),
            store: store.clone(),
            key,
            like: CheckpointLike { deployment: server.deployment(), ..CheckpointLike::default() },
        });
    }
    Ok(pipelines)
}

/// Says what became of each plugin. The first failure is the host's.
fn finish(all: Vec<Ended>) -> anyhow::Result<()> {
    let mut failure = None;
    for Ended { plugin, position, summary, skipped, result } in all {
        let stopped = match position {
            Some(position) => format!("stopped at {position}: {summary}"),
            None => format!("stopped: {summary}"),
        };
        if summary.unfinished == 0 {
            tracing::info!(plugin, "{stopped}");
        } else {
            tracing::warn!(plugin, "{stopped}");
        }
        say_skipped(Some(&plugin), &skipped);
        if let Err(error) = result {
            failure.get_or_insert(error);
        }
    }
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

/// Says what a reader skipped: that of a plugin, or the one that all share.
fn say_skipped(plugin: Option<&str>, skipped: &Skipped) {
    if !skipped.is_empty() {
        tracing::info!(plugin, "passed over, or delivered in part: {}", listed(skipped_by_name(skipped)));
    }
}
