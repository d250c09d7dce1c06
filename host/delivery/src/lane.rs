//! A lane at work: it has one op after the other handled, and tries again what failed.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::SystemTime;

use gtm_oplog::Op;
use gtm_runtime::{CallError, Failure, Filter, Handler, MetObstacle, Obstacle, PluginHandle};
use gtm_store::DeadLetterKind;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::RetryPolicy;
use super::blocked::{Block, Blocked};
use super::breaker::{Breaker, BreakerVerdict};
use super::lane_queue::{LaneQueue, QueuedOp};
use super::letters::{DeadLetters, GivenUp, LetterNotStored};
use super::progress::{Done, PluginProgress, Subject};
use super::settings::BatchPolicy;
use super::spans;

/// What a lane calls.
pub(super) trait OpHandler: Send {
    /// Whether the op is wanted: asked where the filter failed on it before.
    fn filter(&mut self, op: &Op, attempt: u32) -> impl Future<Output = Result<bool, CallError>> + Send;
    /// Has it handled.
    fn handle(
        &mut self,
        op: &Op,
        attempt: u32,
    ) -> impl Future<Output = Result<HandleOutcome, CallError>> + Send;
    /// Whether it takes several ops at once.
    fn handles_batches(&mut self) -> bool;
    /// Has several ops handled, in their order: the first attempt of each.
    fn handle_batch(
        &mut self,
        ops: &[&Op],
    ) -> impl Future<Output = Result<Vec<HandleOutcome>, CallError>> + Send;
    /// What the last call of handle met.
    fn met(&self) -> MetObstacle;
    /// Waits until something else is called: another version, or with other settings.
    fn changed(&self) -> impl Future<Output = ()> + Send;
    /// The version of what was called last.
    fn version(&self) -> String;
}

/// What a plugin says of an op.
pub(super) type HandleOutcome = Result<(), Failure>;

/// Instances of a plugin.
pub(super) struct PluginInstances {
    plugin: PluginHandle,
    handler: Handler,
}

impl PluginInstances {
    pub(super) fn new(plugin: &PluginHandle) -> Self {
        Self { handler: Handler::new(plugin), plugin: plugin.clone() }
    }
}

impl OpHandler for PluginInstances {
    async fn filter(&mut self, op: &Op, attempt: u32) -> Result<bool, CallError> {
        // It failed before, so it is worth an instance of its own.
        Filter::new(&self.plugin).call(op, attempt).await
    }

    async fn handle(&mut self, op: &Op, attempt: u32) -> Result<HandleOutcome, CallError> {
        if !self.handler.handles_batches() {
            return self.handler.call(op, attempt).await;
        }
        let outcomes = self.handler.call_batch(&[(op, attempt)]).await?;
        // There are as many as ops.
        Ok(outcomes.into_iter().next().unwrap_or(Ok(())))
    }

    fn handles_batches(&mut self) -> bool {
        self.handler.handles_batches()
    }

    async fn handle_batch(&mut self, ops: &[&Op]) -> Result<Vec<HandleOutcome>, CallError> {
        let ops: Vec<_> = ops.iter().map(|op| (*op, 1)).collect();
        self.handler.call_batch(&ops).await
    }

    fn met(&self) -> MetObstacle {
        self.handler.met()
    }

    fn changed(&self) -> impl Future<Output = ()> + Send {
        self.handler.changed()
    }

    fn version(&self) -> String {
        self.handler.plugin().version().to_owned()
    }
}

/// What the lanes of a plugin share.
pub(super) struct LaneContext {
    pub(super) plugin: Arc<str>,
    pub(super) retry: RetryPolicy,
    /// How many ops a plugin that takes batches is given at once, and how long is waited for them.
    pub(super) batch: BatchPolicy,
    pub(super) progress: Arc<PluginProgress>,
    pub(super) breaker: Breaker,
    pub(super) blocked: Blocked,
    pub(super) letters: DeadLetters,
    /// Nothing is tried again, and the first op that fails is a lane's last.
    pub(super) shutdown: CancellationToken,
    /// What is queued is not begun.
    pub(super) dropped: CancellationToken,
}

impl LaneContext {
    /// Waits while the plugin is paused.
    async fn permitted(&self) -> Result<(), LaneStopped> {
        if self.dropped.is_cancelled() {
            return Err(LaneStopped);
        }
        if self.progress.is_paused() {
            tokio::select! {
                () = self.progress.until_paused(false) => {}
                () = self.shutdown.cancelled() => return Err(LaneStopped),
                () = self.dropped.cancelled() => return Err(LaneStopped),
            }
        }
        if !self.breaker.is_open() {
            return Ok(());
        }
        tokio::select! {
            () = self.breaker.permit() => Ok(()),
            () = self.shutdown.cancelled() => Err(LaneStopped),
            () = self.dropped.cancelled() => Err(LaneStopped),
        }
    }

