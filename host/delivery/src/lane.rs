//! A lane: handles one op after another, and retries those that fail.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gtm_oplog::Op;
use gtm_runtime::{CallError, Failure, MetObstacle, Obstacle};
use gtm_store::DeadLetterKind;

use super::blocked::BlockedOp;
use super::breaker::BreakerVerdict;
use super::lane_context::{LaneContext, LaneStopped};
use super::lane_queue::{LaneQueue, QueuedOp};
use super::last_error::ErrorSubject;
use super::op_handler::OpHandler;
use super::op_progress::OpOutcome;
use super::spans::{self, in_span};

/// The reasons why the outcome of an op is not known in a dry run.
const SIMULATED_ANSWER: &str = "an answer was simulated";
const OBSTACLE: &str = "an obstacle blocks it";

/// A lane of a plugin.
pub(super) struct Lane<H> {
    context: Arc<LaneContext>,
    handler: H,
}

/// Whether the filter wants an op.
enum FilterVerdict {
    Wanted,
    /// The filter failed in this attempt.
    Failed(CallError),
    /// The filter failed in an earlier attempt, and is called again.
    Unknown,
}

/// The outcome of an attempt.
enum AttemptOutcome {
    Done(OpOutcome),
    Rejected(String),
    Failed(FailedAttempt),
    /// An obstacle blocks the plugin, or the op.
    Blocked(Obstacle),
}

/// Why an attempt failed, and the shortest pause before the next one, if the plugin names one.
pub(super) struct FailedAttempt {
    reason: String,
    after: Option<Duration>,
}

impl From<String> for FailedAttempt {
    fn from(reason: String) -> Self {
        Self { reason, after: None }
    }
}

impl<H: OpHandler> Lane<H> {
    pub(super) fn new(context: Arc<LaneContext>, handler: H) -> Self {
        Self { context, handler }
    }

    /// Handles ops until the queue is closed and empty, or the lane must stop. It takes up to `max_ops` together, or a batch if the plugin
    /// handles batches.
    pub(super) async fn run(mut self, queue: LaneQueue, max_ops: usize) {
        loop {
            let in_batches = self.handler.handles_batches();
            let taken = match in_batches {
                true => queue.take_batch(self.context.batch).await,
                false => queue.take(max_ops).await,
            };
            let Some(mut ops) = taken else { return };
            while !ops.is_empty() {
                let handled = match in_batches {
                    true => self.handle_batch(&mut ops).await,
                    false => Ok(None),
                };
                let handled = match (handled, ops.pop_front()) {
                    (Ok(error), Some(queued)) => {
                        in_span!(spans::op(&queued.op), self.handle_op(&queued, error)).map(drop)
                    }
                    (handled, _) => handled.map(drop),
                };
                if handled.is_err() {
                    // Ops that must wait for this one must not be handled.
                    self.context.dropped.cancel();
                    return;
                }
            }
        }
    }

    /// Handles the first ops in one call, and removes those that are done. Returns the error of the first op that is left. None: that op
    /// must be handled by itself.
    ///
    /// # Errors
    /// The lane must stop.
    async fn handle_batch(
        &mut self,
        ops: &mut VecDeque<QueuedOp>,
    ) -> Result<Option<FailedAttempt>, LaneStopped> {
        let context = Arc::clone(&self.context);
        context.permit().await?;
        // While the breaker is open, the plugin is tried with one op.
        if context.breaker.is_open() {
            context.breaker.return_permit();
            return Ok(None);
        }
        let together: Vec<_> =
            ops.iter().take_while(|queued| queued.filter_error.is_none()).map(|queued| &*queued.op).collect();
        if together.len() < 2 {
            return Ok(None);
        }
        tracing::debug!(
            event = "batch.deliver",
            plugin = &*context.plugin,
            ops = together.len(),
            "delivering a batch"
        );
        let outcomes = match self.handler.handle_batch(&together).await {
            Ok(outcomes) => outcomes,
            Err(error) => {
                // Handling each op by itself shows which of them fails.
                tracing::warn!(
                    event = "batch.split", plugin = &*context.plugin, ops = together.len(), %error,
                    "the batch failed; delivering each op by itself"
                );
                context.progress.last_error.set(ErrorSubject::Batch, &error.to_string());
                return self.handle_each(ops).await;
            }
        };
        for outcome in outcomes {
            let rejected = match outcome {
                Ok(()) => None,
                Err(Failure::Reject { .. }) if self.handler.met().made_up => return Ok(None),
                Err(Failure::Reject { reason }) => Some(reason),
                // Handling each op by itself shows which of them an obstacle blocks.
                Err(Failure::Retry { reason, after }) => {
                    let MetObstacle { obstacle, made_up, .. } = self.handler.met();
                    return Ok((obstacle.is_none() && !made_up).then_some(FailedAttempt { reason, after }));
                }
            };
            let Some(queued) = ops.pop_front() else { break };
            context.succeeded();
            match rejected {
                None => context.progress.done(queued.number, OpOutcome::Handled, 1),
                Some(reason) => {
                    self.give_up(&queued, DeadLetterKind::Rejected, reason, 1, None).await?;
                }
            }
        }
        Ok(None)
    }

