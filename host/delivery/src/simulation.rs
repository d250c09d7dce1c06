//! The dispatcher and its lanes, with a source and a plugin that are made up: who is on when is decided by random numbers
//! that are the same in each run, and nothing may be lost, done twice or out of order.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gtm_oplog::{Op, OperationType, Timestamp};
use gtm_runtime::{CallError, Failure, MetObstacle};
use gtm_source::Position;
use gtm_store::Store;
use tokio_util::sync::CancellationToken;

use super::batch::PluginBatch;
use super::dispatch::{Filtered, OpFilter};
use super::lane::{HandleOutcome, OpHandler};
use super::lane_pool::LanePool;
use super::letters::DeadLetters;
use super::progress::PluginProgress;
use super::testing::keyed;
use super::{Bounds, BreakerPolicy, DeliveryPolicy, DeliverySettings, Ordering, RetryPolicy, Summary};

/// Numbers that look random and are the same in each run (xorshift, Marsaglia 2003).
#[derive(Clone)]
struct SimulatedRandom(Arc<Mutex<u64>>);

impl SimulatedRandom {
    fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)))
    }

    fn below(&self, bound: u64) -> u64 {
        let mut state = self.0.lock().unwrap();
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 16) % bound
    }
}

/// What the plugin saw: outside of what is tested.
#[derive(Default)]
struct SimulatedPlugin {
    ordering: Ordering,
    all: Vec<Op>,
    /// Times of those that are wanted and not done, and of those in work.
    undone: HashSet<u32>,
    working: HashSet<u32>,
    most_at_once: usize,
}

impl SimulatedPlugin {
    /// The ops that have to be done before `op` is begun.
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
        assert!(self.undone.contains(&time), "{time} was done before, or is not wanted");
        for earlier in self.before(op) {
            assert!(
                !self.undone.contains(&earlier.timestamp.time),
                "{time} before {}",
                earlier.timestamp.time
            );
        }
        assert!(self.working.insert(time), "{time} twice at once");
        self.most_at_once = self.most_at_once.max(self.working.len());
    }

    fn end(&mut self, op: &Op, done: bool) {
        self.working.remove(&op.timestamp.time);
        if done {
            self.undone.remove(&op.timestamp.time);
        }
    }
}

struct Fake {
    /// It takes batches.
    batches: bool,
    random: SimulatedRandom,
    ledger: Arc<Mutex<SimulatedPlugin>>,
    progress: Arc<PluginProgress>,
}

impl Fake {
    async fn dawdle(&self) {
        for _ in 0..self.random.below(6) {
            tokio::task::yield_now().await;
        }
    }

    fn wants(op: &Op) -> bool {
        !op.timestamp.time.is_multiple_of(3)
    }

    /// Nothing that is not done is below the watermark.
    fn check_watermark(&self, ledger: &SimulatedPlugin) {
        let through =
            self.progress.position().and_then(|position| position.timestamp()).unwrap_or_default().time;
        if let Some(first) = ledger.undone.iter().min() {
            assert!(through < *first, "{first} is not done, but {through} is stored");
        }
    }
}

