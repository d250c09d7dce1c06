//! Runs the dispatcher and its lanes with a simulated source and plugin. Random numbers, which are the same in each run, decide what runs
//! when, and no op may be lost, done twice or done out of order.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use gtm_oplog::{Op, OperationType, Timestamp};
use gtm_runtime::{CallError, Failure, MetObstacle};
use gtm_source::Position;
use gtm_store::Store;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::batch::PluginBatch;
use super::dispatch::{FilteredOps, OpFilter};
use super::feed::{FeedReceiver, FeedSegment};
use super::lane_pool::LanePool;
use super::letters::DeadLetters;
use super::op_handler::{HandleOutcome, OpHandler};
use super::plugin_progress::PluginProgress;
use super::settings::DeliveryBounds;
use super::testing::keyed;
use super::{BreakerPolicy, DeliveryPolicy, DeliverySettings, Ordering, RetryPolicy, Summary};

/// Random numbers that are the same in each run. Clones draw from the same sequence.
#[derive(Clone)]
struct SeededRandom(Arc<Mutex<fastrand::Rng>>);

impl SeededRandom {
    fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))))
    }

    fn below(&self, bound: usize) -> usize {
        self.0.lock().usize(..bound)
    }
}

/// The ops that a simulated plugin must handle, and those that it handles.
#[derive(Default)]
struct OpLedger {
    ordering: Ordering,
    all: Vec<Op>,
    /// The times of the ops that are wanted and not done.
    undone: HashSet<u32>,
    /// The times of the ops that are being handled.
    handling: HashSet<u32>,
    /// The maximum number of ops that were handled at the same time.
    max_handling: usize,
}

impl OpLedger {
    /// Returns the ops that must be done before `op` begins.
    fn before<'a>(&'a self, op: &'a Op) -> impl Iterator<Item = &'a Op> {
        let is_alone = |op: &Op| op.document_key.is_none();
        let conflicts = move |earlier: &Op| match self.ordering {
            Ordering::None => false,
            Ordering::Oplog => true,
            Ordering::Namespace => {
                earlier.namespace == op.namespace
                    || [earlier, op].iter().any(|op| op.operation_type == OperationType::Rename)
            }
            Ordering::Document => {
                is_alone(earlier)
                    || is_alone(op)
                    || (&earlier.namespace, &earlier.document_key) == (&op.namespace, &op.document_key)
            }
        };
        let earlier = move |earlier: &&Op| earlier.timestamp < op.timestamp && conflicts(earlier);
        self.all.iter().filter(earlier)
    }

    fn begin(&mut self, op: &Op) {
        let time = op.timestamp.time;
        assert!(self.undone.contains(&time), "{time} was done already, or is not wanted");
        for earlier in self.before(op) {
            assert!(
                !self.undone.contains(&earlier.timestamp.time),
                "{time} before {}",
                earlier.timestamp.time
            );
        }
        assert!(self.handling.insert(time), "{time} is being handled already");
        self.max_handling = self.max_handling.max(self.handling.len());
    }

    fn end(&mut self, op: &Op, done: bool) {
        self.handling.remove(&op.timestamp.time);
        if done {
            self.undone.remove(&op.timestamp.time);
        }
    }
}

/// A plugin that takes a random time for each call, and fails at random.
struct SimulatedPlugin {
    handles_batches: bool,
    random: SeededRandom,
    ledger: Arc<Mutex<OpLedger>>,
    progress: Arc<PluginProgress>,
}

impl SimulatedPlugin {
    async fn take_time(&self) {
        for _ in 0..self.random.below(6) {
            tokio::task::yield_now().await;
        }
    }

    fn wants(op: &Op) -> bool {
        !op.timestamp.time.is_multiple_of(3)
    }

    /// Asserts that every op up to the watermark is done.
    fn check_watermark(&self, ledger: &OpLedger) {
        let through =
            self.progress.ops.position().and_then(|position| position.timestamp()).unwrap_or_default().time;
        if let Some(first) = ledger.undone.iter().min() {
            assert!(through < *first, "{first} is not done, but {through} is stored");
        }
    }
}

impl OpFilter for SimulatedPlugin {
    async fn filter_ops(&mut self, ops: Vec<Arc<Op>>) -> (FilteredOps, Vec<Arc<Op>>) {
        self.take_time().await;
        let mut filtered = Vec::new();
        let mut ops = ops.into_iter();
        for op in &mut ops {
            let failed = self.random.below(10) == 0;
            let verdict = if failed {
                Err(CallError::Trapped { call: "filter", reason: "simulated".to_owned() })
            } else {
                Ok(Self::wants(&op))
            };
            filtered.push((op, verdict));
            if failed {
                break;
            }
        }
        (filtered, ops.collect())
    }
}