    async fn handle_each(
        &mut self,
        ops: &mut VecDeque<QueuedOp>,
    ) -> Result<Option<FailedAttempt>, LaneStopped> {
        while let Some(queued) = ops.pop_front() {
            in_span!(spans::op(&queued.op), self.handle_op(&queued, None))?;
        }
        Ok(None)
    }

    /// Handles an op, and retries it until it is done. `error` is the error of its first attempt, if that was part of a batch. Returns its
    /// outcome.
    ///
    /// # Errors
    /// The lane must stop.
    pub(super) async fn handle_op(
        &mut self,
        queued: &QueuedOp,
        mut error: Option<FailedAttempt>,
    ) -> Result<OpOutcome, LaneStopped> {
        let QueuedOp { number, op, filter_error } = queued;
        let context = Arc::clone(&self.context);
        // Most ops need neither.
        let (mut delays, mut first_attempt) = (None, None);
        let mut blocked: Option<BlockedOp> = None;
        let mut attempt = 0;
        let mut verdict = match filter_error {
            Some(error) => FilterVerdict::Failed(CallError::clone(error)),
            None => FilterVerdict::Wanted,
        };
        loop {
            context.permit().await?;
            attempt += 1;
            let outcome = match error.take() {
                Some(error) => AttemptOutcome::Failed(error),
                None => in_span!(spans::attempt(attempt), self.attempt(op, attempt, &mut verdict)),
            };
            let FailedAttempt { reason: problem, after } = match outcome {
                AttemptOutcome::Done(outcome) => {
                    context.succeeded();
                    blocked.iter().for_each(BlockedOp::unblocked);
                    context.progress.done(*number, outcome, attempt);
                    return Ok(outcome);
                }
                AttemptOutcome::Rejected(reason) => {
                    context.succeeded();
                    blocked.iter().for_each(BlockedOp::unblocked);
                    return self
                        .give_up(queued, DeadLetterKind::Rejected, reason, attempt, first_attempt)
                        .await;
                }
                AttemptOutcome::Failed(failed) => failed,
                AttemptOutcome::Blocked(obstacle) => {
                    let blocked = blocked.get_or_insert_with(|| context.blocked.block_op(&context.plugin));
                    match blocked.waited_too_long(&obstacle, context.retry.max_age) {
                        Some(since) => first_attempt = first_attempt.or(Some(since)),
                        None if blocked.blocks_plugin(&obstacle) => {
                            // It does not count as an attempt, as every op would meet the obstacle.
                            attempt -= 1;
                            self.wait_for_change(blocked, &obstacle, queued).await?;
                            continue;
                        }
                        None => {}
                    }
                    obstacle.reason.into()
                }
            };
            let started = *first_attempt.get_or_insert_with(SystemTime::now);
            context.progress.attempt_failed(*number, attempt, &problem);
            let (plugin, id) = (&*context.plugin, op.id());
            if context.shutdown.is_cancelled() {
                tracing::warn!(
                    event = "op.leave", plugin, op = %id, attempt, error = problem,
                    "the attempt failed while the host stops; the next start delivers the op again"
                );
                context.breaker.return_permit();
                return Err(LaneStopped);
            }
            let breaker = context.breaker.failed(*number);
            if started.elapsed().is_ok_and(|age| age >= context.retry.max_age) {
                return self.give_up(queued, DeadLetterKind::Failed, problem, attempt, first_attempt).await;
            }
            let delay = match breaker {
                BreakerVerdict::Closed => {
                    let next = delays.get_or_insert_with(|| context.retry.delays()).next();
                    if next.is_none() {
                        return self
                            .give_up(queued, DeadLetterKind::Failed, problem, attempt, first_attempt)
                            .await;
                    }
                    next
                }
                BreakerVerdict::Opened => {
                    tracing::error!(
                        event = "breaker.open", plugin, op = %id, failing_ops = context.breaker.failing(), error = problem,
                        "the plugin fails on one op after another; pausing it; the host tries it from time to time until it works"
                    );
                    None
                }
                BreakerVerdict::StillOpen => {
                    tracing::debug!(event = "breaker.probe_failed", plugin, op = %id, error = problem, "the plugin still fails");
                    None
                }
            };
            // While the breaker is open, it pauses the plugin itself.
            let Some(pause) = delay.max(after) else { continue };
            // With more, the op would wait longer than it may.
            let left = context.retry.max_age.saturating_sub(started.elapsed().unwrap_or_default());
            let pause = pause.min(left);
            tracing::warn!(
                event = "op.retry", plugin, op = %id, attempt, delay_ms = pause.as_millis(),
                asked_delay_ms = after.map(|after| after.as_millis()), error = problem,
                "the attempt failed; retrying"
            );
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // Another version, or other settings, may not have to wait for that server.
                () = self.handler.changed(), if after.is_some() => {}
                // A last attempt, unless it is too early: the next start delivers the op again.
                () = context.shutdown.cancelled() => if after.is_some() { return Err(LaneStopped) },
                () = context.dropped.cancelled() => return Err(LaneStopped),
            }
        }
    }

    /// Waits while an obstacle blocks the plugin: until another version is current, or a delay is over.
    ///
    /// # Errors
    /// The lane must stop.
    async fn wait_for_change(
        &mut self,
        blocked: &mut BlockedOp,
        obstacle: &Obstacle,
        queued: &QueuedOp,
    ) -> Result<(), LaneStopped> {
        let context = Arc::clone(&self.context);
        context.breaker.return_permit();
        context.progress.last_error.set(ErrorSubject::of(queued.number), &obstacle.reason);
        let delay = blocked.wait_for(&obstacle.reason, &queued.op);
        tokio::select! {
            () = tokio::time::sleep(delay) => Ok(()),
            () = self.handler.changed() => {
                blocked.plugin_changed();
                Ok(())
            }
            () = context.shutdown.cancelled() => Err(LaneStopped),
            () = context.dropped.cancelled() => Err(LaneStopped),
        }
    }

    /// Stores an op as a dead letter of the version that was called last.
    ///
    /// # Errors
    /// The lane must stop.
    async fn give_up(
        &mut self,
        queued: &QueuedOp,
        kind: DeadLetterKind,
        error: String,
        attempts: u32,
        first_attempt: Option<SystemTime>,
    ) -> Result<OpOutcome, LaneStopped> {
        let version = self.handler.version();
        self.context.give_up(queued, version, kind, error, attempts, first_attempt).await
    }

    async fn attempt(&mut self, op: &Op, attempt: u32, verdict: &mut FilterVerdict) -> AttemptOutcome {
        match std::mem::replace(verdict, FilterVerdict::Unknown) {
            FilterVerdict::Failed(error) => return AttemptOutcome::Failed(error.to_string().into()),
            FilterVerdict::Wanted => {}
            FilterVerdict::Unknown => match self.handler.filter(op, attempt).await {
                Ok(true) => {}
                Ok(false) => return AttemptOutcome::Done(OpOutcome::Unwanted),
                Err(error) => return AttemptOutcome::Failed(error.to_string().into()),
            },
        }
        *verdict = FilterVerdict::Wanted;
        tracing::debug!(event = "op.attempt", plugin = &*self.context.plugin, op = %op.id(), attempt, "delivering");
        match self.handler.handle(op, attempt).await {
            Ok(Ok(())) => AttemptOutcome::Done(OpOutcome::Handled),
            Ok(Err(Failure::Reject { reason })) => match self.handler.met() {
                MetObstacle { made_up: true, .. } => self.outcome_unknown(op, SIMULATED_ANSWER, &reason),
                MetObstacle { .. } => AttemptOutcome::Rejected(reason),
            },
            Ok(Err(Failure::Retry { reason, after })) => self.failed(op, FailedAttempt { reason, after }),
            Err(error) => self.failed(op, error.to_string().into()),
        }
    }

    /// Returns the outcome of a call that failed for this reason, or because of an obstacle.
    fn failed(&self, op: &Op, failed: FailedAttempt) -> AttemptOutcome {
        match self.handler.met() {
            // A dry run does not wait until an obstacle is removed.
            MetObstacle { obstacle: Some(obstacle), is_dry: true, .. } => {
                self.outcome_unknown(op, OBSTACLE, &obstacle.reason)
            }
            MetObstacle { obstacle: Some(obstacle), .. } => AttemptOutcome::Blocked(obstacle),
            MetObstacle { made_up: true, .. } => self.outcome_unknown(op, SIMULATED_ANSWER, &failed.reason),
            MetObstacle { .. } => AttemptOutcome::Failed(failed),
        }
    }

    /// Returns the outcome of an op that failed in a dry run after a simulated answer, or because of an obstacle.
    fn outcome_unknown(&self, op: &Op, why: &str, reason: &str) -> AttemptOutcome {
        tracing::info!(
            event = "dry_run.give_up", plugin = &*self.context.plugin, op = %op.id(), cause = why, error = reason,
            "the outcome of the op is unknown in a dry run"
        );
        AttemptOutcome::Done(OpOutcome::Unknown)
    }
}