    /// The plugin does what it should.
    fn works(&self) {
        if let Some(pause) = self.breaker.works() {
            tracing::info!(
                event = "breaker.close",
                plugin = &*self.plugin,
                paused_ms = pause.as_millis(),
                "the plugin works again"
            );
        }
    }

    /// Puts the op among the dead letters: it is done when it is there.
    async fn give_up(
        &self,
        waiting: &QueuedOp,
        version: String,
        kind: DeadLetterKind,
        error: String,
        attempts: u32,
        first_attempt: Option<SystemTime>,
    ) -> Result<(), LaneStopped> {
        let QueuedOp { number, op, .. } = waiting;
        if kind == DeadLetterKind::Rejected {
            self.progress.problem(Subject::Op(*number), &error);
        }
        let time = SystemTime::now();
        let first_attempt = first_attempt.unwrap_or(time);
        let given_up = GivenUp { op, version, kind, error, attempts, first_attempt, time };
        let kept = self
            .letters
            .keep(given_up, &self.shutdown, &self.dropped, |problem| {
                self.progress.problem(Subject::Op(*number), problem);
            })
            .await;
        let kept = kept.map_err(|LetterNotStored| LaneStopped)?;
        if kept {
            self.progress.dead_letter();
        }
        let outcome = match kind {
            DeadLetterKind::Rejected => Done::Rejected,
            DeadLetterKind::Failed => Done::Failed,
        };
        self.progress.done(*number, outcome, attempts);
        Ok(())
    }
}

/// A lane.
pub(super) struct Lane<C> {
    shared: Arc<LaneContext>,
    callee: C,
}

/// An op was left as it is, since the host is stopping.
struct LaneStopped;

impl<C: OpHandler> Lane<C> {
    pub(super) fn new(shared: Arc<LaneContext>, callee: C) -> Self {
        Self { shared, callee }
    }

    /// Works until the queue is closed and empty, or an op is left. It takes so many ops at once, but as many as make a batch
    /// where the plugin takes batches.
    pub(super) async fn run(mut self, queue: LaneQueue, at_once: usize) {
        loop {
            let in_batches = self.callee.handles_batches();
            let taken = match in_batches {
                true => queue.take_batch(self.shared.batch).await,
                false => queue.take(at_once).await,
            };
            let Some(mut ops) = taken else { return };
            while !ops.is_empty() {
                let left = match in_batches {
                    true => self.deliver_together(&mut ops).await,
                    false => Ok(None),
                };
                let left = match (left, ops.pop_front()) {
                    (Ok(problem), Some(waiting)) => {
                        self.deliver(&waiting, problem).instrument(spans::op(&waiting.op)).await
                    }
                    (left, _) => left.map(drop),
                };
                if left.is_err() {
                    // After one that is left, no other is to be done that may have to wait for it.
                    self.shared.dropped.cancel();
                    return;
                }
            }
        }
    }

    /// Has the ops from the first on handled at once, and takes away those that are done. What is left begins with one that
    /// failed, for the reason that is given back, or that is to be handled by itself.
    async fn deliver_together(
        &mut self,
        ops: &mut VecDeque<QueuedOp>,
    ) -> Result<Option<String>, LaneStopped> {
        let shared = Arc::clone(&self.shared);
        shared.permitted().await?;
        // One that is tried now and then, until it works, is tried with one op.
        if shared.breaker.is_open() {
            shared.breaker.give_back();
            return Ok(None);
        }
        let together: Vec<_> =
            ops.iter().take_while(|one| one.filter_failed.is_none()).map(|one| &*one.op).collect();
        if together.len() < 2 {
            return Ok(None);
        }
        tracing::debug!(
            event = "batch.deliver",
            plugin = &*shared.plugin,
            ops = together.len(),
            "delivering a batch"
        );
        let outcomes = match self.callee.handle_batch(&together).await {
            Ok(outcomes) => outcomes,
            Err(error) => {
                // Which of them it is shows when each is handled by itself.
                tracing::warn!(
                    event = "batch.split", plugin = &*shared.plugin, ops = together.len(), %error,
                    "the batch failed; delivering each op by itself"
                );
                shared.progress.problem(Subject::Batch, &error.to_string());
                return self.deliver_each(ops).await;
            }
        };
        for outcome in outcomes {
            let problem = match outcome {
                Ok(()) => None,
                Err(Failure::Reject(_)) if self.callee.met().made_up => return Ok(None),
                Err(Failure::Reject(reason)) => Some(reason),
                // Which op something is in the way of shows when each is handled by itself.
                Err(Failure::Retry(reason)) => {
                    let MetObstacle { obstacle, made_up, .. } = self.callee.met();
                    return Ok((obstacle.is_none() && !made_up).then_some(reason));
                }
            };
            let Some(waiting) = ops.pop_front() else { break };
            shared.works();
            match problem {
                None => shared.progress.done(waiting.number, Done::Handled, 1),
                Some(reason) => {
                    self.give_up(&waiting, DeadLetterKind::Rejected, reason, 1, None).await?;
                }
            }
        }
        Ok(None)
    }