impl OpFilter for Fake {
    async fn sift(&mut self, ops: Vec<Arc<Op>>) -> (Filtered, Vec<Arc<Op>>) {
        self.dawdle().await;
        let mut filtered = Vec::new();
        let mut ops = ops.into_iter();
        for op in &mut ops {
            let failed = self.random.below(10) == 0;
            let verdict = if failed {
                Err(CallError::Trapped { call: "filter", reason: "made up".to_owned() })
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

impl OpHandler for Fake {
    async fn filter(&mut self, op: &Op, attempt: u32) -> Result<bool, CallError> {
        assert!(attempt > 1, "the sieve was the first");
        self.dawdle().await;
        Ok(Self::wants(op))
    }

    async fn handle(&mut self, op: &Op, _attempt: u32) -> Result<Result<(), Failure>, CallError> {
        {
            let mut ledger = self.ledger.lock().unwrap();
            ledger.begin(op);
            self.check_watermark(&ledger);
        }
        self.dawdle().await;
        let outcome = match self.random.below(8) {
            0 => Ok(Err(Failure::Retry("made up".to_owned()))),
            1 => Err(CallError::Trapped { call: "handle", reason: "made up".to_owned() }),
            2 => Ok(Err(Failure::Reject("made up".to_owned()))),
            _ => Ok(Ok(())),
        };
        let done = matches!(outcome, Ok(Ok(()) | Err(Failure::Reject(_))));
        self.ledger.lock().unwrap().end(op, done);
        outcome
    }

    fn handles_batches(&mut self) -> bool {
        self.batches
    }

    /// Up to the first that fails.
    async fn handle_batch(&mut self, ops: &[&Op]) -> Result<Vec<HandleOutcome>, CallError> {
        let mut outcomes = Vec::new();
        let mut failed = false;
        for op in ops {
            let outcome = match failed {
                true => Err(Failure::Retry("after one that failed".to_owned())),
                // What traps has done nothing.
                false => {
                    self.handle(op, 1).await.unwrap_or_else(|error| Err(Failure::Retry(error.to_string())))
                }
            };
            failed |= matches!(outcome, Err(Failure::Retry(_)));
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

/// An op at this time: of one of some documents in one of two namespaces, or a command now and then.
fn any(random: &SimulatedRandom, time: u32) -> Op {
    let namespace = ["a.things", "b.things"][usize::try_from(random.below(2)).unwrap()];
    let mut op = keyed(time, namespace, i64::try_from(random.below(6)).unwrap());
    let kind = random.below(30);
    if kind < 2 {
        (op.document_key, op.full_document) = (None, None);
        op.operation_type = [OperationType::Drop, OperationType::Rename][usize::try_from(kind).unwrap()];
    }
    op
}

fn letters() -> DeadLetters {
    DeadLetters::new(&Store::none(), "model", "fake", &DeliveryPolicy::default())
}

async fn simulate(ordering: Ordering, lanes: usize, seed: u64, breaker: BreakerPolicy) -> usize {
    let batches = seed % 2 == 1;
    let random = SimulatedRandom::new(seed);
    let ops: Vec<_> = (1..=200).map(|time| any(&random, time)).collect();
    let wanted: HashSet<_> = ops.iter().filter(|op| Fake::wants(op)).map(|op| op.timestamp.time).collect();
    let (count, wanted_count) = (ops.len(), wanted.len());
    let ledger = SimulatedPlugin { ordering, all: ops.clone(), undone: wanted, ..SimulatedPlugin::default() };
    let ledger = Arc::new(Mutex::new(ledger));
    let bounds = Bounds { ops: 16, bytes: usize::MAX, unstored_ops: u64::MAX };
    let letters = letters();
    let progress = Arc::new(PluginProgress::new(bounds, None, false));
    let policy = DeliveryPolicy {
        delivery: DeliverySettings { ordering, lanes, ..DeliverySettings::default() },
        // So many that none is used up.
        retry: RetryPolicy {
            max_attempts: 1000,
            initial_delay: Duration::ZERO,
            max_delay: Duration::ZERO,
            ..RetryPolicy::default()
        },
        breaker,
    };
    let fake = || Fake {
        batches,
        random: random.clone(),
        ledger: Arc::clone(&ledger),
        progress: Arc::clone(&progress),
    };
    let (batches, mut works) =
        LanePool::with(fake(), fake, policy, &progress, letters, CancellationToken::new());
    let mut ops = ops.into_iter().peekable();
    while ops.peek().is_some() {
        let some = usize::try_from(1 + random.below(20)).unwrap();
        let ops: Vec<_> = ops.by_ref().take(some).collect();
        let read = Position::Oplog(ops.last().unwrap().timestamp);
        let batch = PluginBatch {
            ops: ops.into_iter().map(Arc::new).collect(),
            read: Some(read),
            ..PluginBatch::default()
        };
        tokio::select! {
            sent = batches.send(batch) => sent.unwrap(),
            ended = works.ended() => panic!("{ended:?}"),
        }
        if random.below(2) == 0 {
            tokio::task::yield_now().await;
        }
    }
    drop(batches);
    works.ended().await.unwrap();
    let ledger = ledger.lock().unwrap();
    assert!(ledger.undone.is_empty(), "lost: {:?}", ledger.undone);
    let Summary { read, unwanted, handled, rejected, failed, unfinished, .. } = progress.summary();
    assert_eq!((read, failed, unfinished), (count as u64, 0, 0));
    assert_eq!((unwanted, handled + rejected), ((count - wanted_count) as u64, wanted_count as u64));
    assert_eq!(progress.position(), Some(Position::Oplog(Timestamp { time: 200, increment: 0 })));
    ledger.most_at_once
}

#[tokio::test]
async fn nothing_is_lost_done_twice_or_out_of_order() {
    let off = BreakerPolicy { failing_ops: 0, ..BreakerPolicy::default() };
    for ordering in [Ordering::Document, Ordering::Namespace, Ordering::Oplog, Ordering::None] {
        let mut most_at_once = 0;
        for seed in 0..100 {
            let lanes = usize::try_from(1 + seed % 5).unwrap();
            most_at_once = most_at_once.max(simulate(ordering, lanes, seed, off).await);
        }
        assert_eq!(most_at_once > 1, ordering != Ordering::Oplog, "{ordering:?}");
    }
}

#[tokio::test]
async fn nor_where_the_plugin_is_paused_again_and_again() {
    let delay = Duration::from_micros(100);
    let breaker = BreakerPolicy { failing_ops: 2, initial_delay: delay, max_delay: delay };
    for seed in 0..5 {
        simulate(Ordering::Document, 4, seed, breaker).await;
    }
}

/// Its handle never returns, and nothing is to be waited for.
struct Stuck;

impl OpHandler for Stuck {
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

impl OpFilter for Stuck {
    async fn sift(&mut self, ops: Vec<Arc<Op>>) -> (Filtered, Vec<Arc<Op>>) {
        (ops.into_iter().map(|op| (op, Ok(true))).collect(), Vec::new())
    }
}

#[tokio::test]
async fn what_is_dropped_is_waited_for_only_while_an_op_is_in_work() {
    let policy = DeliveryPolicy {
        delivery: DeliverySettings::default(),
        retry: RetryPolicy::default(),
        breaker: BreakerPolicy::default(),
    };
    for ops in [0, 1] {
        let bounds = Bounds { ops: 16, bytes: usize::MAX, unstored_ops: u64::MAX };
        let progress = Arc::new(PluginProgress::new(bounds, None, false));
        let (batches, works) =
            LanePool::with(Stuck, || Stuck, policy, &progress, letters(), CancellationToken::new());
        let ops: Vec<_> = (0..ops).map(|time| Arc::new(keyed(time, "a.things", 1))).collect();
        let in_work = u64::try_from(ops.len()).unwrap();
        batches.send(PluginBatch { ops, ..PluginBatch::default() }).await.unwrap();
        while progress.summary().unfinished < in_work {
            tokio::task::yield_now().await;
        }
        // With nothing in work, it would be an hour.
        let grace = if in_work == 0 { Duration::from_secs(3600) } else { Duration::from_millis(10) };
        let dropped = tokio::time::timeout(Duration::from_secs(60), works.drop_queued(grace)).await;
        assert!(dropped.is_ok(), "{in_work} ops in work");
        assert_eq!(progress.summary().unfinished, in_work);
    }
}
