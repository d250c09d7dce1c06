//! Filters before a plugin's own filter.
//!
//! - A filter is a component that exports `filter` or `batch-filter`, and no handler. It is a [`Plugin`](crate::Plugin) of the kind
//!   [`ComponentKind::Filter`](crate::ComponentKind), with a [`PluginHandle`] that swaps, tries and rolls back its versions.
//! - One handle serves all plugins that have the filter. Each of them has an instance of its own, and its own [`FilterCounts`].
//! - The chain belongs to the handle of the plugin. Whatever makes a [`Filter`] of the plugin (the dispatcher, a lane that repeats a failed
//!   filter, a replay, a trial) therefore asks the whole chain.
//! - A filter is asked about the ops that all filters before it passed. The plugin's own filter is the last one.
//! - The plugin's subscriptions alone select what is read. Those of a filter only narrow it: an op outside of them does not pass, and the
//!   filter is not called.
//! - A failed call fails the op, as one of the plugin's own filter does; ops after it are not decided.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use gtm_oplog::Op;
use serde::{Deserialize, Serialize};

use super::call::CallError;
use super::filter::FilterStep;
use super::handle::PluginHandle;

/// A filter in the chain of a plugin. Clones share the counts.
#[derive(Clone, Debug)]
pub(super) struct ChainedFilter {
    pub(super) handle: PluginHandle,
    pub(super) counts: Arc<FilterCounts>,
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

/// What a filter did for one plugin since the host started.
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
    /// The number of ops that it refused.
    pub refused: u64,
    /// The number of ops on which it failed.
    pub failed: u64,
    /// Why the last new version was rolled back, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<String>,
}

impl ChainedFilter {
    pub(super) fn new(handle: PluginHandle) -> Self {
        Self { handle, counts: Arc::default() }
    }

    pub(super) fn status(&self) -> FilterStatus {
        let Self { handle, counts } = self;
        FilterStatus {
            filter: handle.name().to_owned(),
            version: handle.current().version().to_owned(),
            calls: counts.calls.load(Relaxed),
            seconds: Duration::from_nanos(counts.nanos.load(Relaxed)).as_secs_f64(),
            passed: counts.passed.load(Relaxed),
            refused: counts.refused.load(Relaxed),
            failed: counts.failed.load(Relaxed),
            rolled_back: handle.rolled_back(),
        }
    }
}

impl FilterCounts {
    pub(super) fn call(&self, took: Duration) {
        self.calls.fetch_add(1, Relaxed);
        self.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(super) fn count<'a>(&self, answers: impl Iterator<Item = &'a Result<bool, CallError>>) {
        let (mut passed, mut refused, mut failed) = (0, 0, 0);
        for answer in answers {
            match answer {
                Ok(true) => passed += 1,
                Ok(false) => refused += 1,
                Err(_) => failed += 1,
            }
        }
        for (count, more) in [(&self.passed, passed), (&self.refused, refused), (&self.failed, failed)] {
            if more > 0 {
                count.fetch_add(more, Relaxed);
            }
        }
    }
}

/// Asks a plugin which ops it accepts: the filters of its chain, and then its own. Each makes its instance for the first call, and a new one
/// after a failure, for a new version, and after many calls.
pub struct Filter {
    chain: Vec<FilterStep>,
    own: FilterStep,
}

impl Filter {
    /// Makes the filter of a plugin, with the chain that the plugin has now.
    pub fn new(handle: &PluginHandle) -> Self {
        let chain = handle.chain().iter().map(FilterStep::of_chain).collect();
        Self { chain, own: FilterStep::of_plugin(handle) }
    }

    /// Returns the bytes of linear memory of its instances.
    pub fn memory(&self) -> usize {
        self.chain.iter().chain([&self.own]).map(FilterStep::memory).sum()
    }

    /// Returns whether the plugin accepts this op.
    ///
    /// # Errors
    /// A filter trapped, or exceeded a limit.
    pub async fn call(&mut self, op: &Op, attempt: u32) -> Result<bool, CallError> {
        for step in &mut self.chain {
            let answer = step.call(op, attempt).await;
            step.count(std::iter::once(&answer));
            if !answer? {
                return Ok(false);
            }
        }
        self.own.call(op, attempt).await
    }

    /// Returns which of these ops the plugin accepts, up to the first op on which a filter fails.
    pub async fn call_all(&mut self, ops: &[Arc<Op>]) -> Vec<Result<bool, CallError>> {
        if self.chain.is_empty() {
            return self.own.call_all(ops).await;
        }
        let mut answers: Vec<_> = ops.iter().map(|_| Ok(true)).collect();
        for step in self.chain.iter_mut().chain([&mut self.own]) {
            // The ops that all filters before passed. Only the last answer may be an error.
            let passed: Vec<_> = std::iter::zip(ops, &answers)
                .filter(|(_, answer)| matches!(answer, Ok(true)))
                .map(|(op, _)| Arc::clone(op))
                .collect();
            if passed.is_empty() {
                break;
            }
            let decided = step.call_all(&passed).await;
            step.count(decided.iter());
            let mut end = answers.len();
            let undecided = answers.iter_mut().enumerate().filter(|(_, answer)| matches!(answer, Ok(true)));
            for ((index, answer), decided) in undecided.zip(decided) {
                if decided.is_err() {
                    end = index + 1;
                }
                *answer = decided;
            }
            answers.truncate(end);
        }
        answers
    }
}
