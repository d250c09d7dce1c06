//! Stores the position up to which a plugin has done everything.

use std::sync::Arc;
use std::time::Duration;

use gtm_source::Position;
use gtm_store::{Checkpoint, CheckpointKey, Store, StoreError};
use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::checkpoint_progress::DueCheckpoint;
use super::last_error::ErrorSubject;
use super::plugin_progress::PluginProgress;

/// The minimum interval between stores if nothing was done and only the source moved on. The position of an idle source moves
/// every five seconds, and a store on the cluster is itself a change there: more often would make work of nothing.
const IDLE_STORE_INTERVAL: Duration = Duration::from_secs(5);

/// Stores the checkpoints of one plugin. Clones store the same.
#[derive(Clone)]
pub(super) struct Checkpointer {
    pub(super) store: Store,
    pub(super) key: CheckpointKey,
    pub(super) context: CheckpointContext,
    pub(super) progress: Arc<PluginProgress>,
    pub(super) interval: Duration,
    /// Notifies [`run`](Self::run) that a checkpoint is awaited.
    requested: Arc<Notify>,
    /// Held from where a checkpoint is due until it is stored, so that an older one never replaces a newer one.
    storing: Arc<Mutex<()>>,
}

/// The part that is equal in all checkpoints of a plugin in one run.
#[derive(Clone, Debug, Default)]
pub struct CheckpointContext {
    /// The deployment, as it is displayed.
    pub deployment: String,
    /// The workers that share the documents, if any do.
    pub workers: Option<Vec<String>>,
    /// The fencing token of the lease.
    pub epoch: u64,
    /// The start that was asked for in place of a checkpoint, as it was written.
    pub restarted: Option<String>,
}

impl Checkpointer {
    /// Makes the checkpointer of a plugin. It stores when [`run`](Self::run) runs.
    pub(super) fn new(
        store: Store,
        key: CheckpointKey,
        context: CheckpointContext,
        progress: Arc<PluginProgress>,
        interval: Duration,
    ) -> Self {
        Self { store, key, context, progress, interval, requested: Arc::default(), storing: Arc::default() }
    }

    /// Stores a checkpoint at each interval in which an op was done, until `stop` is cancelled. Logs the first failure, and retries.
    ///
    /// # Errors
    /// Another host has taken over, so that nothing more must be done.
    pub(super) async fn run(&self, stop: &CancellationToken) -> Result<(), StoreError> {
        let mut failing = false;
        let mut stored = Instant::now();
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.interval) => {}
                () = self.requested.notified() => {}
                () = stop.cancelled() => return Ok(()),
            }
            let PluginProgress { ops, rate, last_error, .. } = &*self.progress;
            rate.measure(ops.summary().done());
            let _storing = self.storing.lock().await;
            let due = ops.due_checkpoint();
            let due = due.filter(|due| due.has_news || stored.elapsed() >= IDLE_STORE_INTERVAL);
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
                    last_error
                        .set(ErrorSubject::Checkpoint, &format!("the checkpoint cannot be stored: {error}"));
                    if !std::mem::replace(&mut failing, true) {
                        tracing::error!(
                            event = "checkpoint.store_failed",
                            plugin = self.key.plugin,
                            error = &error as &(dyn std::error::Error + 'static),
                            "cannot store the checkpoint; retrying. The plugin continues: after a crash, it would repeat \
                             what it does now"
                        );
                    }
                }
            }
        }
    }

    /// Asks [`run`](Self::run) to store a checkpoint now, and not at the next interval.
    pub(super) fn request(&self) {
        self.requested.notify_one();
    }

    /// Stores a checkpoint now, if one is due.
    ///
    /// # Errors
    /// It cannot be stored.
    pub(super) async fn store_now(&self) -> Result<(), StoreError> {
        let _storing = self.storing.lock().await;
        self.store_due().await
    }

    /// Restarts the plugin's progress at another position, and stores that.
    ///
    /// # Errors
    /// It cannot be stored.
    pub(super) async fn restart(&self, from: Option<Position>) -> Result<(), StoreError> {
        let _storing = self.storing.lock().await;
        self.progress.restart(from);
        self.store_due().await
    }

    async fn store_due(&self) -> Result<(), StoreError> {
        match self.progress.ops.due_checkpoint().filter(|_| self.store.keeps()) {
            Some(due) => self.store(due).await,
            None => Ok(()),
        }
    }

    async fn store(&self, due: DueCheckpoint) -> Result<(), StoreError> {
        let DueCheckpoint { position, timestamp, number, done, .. } = due;
        let CheckpointContext { deployment, workers, epoch, restarted } = self.context.clone();
        let checkpoint = Checkpoint { deployment, position, timestamp, workers, epoch, restarted };
        self.store.save_checkpoint(&self.key, &checkpoint).await?;
        self.progress.checkpoint_stored(checkpoint.position, number, done);
        Ok(())
    }
}
