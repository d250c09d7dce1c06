//! Stores up to where a plugin has done everything.

use std::sync::Arc;
use std::time::Duration;

use gtm_store::{Checkpoint, CheckpointKey, Store, StoreError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::progress::{DueCheckpoint, PluginProgress, Subject};

/// The minimum interval between stores if nothing was done and only the source moved on. The position of an idle source moves
/// every five seconds, and a store on the cluster is itself a change there: more often would make work of nothing.
const IDLE: Duration = Duration::from_secs(5);

/// Stores the checkpoints of one plugin.
#[derive(Clone)]
pub(super) struct Checkpointer {
    pub(super) store: Store,
    pub(super) key: CheckpointKey,
    /// What is the same in each of them.
    pub(super) like: CheckpointLike,
    pub(super) progress: Arc<PluginProgress>,
    pub(super) interval: Duration,
}

/// What all checkpoints of a plugin in one run have in common.
#[derive(Clone, Debug, Default)]
pub struct CheckpointLike {
    /// As a deployment is displayed.
    pub deployment: String,
    /// The workers that share the work, if any do.
    pub workers: Option<Vec<String>>,
    /// The fencing token of the lease.
    pub epoch: u64,
    /// The start that was asked for in place of a checkpoint, in the words in which it was.
    pub restarted: Option<String>,
}

impl Checkpointer {
    /// Stores it at each interval at which something was done, until `stop` is cancelled. What fails is said once, and tried
    /// again.
    ///
    /// # Errors
    /// Another host has taken over: nothing more is to be done.
    pub(super) async fn run(&self, stop: &CancellationToken) -> Result<(), StoreError> {
        let mut failing = false;
        let mut stored = Instant::now();
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.interval) => {}
                () = stop.cancelled() => return Ok(()),
            }
            self.progress.measure();
            let due = self.progress.to_store().filter(|due| due.worked || stored.elapsed() >= IDLE);
            let Some(due) = due.filter(|_| self.store.keeps()) else { continue };
            match self.store(due).await {
                Ok(()) => {
                    stored = Instant::now();
                    if std::mem::take(&mut failing) {
                        tracing::info!(
                            event = "checkpoint.recover",
                            plugin = self.key.plugin,
                            "checkpoints are stored again"
                        );
                    }
                }
                Err(error @ StoreError::Fenced { .. }) => return Err(error),
                Err(error) => {
                    self.progress
                        .problem(Subject::Checkpoint, &format!("the checkpoint cannot be stored: {error}"));
                    if !std::mem::replace(&mut failing, true) {
                        tracing::error!(
                            event = "checkpoint.store_failed",
                            plugin = self.key.plugin,
                            error = &error as &(dyn std::error::Error + 'static),
                            "the checkpoint cannot be stored; retrying. The plugin continues: after a crash, it would repeat \
                             what it does now"
                        );
                    }
                }
            }
        }
    }

    /// Stores it now, if there is anything to store.
    ///
    /// # Errors
    /// It cannot be stored.
    pub(super) async fn store_now(&self) -> Result<(), StoreError> {
        match self.progress.to_store().filter(|_| self.store.keeps()) {
            Some(due) => self.store(due).await,
            None => Ok(()),
        }
    }

    async fn store(&self, standing: DueCheckpoint) -> Result<(), StoreError> {
        let DueCheckpoint { position, timestamp, number, done, .. } = standing;
        let CheckpointLike { deployment, workers, epoch, restarted } = self.like.clone();
        let checkpoint = Checkpoint { deployment, position, timestamp, workers, epoch, restarted };
        self.store.save_checkpoint(&self.key, &checkpoint).await?;
        self.progress.stored(checkpoint.position, number, done);
        Ok(())
    }
}
