//! `gtm-host checkpoints`: where the plugins of a pipeline resume.

mod change;
mod look;

use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use gtm_host::config::Settings;
use gtm_oplog::Timestamp;
use gtm_source::{Position, StartAt};
use gtm_store::{Checkpoint, CheckpointKey};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::arguments::{CheckpointsArguments, CheckpointsCommand, WhoseArguments};
use super::server;

pub(super) async fn run(
    arguments: &CheckpointsArguments,
    settings: Settings,
    shutdown: CancellationToken,
) -> anyhow::Result<ExitCode> {
    tokio::select! {
        done = work(arguments, &settings) => done,
        () = shutdown.cancelled() => Ok(ExitCode::from(super::INTERRUPTED)),
    }
}

async fn work(arguments: &CheckpointsArguments, settings: &Settings) -> anyhow::Result<ExitCode> {
    let store = server::store(settings).await?;
    match &arguments.command {
        CheckpointsCommand::List(arguments) => look::list(arguments, settings, &store).await,
        CheckpointsCommand::Show(arguments) => look::show(arguments, settings, &store).await,
        CheckpointsCommand::Set(arguments) => change::set(arguments, settings, &store).await,
        CheckpointsCommand::Reset(arguments) => change::reset(&arguments.change, settings, &store).await,
    }
}

/// Whether the key is one that was asked for.
fn is_meant(key: &CheckpointKey, whose: &WhoseArguments) -> bool {
    whose.worker.is_none() || whose.worker == key.worker
}

/// Where a plugin resumes, as --start takes it.
fn typed(position: &Position) -> String {
    StartAt::from(position.clone()).to_string()
}

/// When it is, as far as it is known.
fn time(checkpoint: &Checkpoint) -> Option<String> {
    written(checkpoint.position.cluster_time().or(checkpoint.timestamp)?)
}

/// A time, as it is written.
fn written(Timestamp { time, .. }: Timestamp) -> Option<String> {
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(time.into()))?;
    Some(humantime::format_rfc3339_seconds(time).to_string())
}

fn source(checkpoint: &Checkpoint) -> &'static str {
    match checkpoint.position {
        Position::ChangeStream(_) => "change-stream",
        Position::Oplog(_) | Position::OplogTime(_) | Position::OplogOp(..) => "oplog",
    }
}

fn object(key: &CheckpointKey, checkpoint: &Checkpoint) -> Value {
    json!({
        "pipeline": key.pipeline,
        "plugin": key.plugin,
        "worker": key.worker,
        "position": typed(&checkpoint.position),
        "time": time(checkpoint),
        "source": source(checkpoint),
        "deployment": checkpoint.deployment,
        "workers": checkpoint.workers,
        "epoch": checkpoint.epoch,
        "restartedFrom": checkpoint.restarted,
    })
}
