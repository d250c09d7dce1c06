//! Filters before a plugin's own filter.
//!
//! - A filter is a component that exports `filter` or `batch-filter`, and no handler. It is a [`Plugin`](crate::Plugin) of the kind
//!   [`ComponentKind::Filter`](crate::ComponentKind), with a [`PluginHandle`] that swaps, tries and rolls back its versions.
//! - One handle serves all plugins that have the filter. Each of them has an instance of its own, and its own counts.
//! - The chain belongs to the handle of the plugin, and is replaced together with its version. Everything that filters for the plugin (the
//!   dispatcher, a lane that repeats a failed filter, a replay, a trial) asks the chain that is current when its next call begins.
//! - A filter is asked about the ops that all filters before it passed. The plugin's own filter is the last one.
//! - The plugin's subscriptions alone select what is read. Those of a filter only narrow it: an op outside of them does not pass, and the
//!   filter is not called.
//! - A failed call fails the op, as one of the plugin's own filter does; ops after it are not decided.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use gtm_oplog::Op;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::call::CallError;
use super::component::Plugin;
use super::filter::{FilterStep, together};
use super::handle::PluginHandle;
use super::metrics::PluginMetrics;
use super::pool::{PoolFull, instances};
use super::setup::ComponentKind;
use super::share::Seat;

/// The chain of a plugin.
pub(super) type Chain = Arc<[Arc<ChainedFilter>]>;

/// The next chain of a plugin, with places for its instances. [`PluginHandle::prepare_chain`] makes it.
#[derive(Debug)]
pub struct PreparedChain(pub(super) Chain);

/// A filter in the chain of a plugin, with what it did for it.
#[derive(Debug)]
pub(super) struct ChainedFilter {
    pub(super) handle: PluginHandle,
    pub(super) counts: FilterCounts,
    /// The places of its instances for this plugin. None: the plugin has no lanes yet.
    seat: Mutex<Option<Seat>>,
}

/// What a filter did for one plugin.
#[derive(Debug, Default)]
pub(super) struct FilterCounts {
    calls: AtomicU64,
    nanos: AtomicU64,
    passed: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

/// What a filter did for one plugin since the host started, or since the filter was added to its chain.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FilterStatus {
    /// The name of the filter.
    pub filter: String,
    /// Its version.
    pub version: String,
    /// The number of its calls, each for one op or several.
    pub calls: u64,
    /// The time that they took, in seconds.
    pub seconds: f64,
    /// The number of ops that it passed on.
    pub passed: u64,
    /// The number of ops that it refused, including those to which it does not subscribe.
    pub refused: u64,
    /// The number of ops on which it failed. Each attempt counts.
    pub failed: u64,
    /// Why the last new version was rolled back, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<String>,
    /// Its own metrics, for all plugins that have it.
    #[serde(default, skip_serializing_if = "PluginMetrics::is_empty")]
    pub metrics: PluginMetrics,
}

impl ChainedFilter {
    /// Adds a filter to the chain of a plugin with this many lanes, or of one without lanes yet.
    pub(super) fn new(handle: PluginHandle, lanes: Option<usize>) -> Result<Arc<Self>, PoolFull> {
        let chained = Self::unseated(handle);
        lanes.map_or(Ok(()), |lanes| chained.reserve(lanes))?;
        Ok(chained)
    }

    /// Adds a filter to the chain of a plugin without lanes.
    pub(super) fn unseated(handle: PluginHandle) -> Arc<Self> {
        Arc::new(Self { handle, counts: FilterCounts::default(), seat: Mutex::default() })
    }

    /// Reserves places for the instances of a plugin with this many lanes, in place of the previous reservation.
    pub(super) fn reserve(&self, lanes: usize) -> Result<(), PoolFull> {
        let (instances, seat) = (instances(ComponentKind::Filter, lanes), &mut *self.seat.lock());
        let reserved = match seat {
            Some(seat) => seat.resize(instances),
            none => self.handle.share().take_seat(instances).map(|seat| *none = Some(seat)),
        };
        reserved.map_err(|error| error.in_filter(self.handle.name()))
    }

    /// Frees the places of its instances for the plugin.
    pub(super) fn release(&self) {
        self.seat.lock().take();
    }

    pub(super) fn status(&self) -> FilterStatus {
        let Self { handle, counts, .. } = self;
        FilterStatus {
            filter: handle.name().to_owned(),
            version: handle.current().version().to_owned(),
            calls: counts.calls.load(Relaxed),
            seconds: Duration::from_nanos(counts.nanos.load(Relaxed)).as_secs_f64(),
            passed: counts.passed.load(Relaxed),
            refused: counts.refused.load(Relaxed),
            failed: counts.failed.load(Relaxed),
            rolled_back: handle.rolled_back(),
            metrics: handle.metrics(),
        }
    }
}

