//! The snapshot before the changes.

use gtm_mongo::server_error::sentence;
use gtm_mongo::wire::timed;
use gtm_oplog::Timestamp;
use gtm_text::ProgressDisplay;
use mongodb::Client;

use super::SourceConfig;
use crate::batch::SourceBatch;
use crate::error::SourceError;
use crate::oplog::tailer::OplogTailer;
use crate::resolved::ResolvedSource;
use crate::snapshot::{Snapshot, SnapshotOptions, SnapshotStage};
use crate::start_at::StartAt;

/// A snapshot that is being taken, with a display of its progress.
pub(super) struct SnapshotPhase {
    snapshot: Snapshot,
    display: ProgressDisplay,
}

impl SnapshotPhase {
    pub(super) async fn plan(config: &SourceConfig, at: Timestamp) -> Result<Box<Self>, SourceError> {
        let options = SnapshotOptions { progress: config.progress.clone(), ..SnapshotOptions::default() };
        let snapshot = Snapshot::plan(&config.client, &mut config.selection.clone(), at, options).await?;
        Ok(Box::new(Self { snapshot, display: ProgressDisplay::new("snapshot") }))
    }

    pub(super) async fn settle(&mut self) -> Result<(), SourceError> {
        Ok(self.snapshot.settle().await?)
    }

    /// Returns the next ops. None: everything was read.
    pub(super) async fn next(&mut self) -> Result<Option<SourceBatch>, SourceError> {
        let batch = self.snapshot.next().await?;
        let progress = self.snapshot.progress();
        if batch.is_some() {
            self.display.show(progress.documents, progress.estimated, progress);
            return Ok(batch);
        }
        self.display.clear();
        if progress.refused > 0 {
            tracing::warn!(
                event = "snapshot.complete", documents = progress.documents, refused = progress.refused,
                elapsed_ms = progress.elapsed.as_millis(), summary = %progress, "the snapshot is complete"
            );
        } else {
            tracing::info!(
                event = "snapshot.complete", documents = progress.documents,
                elapsed_ms = progress.elapsed.as_millis(), summary = %progress, "the snapshot is complete"
            );
        }
        Ok(batch)
    }
}

/// Looks up the stage of the snapshot, and sets the start of the changes to the time at which it began. A snapshot that has begun
/// is completed, whether or not `config` asks for one. Returns the time at which it began. None: there is nothing to read.
pub(super) async fn begin(config: &mut SourceConfig) -> Result<Option<Timestamp>, SourceError> {
    let stage = match &config.progress {
        Some(progress) => Snapshot::stage(progress, &config.selection).await?,
        None => SnapshotStage::None,
    };
    let at = match (config.snapshot, stage) {
        (_, SnapshotStage::Unfinished(at)) => {
            tracing::info!(event = "snapshot.resume", began_at = %at, "continuing the snapshot that was begun");
            config.snapshot = true;
            at
        }
        (true, SnapshotStage::None) => now(&config.client, &config.choice).await?,
        (true, SnapshotStage::Complete(at)) => {
            tracing::info!(event = "snapshot.skip", began_at = %at, "the snapshot is complete already");
            config.snapshot = false;
            at
        }
        (false, _) => return Ok(None),
    };
    if config.start == StartAt::Now {
        config.start = StartAt::Time(at);
    }
    Ok(config.snapshot.then_some(at))
}

/// Returns the time of the oldest change that can be read, if changes after `start` cannot be read any more. None: they can be read,
/// or only the server knows, as with a change stream.
///
/// # Errors
/// The server cannot be asked.
pub async fn rolled_off(
    client: &Client,
    choice: &ResolvedSource,
    start: Timestamp,
) -> Result<Option<Timestamp>, SourceError> {
    match choice {
        ResolvedSource::Oplog(oplog) => Ok(OplogTailer::rolled_off(client, oplog, start).await?),
        ResolvedSource::ChangeStream(_) => Ok(None),
    }
}

/// Returns the cluster time up to which the server has changes now.
///
/// # Errors
/// The server cannot be asked.
pub async fn now(client: &Client, choice: &ResolvedSource) -> Result<Timestamp, SourceError> {
    if let ResolvedSource::Oplog(oplog) = choice {
        return Ok(OplogTailer::newest(client, oplog).await?.unwrap_or_default());
    }
    let hello = client.database("admin");
    let hello = timed(async { hello.run_command(bson::doc! { "hello": 1 }).await }).await;
    let time = hello.map_err(|error| SourceError::NoTime(sentence(&error)))?;
    let time = time.get_timestamp("operationTime").map_err(|error| SourceError::NoTime(error.to_string()))?;
    Ok(time.into())
}
