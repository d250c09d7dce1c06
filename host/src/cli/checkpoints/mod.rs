//! `gtm-host checkpoints`: lists and changes the positions at which the plugins of a pipeline resume.

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

/// Returns whether the arguments select this key.
fn is_selected(key: &CheckpointKey, whose: &WhoseArguments) -> bool {
    whose.worker.is_none() || whose.worker == key.worker
}

/// Returns the position as a value for `--start`.
fn start_text(position: &Position) -> String {
    StartAt::from(position.clone()).to_string()
}

/// Returns the time of the checkpoint, if it is known.
fn time(checkpoint: &Checkpoint) -> Option<String> {
    rfc3339(checkpoint.position.cluster_time().or(checkpoint.timestamp)?)
}

/// Returns a time in RFC 3339.
fn rfc3339(Timestamp { time, .. }: Timestamp) -> Option<String> {
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
        "position": start_text(&checkpoint.position),
        "time": time(checkpoint),
        "source": source(checkpoint),
        "deployment": checkpoint.deployment,
        "workers": checkpoint.workers,
        "epoch": checkpoint.epoch,
        "restartedFrom": checkpoint.restarted,
    })
}
