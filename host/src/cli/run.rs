//! `gtm-host --plugin …`: brings changes to plugins until it is stopped.

use std::process::ExitCode;

use anyhow::Context;
use gtm_host::config::Settings;
use gtm_host::delivery::{Ended, Pipeline};
use gtm_host::source::{HistoryLost, skipped_by_name};
use gtm_host::store::{CheckpointKey, Store};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::load::load;
use super::server::Server;
use super::{DEFECT, GRACE, listed};

pub(super) async fn run(settings: Settings, shutdown: CancellationToken) -> anyhow::Result<ExitCode> {
    // Held to the end: a directory is this host's alone.
    let (_store, pipelines) = tokio::select! {
        pipelines = start(&settings) => pipelines?,
        () = shutdown.cancelled() => return Ok(ExitCode::SUCCESS),
    };
    let grace = settings.shutdown_grace.unwrap_or(GRACE);
    let mut running = JoinSet::new();
    for pipeline in pipelines {
        running.spawn(pipeline.run(shutdown.clone(), grace));
    }
    finish(running, &shutdown).await?;
    Ok(ExitCode::SUCCESS)
}

async fn start(settings: &Settings) -> anyhow::Result<(Store, Vec<Pipeline>)> {
    let plugins = load(settings).await?;
    let server = Server::find(settings, plugins.len()).await?;
    let store = server.store(settings).await?;
    let mut pipelines = Vec::new();
    for (plugin, selection) in plugins {
        let own = settings.plugins.get(plugin.name()).and_then(|plugin| plugin.snapshot);
        let snapshot = own.unwrap_or(settings.source.snapshot);
        let kept = snapshot || settings.source.on_history_lost == HistoryLost::Snapshot;
        let key = CheckpointKey {
            pipeline: settings.name().to_owned(),
            plugin: plugin.name().to_owned(),
            worker: None,
        };
        let progress = (kept && store.keeps()).then(|| store.progress(key));
        let source = server.follow(settings, selection, snapshot, progress).await?;
        tracing::info!(plugin = plugin.name(), "{}", server.describe(&source));
        pipelines.push(Pipeline::new(plugin, source, settings.retry));
    }
    Ok((store, pipelines))
}

/// Waits for all pipelines. When one fails, the others are stopped: a host that goes on without one
/// of its plugins would look well and lose changes.
async fn finish(mut pipelines: JoinSet<Ended>, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let mut failure = None;
    while let Some(ended) = pipelines.join_next().await {
        let Ended { plugin, position, summary, skipped, result } = ended.context(DEFECT)?;
        let stopped = match position {
            Some(position) => format!("stopped at {position}: {summary}"),
            None => format!("stopped: {summary}"),
        };
        if summary.unfinished == 0 {
            tracing::info!(plugin, "{stopped}");
        } else {
            tracing::warn!(plugin, "{stopped}");
        }
        if !skipped.is_empty() {
            tracing::info!(
                plugin,
                "passed over, or delivered in part: {}",
                listed(skipped_by_name(&skipped))
            );
        }
        if let Err(error) = result {
            shutdown.cancel();
            failure.get_or_insert(error);
        }
    }
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}
