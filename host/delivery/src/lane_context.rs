//! The state that the lanes of a plugin share.

use std::sync::Arc;
use std::time::SystemTime;

use gtm_store::DeadLetterKind;
use tokio_util::sync::CancellationToken;

use super::RetryPolicy;
use super::blocked::BlockedPlugin;
use super::breaker::Breaker;
use super::lane_queue::QueuedOp;
use super::last_error::ErrorSubject;
use super::letters::{DeadLetters, GivenUpOp, LetterNotStored};
use super::op_progress::OpOutcome;
use super::plugin_progress::PluginProgress;
use super::settings::BatchPolicy;

/// The settings and the state that the lanes of a plugin share.
pub(super) struct LaneContext {
    pub(super) plugin: Arc<str>,
    pub(super) retry: RetryPolicy,
    pub(super) batch: BatchPolicy,
    pub(super) progress: Arc<PluginProgress>,
    pub(super) breaker: Breaker,
    pub(super) blocked: BlockedPlugin,
    pub(super) letters: DeadLetters,
    /// When this is cancelled, nothing is retried, and a lane stops after the first op that fails.
    pub(super) shutdown: CancellationToken,
    /// When this is cancelled, the queued ops are dropped.
    pub(super) dropped: CancellationToken,
}

/// A lane stopped before it had handled an op.
pub(super) struct LaneStopped;

impl LaneContext {
    /// Waits until an op may be handled: the plugin is not paused, and the breaker permits it.
    ///
    /// # Errors
    /// The lane must stop.
    pub(super) async fn permit(&self) -> Result<(), LaneStopped> {
        if self.dropped.is_cancelled() {
            return Err(LaneStopped);
        }
        let pause = &self.progress.pause;
        if !pause.is_paused() && !self.breaker.is_open() {
            return Ok(());
        }
        let permitted = async {
            pause.until_resumed().await;
            self.breaker.permit().await;
        };
        tokio::select! {
            () = permitted => Ok(()),
            () = self.shutdown.cancelled() => Err(LaneStopped),
            () = self.dropped.cancelled() => Err(LaneStopped),
        }
    }

    /// Records that the plugin handled or rejected an op, and logs it if the breaker was open.
    pub(super) fn succeeded(&self) {
        if let Some(pause) = self.breaker.succeeded() {
            tracing::info!(
                event = "breaker.close",
                plugin = &*self.plugin,
                paused_ms = pause.as_millis(),
                "the plugin works again"
            );
        }
    }

    /// Stores an op as a dead letter. The op is done when that is stored. Returns its outcome.
    ///
    /// # Errors
    /// The lane must stop.
    pub(super) async fn give_up(
        &self,
        queued: &QueuedOp,
        version: String,
        kind: DeadLetterKind,
        error: String,
        attempts: u32,
        first_attempt: Option<SystemTime>,
    ) -> Result<OpOutcome, LaneStopped> {
        let QueuedOp { number, op, .. } = queued;
        let PluginProgress { ops, last_error, .. } = &*self.progress;
        if kind == DeadLetterKind::Rejected {
            last_error.set(ErrorSubject::of(*number), &error);
        }
        let time = SystemTime::now();
        let first_attempt = first_attempt.unwrap_or(time);
        let given_up = GivenUpOp { op, version, kind, error, attempts, first_attempt, time };
        let on_problem = |problem: &str| last_error.set(ErrorSubject::of(*number), problem);
        let stored = self.letters.store(given_up, &self.shutdown, &self.dropped, on_problem).await;
        if stored.map_err(|LetterNotStored| LaneStopped)? {
            ops.dead_letter_stored();
        }
        let outcome = match kind {
            DeadLetterKind::Rejected => OpOutcome::Rejected,
            DeadLetterKind::Failed => OpOutcome::Failed,
        };
        self.progress.done(*number, outcome, attempts);
        Ok(outcome)
    }
}