impl FilterCounts {
    pub(super) fn record_call(&self, took: Duration) {
        self.calls.fetch_add(1, Relaxed);
        self.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Adds the numbers of ops that it passed, refused and failed on.
    pub(super) fn count(&self, answers: [u64; 3]) {
        for (count, more) in [&self.passed, &self.refused, &self.failed].into_iter().zip(answers) {
            if more > 0 {
                count.fetch_add(more, Relaxed);
            }
        }
    }
}

/// Asks a plugin which ops it accepts: the filters of its chain, and then its own. Each makes its instance for the first call, and a new one
/// after a failure, for a new version, and after many calls.
pub struct Filter {
    handle: PluginHandle,
    versions: watch::Receiver<Plugin>,
    chain: Vec<FilterStep>,
    own: FilterStep,
}

/// What the chain decided about an op.
struct ChainVerdict {
    answer: Result<bool, CallError>,
    /// The number of steps that accepted it.
    accepted: usize,
}

impl Filter {
    /// Makes the filter of a plugin.
    pub fn new(handle: &PluginHandle) -> Self {
        let mut versions = handle.versions();
        let (plugin, chain) = handle.version_and_chain(&mut versions);
        let chain = chain.iter().map(|filter| FilterStep::of_chain(filter, handle)).collect();
        Self { handle: handle.clone(), versions, chain, own: FilterStep::of_plugin(handle, plugin) }
    }

    /// Returns the bytes of linear memory of its instances.
    pub fn memory(&self) -> usize {
        self.chain.iter().chain([&self.own]).map(FilterStep::memory).sum()
    }

    /// Takes the current version of the plugin, with its chain. Filters that stay keep their instances.
    fn update(&mut self) {
        if !self.versions.has_changed().unwrap_or(false) {
            return;
        }
        let (plugin, chain) = self.handle.version_and_chain(&mut self.versions);
        let mut before = std::mem::take(&mut self.chain);
        let step = |filter| match before.iter().position(|step| step.is_of(filter)) {
            Some(index) => before.swap_remove(index),
            None => FilterStep::of_chain(filter, &self.handle),
        };
        self.chain = chain.iter().map(step).collect();
        self.own.set_version(plugin);
    }

    /// Returns whether the plugin accepts this op.
    ///
    /// # Errors
    /// A filter trapped, or exceeded a limit.
    pub async fn call(&mut self, op: &Op, attempt: u32) -> Result<bool, CallError> {
        self.update();
        let mut clock = Instant::now();
        for step in &mut self.chain {
            let answer = step.call(op, attempt, &mut clock).await;
            step.count(match answer {
                Ok(true) => [1, 0, 0],
                Ok(false) => [0, 1, 0],
                Err(_) => [0, 0, 1],
            });
            if !answer? {
                return Ok(false);
            }
        }
        self.own.call(op, attempt, &mut clock).await
    }

    /// Returns which of these ops the plugin accepts, up to the first op on which a filter fails.
    pub async fn call_all(&mut self, ops: &[Arc<Op>]) -> Vec<Result<bool, CallError>> {
        let mut answers = Vec::with_capacity(ops.len());
        let mut clock = Instant::now();
        while let Some(rest) = ops.get(answers.len()..).filter(|rest| !rest.is_empty()) {
            self.update();
            let together = together(rest);
            if self.chain.is_empty() {
                self.own.call_together(together, &mut clock, &mut answers).await;
            } else {
                self.call_chain(together, &mut clock, &mut answers).await;
            }
            if answers.last().is_none_or(Result::is_err) {
                break;
            }
        }
        answers
    }

    async fn call_chain(
        &mut self,
        ops: &[Arc<Op>],
        clock: &mut Instant,
        answers: &mut Vec<Result<bool, CallError>>,
    ) {
        let mut verdicts: Vec<_> =
            ops.iter().map(|_| ChainVerdict { answer: Ok(true), accepted: 0 }).collect();
        // The ops that all steps before accepted, with their index.
        let mut open: Vec<(usize, &Op)> = ops.iter().map(|op| &**op).enumerate().collect();
        let mut decided = Vec::with_capacity(ops.len());
        for step in self.chain.iter_mut().chain([&mut self.own]) {
            let asked: Vec<&Op> = open.iter().map(|(_, op)| *op).collect();
            if asked.is_empty() {
                break;
            }
            step.call_together(&asked, clock, &mut decided).await;
            let mut decided = decided.drain(..);
            open.retain(|(index, _)| {
                let (Some(verdict), Some(answer)) = (verdicts.get_mut(*index), decided.next()) else {
                    return false;
                };
                let is_accepted = answer == Ok(true);
                verdict.accepted += usize::from(is_accepted);
                verdict.answer = answer;
                is_accepted
            });
            // The ops after one on which it failed are asked about again later.
            let failed = verdicts.iter().position(|verdict| verdict.answer.is_err());
            verdicts.truncate(failed.map_or(verdicts.len(), |failed| failed + 1));
        }
        for (index, step) in self.chain.iter().enumerate() {
            let count = |of: fn(&ChainVerdict) -> bool| {
                let decided = verdicts.iter().filter(|verdict| verdict.accepted == index);
                decided.filter(|verdict| of(verdict)).count() as u64
            };
            let passed = verdicts.iter().filter(|verdict| verdict.accepted > index).count() as u64;
            let refused = count(|verdict| verdict.answer == Ok(false));
            step.count([passed, refused, count(|verdict| verdict.answer.is_err())]);
        }
        answers.extend(verdicts.into_iter().map(|verdict| verdict.answer));
    }
}