impl OpHandler for SimulatedPlugin {
    async fn filter(&mut self, op: &Op, attempt: u32) -> Result<bool, CallError> {
        assert!(attempt > 1, "the first attempt is the dispatcher's");
        self.take_time().await;
        Ok(Self::wants(op))
    }

    async fn handle(&mut self, op: &Op, _attempt: u32) -> Result<Result<(), Failure>, CallError> {
        {
            let mut ledger = self.ledger.lock();
            ledger.begin(op);
            self.check_watermark(&ledger);
        }
        self.take_time().await;
        let outcome = match self.random.below(8) {
            0 => Ok(Err(Failure::retry("simulated"))),
            1 => Err(CallError::Trapped { call: "handle", reason: "simulated".to_owned() }),
            2 => Ok(Err(Failure::reject("simulated"))),
            _ => Ok(Ok(())),
        };
        let done = matches!(outcome, Ok(Ok(()) | Err(Failure::Reject { .. })));
        self.ledger.lock().end(op, done);
        outcome
    }

    fn handles_batches(&mut self) -> bool {
        self.handles_batches
    }

    /// Handles the ops up to the first that fails.
    async fn handle_batch(&mut self, ops: &[&Op]) -> Result<Vec<HandleOutcome>, CallError> {
        let mut outcomes = Vec::new();
        let mut failed = false;
        for op in ops {
            let outcome = match failed {
                true => Err(Failure::retry("an op before it failed")),
                // A call that traps has done nothing.
                false => {
                    self.handle(op, 1).await.unwrap_or_else(|error| Err(Failure::retry(error.to_string())))
                }
            };
            failed |= matches!(outcome, Err(Failure::Retry { .. }));
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    fn met(&self) -> MetObstacle {
        MetObstacle::default()
    }

    fn changed(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    fn version(&self) -> String {
        "1".to_owned()
    }
}

/// Returns an op at this time: of one of six documents in one of two namespaces, or a command now and then.
fn random_op(random: &SeededRandom, time: u32) -> Op {
    let namespace = ["a.things", "b.things"][random.below(2)];
    let mut op = keyed(time, namespace, i64::try_from(random.below(6)).unwrap());
    let kind = random.below(30);
    if kind < 2 {
        (op.document_key, op.full_document) = (None, None);
        op.operation_type = [OperationType::Drop, OperationType::Rename][kind];
    }
    op
}

fn letters() -> DeadLetters {
    DeadLetters::new(&Store::none(), "simulation", "simulated", &DeliveryPolicy::default(), None)
}

/// Delivers 200 ops, and asserts that each is done once and in order. Returns how many were handled at the same time, at most.
async fn simulate(ordering: Ordering, lanes: usize, seed: u64, breaker: BreakerPolicy) -> usize {
    let random = SeededRandom::new(seed);
    let ops: Vec<_> = (1..=200).map(|time| random_op(&random, time)).collect();
    let is_wanted = |op: &&Op| SimulatedPlugin::wants(op);
    let undone: HashSet<_> = ops.iter().filter(is_wanted).map(|op| op.timestamp.time).collect();
    let (count, wanted_count) = (ops.len(), undone.len());
    let ledger = OpLedger { ordering, all: ops.clone(), undone, ..OpLedger::default() };
    let ledger = Arc::new(Mutex::new(ledger));
    let bounds = DeliveryBounds { ops: 16, bytes: usize::MAX, unstored_ops: u64::MAX };
    let progress = PluginProgress::new(bounds, None, false);
    let policy = DeliveryPolicy {
        delivery: DeliverySettings { ordering, lanes, ..DeliverySettings::default() },
        // There are so many attempts that no op uses them up.
        retry: RetryPolicy {
            max_attempts: 1000,
            initial_delay: Duration::ZERO,
            max_delay: Duration::ZERO,
            ..RetryPolicy::default()
        },
        breaker,
    };
    let plugin = || SimulatedPlugin {
        handles_batches: seed % 2 == 1,
        random: random.clone(),
        ledger: Arc::clone(&ledger),
        progress: Arc::clone(&progress),
    };
    let (sender, batches) = mpsc::channel(1);
    let feed = FeedReceiver::of_segment(FeedSegment::new(batches));
    let mut lanes = LanePool::start_with(
        (plugin(), plugin),
        policy,
        &progress,
        letters(),
        feed,
        CancellationToken::new(),
    );
    let mut ops = ops.into_iter().peekable();
    while ops.peek().is_some() {
        let ops: Vec<_> = ops.by_ref().take(1 + random.below(20)).collect();
        let position = Position::Oplog(ops.last().unwrap().timestamp);
        let batch = PluginBatch {
            ops: ops.into_iter().map(Arc::new).collect(),
            position: Some(position),
            ..PluginBatch::default()
        };
        tokio::select! {
            sent = sender.send(batch) => sent.unwrap(),
            ended = lanes.ended() => panic!("{ended:?}"),
        }
        if random.below(2) == 0 {
            tokio::task::yield_now().await;
        }
    }
    drop(sender);
    lanes.ended().await.unwrap();
    let ledger = ledger.lock();
    assert!(ledger.undone.is_empty(), "lost: {:?}", ledger.undone);
    let Summary { read, unwanted, handled, rejected, failed, unfinished, .. } = progress.ops.summary();
    assert_eq!((read, failed, unfinished), (count as u64, 0, 0));
    assert_eq!((unwanted, handled + rejected), ((count - wanted_count) as u64, wanted_count as u64));
    assert_eq!(progress.ops.position(), Some(Position::Oplog(Timestamp { time: 200, increment: 0 })));
    ledger.max_handling
}

#[tokio::test]
async fn no_op_is_lost_done_twice_or_done_out_of_order() {
    let off = BreakerPolicy { failing_ops: 0, ..BreakerPolicy::default() };
    for ordering in [Ordering::Document, Ordering::Namespace, Ordering::Oplog, Ordering::None] {
        let mut max_handling = 0;
        for seed in 0..100 {
            let lanes = usize::try_from(1 + seed % 5).unwrap();
            max_handling = max_handling.max(simulate(ordering, lanes, seed, off).await);
        }
        assert_eq!(max_handling > 1, ordering != Ordering::Oplog, "{ordering:?}");
    }
}

#[tokio::test]
async fn no_op_is_lost_if_the_breaker_opens_again_and_again() {
    let breaker = BreakerPolicy { failing_ops: 2, initial_delay: Duration::ZERO, max_delay: Duration::ZERO };
    for seed in 0..5 {
        simulate(Ordering::Document, 4, seed, breaker).await;
    }
}

/// A plugin whose `handle` never returns.
struct StuckPlugin;

impl OpHandler for StuckPlugin {
    async fn filter(&mut self, _: &Op, _: u32) -> Result<bool, CallError> {
        Ok(true)
    }

    async fn handle(&mut self, _: &Op, _: u32) -> Result<Result<(), Failure>, CallError> {
        std::future::pending().await
    }

    fn handles_batches(&mut self) -> bool {
        false
    }

    async fn handle_batch(&mut self, _: &[&Op]) -> Result<Vec<HandleOutcome>, CallError> {
        std::future::pending().await
    }

    fn met(&self) -> MetObstacle {
        MetObstacle::default()
    }

    fn changed(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    fn version(&self) -> String {
        "1".to_owned()
    }
}

impl OpFilter for StuckPlugin {
    async fn filter_ops(&mut self, ops: Vec<Arc<Op>>) -> (FilteredOps, Vec<Arc<Op>>) {
        (ops.into_iter().map(|op| (op, Ok(true))).collect(), Vec::new())
    }
}

#[tokio::test]
async fn dropping_queued_ops_waits_only_while_an_op_is_being_handled() {
    let policy = DeliveryPolicy {
        delivery: DeliverySettings::default(),
        retry: RetryPolicy::default(),
        breaker: BreakerPolicy::default(),
    };
    for count in [0, 1] {
        let bounds = DeliveryBounds { ops: 16, bytes: usize::MAX, unstored_ops: u64::MAX };
        let progress = PluginProgress::new(bounds, None, false);
        let (sender, batches) = mpsc::channel(1);
        let lanes = LanePool::start_with(
            (StuckPlugin, || StuckPlugin),
            policy,
            &progress,
            letters(),
            FeedReceiver::of_segment(FeedSegment::new(batches)),
            CancellationToken::new(),
        );
        let ops = (0..count).map(|time| Arc::new(keyed(time, "a.things", 1))).collect();
        sender.send(PluginBatch { ops, ..PluginBatch::default() }).await.unwrap();
        while progress.ops.summary().unfinished < u64::from(count) {
            tokio::task::yield_now().await;
        }
        // If nothing is being handled, an hour must not matter.
        let grace = if count == 0 { Duration::from_secs(3600) } else { Duration::from_millis(10) };
        let dropped = tokio::time::timeout(Duration::from_secs(60), lanes.drop_queued(grace)).await;
        assert!(dropped.is_ok(), "{count} ops are being handled");
        assert_eq!(progress.ops.summary().unfinished, u64::from(count));
    }
}