    async fn deliver_each(&mut self, ops: &mut VecDeque<QueuedOp>) -> Result<Option<String>, LaneStopped> {
        while let Some(waiting) = ops.pop_front() {
            self.deliver(&waiting, None).instrument(spans::op(&waiting.op)).await?;
        }
        Ok(None)
    }

    /// `problem`: why its first attempt failed, which was made.
    async fn deliver(&mut self, waiting: &QueuedOp, mut problem: Option<String>) -> Result<(), LaneStopped> {
        let QueuedOp { number, op, filter_failed } = waiting;
        let shared = Arc::clone(&self.shared);
        // Most ops need none.
        let (mut pauses, mut first_attempt) = (None, None);
        let mut block: Option<Block> = None;
        let mut attempt = 0;
        let mut wanted = match filter_failed {
            Some(error) => FilterVerdict::Failed(CallError::clone(error)),
            None => FilterVerdict::Yes,
        };
        loop {
            shared.permitted().await?;
            attempt += 1;
            let made = match problem.take() {
                Some(problem) => Attempt::Failed(problem),
                None => self.attempt(op, attempt, &mut wanted).instrument(spans::attempt(attempt)).await,
            };
            let problem = match made {
                Attempt::Done(outcome) => {
                    shared.works();
                    block.iter().for_each(Block::over);
                    shared.progress.done(*number, outcome, attempt);
                    return Ok(());
                }
                Attempt::Rejected(reason) => {
                    shared.works();
                    block.iter().for_each(Block::over);
                    return self
                        .give_up(waiting, DeadLetterKind::Rejected, reason, attempt, first_attempt)
                        .await;
                }
                Attempt::Failed(problem) => problem,
                Attempt::Blocked(obstacle) => {
                    let block = block.get_or_insert_with(|| shared.blocked.begin(&shared.plugin));
                    match block.has_waited(&obstacle, shared.retry.max_age) {
                        Some(since) => first_attempt = first_attempt.or(Some(since)),
                        None if block.is_of_the_plugin(&obstacle) => {
                            // It is no attempt: no other ends in another way.
                            attempt -= 1;
                            self.wait_for_change(block, &obstacle, waiting).await?;
                            continue;
                        }
                        None => {}
                    }
                    obstacle.reason
                }
            };
            let started = *first_attempt.get_or_insert_with(SystemTime::now);
            shared.progress.attempt_failed(*number, attempt, &problem);
            let (plugin, id) = (&*shared.plugin, op.id());
            if shared.shutdown.is_cancelled() {
                tracing::warn!(
                    event = "op.leave", plugin, op = %id, attempt, error = problem,
                    "the attempt failed while the host stops; the next start delivers the op again"
                );
                shared.breaker.give_back();
                return Err(LaneStopped);
            }
            let verdict = shared.breaker.failed(*number);
            if started.elapsed().is_ok_and(|age| age >= shared.retry.max_age) {
                return self.give_up(waiting, DeadLetterKind::Failed, problem, attempt, first_attempt).await;
            }
            match verdict {
                BreakerVerdict::OfTheOp => {}
                BreakerVerdict::Opened => {
                    tracing::error!(
                        event = "breaker.open", plugin, op = %id, failing_ops = shared.breaker.failing(), error = problem,
                        "the plugin fails on one op after another; pausing it, with an attempt now and then until it works"
                    );
                    continue;
                }
                BreakerVerdict::StillOpen => {
                    tracing::debug!(event = "breaker.probe_failed", plugin, op = %id, error = problem, "the plugin still fails");
                    continue;
                }
            }
            let Some(pause) = pauses.get_or_insert_with(|| shared.retry.pauses()).next() else {
                return self.give_up(waiting, DeadLetterKind::Failed, problem, attempt, first_attempt).await;
            };
            tracing::warn!(
                event = "op.retry", plugin, op = %id, attempt, delay_ms = pause.as_millis(), error = problem,
                "the attempt failed; retrying"
            );
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shared.shutdown.cancelled() => {}
                () = shared.dropped.cancelled() => return Err(LaneStopped),
            }
        }
    }

    /// Waits while something is in the way of the plugin: until it may be tried again, which is when it is another version, and now
    /// and then.
    async fn wait_for_change(
        &mut self,
        block: &mut Block,
        obstacle: &Obstacle,
        waiting: &QueuedOp,
    ) -> Result<(), LaneStopped> {
        let shared = Arc::clone(&self.shared);
        shared.breaker.give_back();
        shared.progress.problem(Subject::Op(waiting.number), &obstacle.reason);
        let pause = block.meet(&obstacle.reason, &waiting.op);
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.callee.changed() => {
                block.forget();
                Ok(())
            }
            () = shared.shutdown.cancelled() => Err(LaneStopped),
            () = shared.dropped.cancelled() => Err(LaneStopped),
        }
    }

    /// By the version that was called last.
    async fn give_up(
        &mut self,
        waiting: &QueuedOp,
        kind: DeadLetterKind,
        error: String,
        attempts: u32,
        first_attempt: Option<SystemTime>,
    ) -> Result<(), LaneStopped> {
        let version = self.callee.version();
        self.shared.give_up(waiting, version, kind, error, attempts, first_attempt).await
    }

    async fn attempt(&mut self, op: &Op, attempt: u32, wanted: &mut FilterVerdict) -> Attempt {
        match std::mem::replace(wanted, FilterVerdict::Ask) {
            FilterVerdict::Failed(error) => return Attempt::Failed(error.to_string()),
            FilterVerdict::Yes => {}
            FilterVerdict::Ask => match self.callee.filter(op, attempt).await {
                Ok(true) => {}
                Ok(false) => return Attempt::Done(Done::Unwanted),
                Err(error) => return Attempt::Failed(error.to_string()),
            },
        }
        *wanted = FilterVerdict::Yes;
        tracing::debug!(event = "op.attempt", plugin = &*self.shared.plugin, op = %op.id(), attempt, "delivering");
        match self.callee.handle(op, attempt).await {
            Ok(Ok(())) => Attempt::Done(Done::Handled),
            Ok(Err(Failure::Reject(reason))) => match self.callee.met() {
                MetObstacle { made_up: true, .. } => self.not_known(op, MADE_UP, &reason),
                MetObstacle { .. } => Attempt::Rejected(reason),
            },
            Ok(Err(Failure::Retry(reason))) => self.failed(op, reason),
            Err(error) => self.failed(op, error.to_string()),
        }
    }

    /// A call failed, for this reason or for what it met.
    fn failed(&self, op: &Op, reason: String) -> Attempt {
        match self.callee.met() {
            // Nobody waits for the end of a dry run.
            MetObstacle { obstacle: Some(obstacle), is_dry: true, .. } => {
                self.not_known(op, IN_THE_WAY, &obstacle.reason)
            }
            MetObstacle { obstacle: Some(obstacle), .. } => Attempt::Blocked(obstacle),
            MetObstacle { made_up: true, .. } => self.not_known(op, MADE_UP, &reason),
            MetObstacle { .. } => Attempt::Failed(reason),
        }
    }

    /// In a dry run, an op that failed after an answer that was made up, or as something was in its way.
    fn not_known(&self, op: &Op, why: &str, reason: &str) -> Attempt {
        tracing::info!(
            event = "dry_run.give_up", plugin = &*self.shared.plugin, op = %op.id(), cause = why, error = reason,
            "what would become of the op is not known in a dry run"
        );
        Attempt::Done(Done::Unknown)
    }
}

/// Why it is not known in a dry run what becomes of an op.
const MADE_UP: &str = "an answer was made up";
const IN_THE_WAY: &str = "something is in its way";

/// What the filter says of an op.
enum FilterVerdict {
    Yes,
    /// It failed, in this attempt.
    Failed(CallError),
    /// It failed before, and is to be asked again.
    Ask,
}

enum Attempt {
    Done(Done),
    Rejected(String),
    Failed(String),
    /// Something is in the way, whatever the op.
    Blocked(Obstacle),
}
