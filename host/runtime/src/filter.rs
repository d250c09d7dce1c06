//! Calls `filter` in an instance that has no effects and never waits. The call runs on the caller's thread: the way to another thread
//! and back takes longer than most filters.

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gtm_oplog::{Op, Selection};
use tokio::sync::watch;
use wasmtime::{AsContextMut, Store, StoreContextMut, UpdateDeadline};

use super::abi::Exports;
use super::call::{CallError, guarded};
use super::chain::ChainedFilter;
use super::component::{Plugin, bound_arguments};
use super::handle::PluginHandle;
use super::handler::{deadline, init};
use super::obstacle::CallNotes;
use super::state::{InstanceRole, InstanceState};
use super::usage::PluginUsage;

/// Ops per call: enough that entering and leaving the plugin hardly counts.
const MAX_BATCH_OPS: usize = 64;
/// Bytes of documents per call, after which no op is added: the plugin holds all of them.
const MAX_BATCH_BYTES: usize = 256 * 1024;

/// The number of ops that get a call of their own after a call with several ops failed.
const SINGLE_CALLS_AFTER_FAILURE: u32 = 1024;
/// The elapsed time of a call is limited to this many times its time limit, which counts only the time that it runs: other work on the
/// same thread may interrupt it.
const WALL_TIME_FACTOR: u32 = 10;

/// Asks one component which ops it accepts. It makes its instance for the first call, and a new one after a failure, for a new version, and
/// after many calls.
pub(super) struct FilterStep {
    handle: PluginHandle,
    plugin: Plugin,
    /// Its place in the chain of a plugin. None: it is the plugin's own filter.
    chained: Option<ChainedStep>,
    instance: Option<FilterInstance>,
    /// Whether it had an instance before.
    begun: bool,
    ids: Vec<String>,
    /// The number of ops that still get a call of their own.
    alone: u32,
}

/// The place of a filter in the chain of a plugin.
struct ChainedStep {
    filter: Arc<ChainedFilter>,
    versions: watch::Receiver<Plugin>,
    /// The ops to which this version subscribes. Others do not pass.
    selection: Selection,
    /// The plugin that has the chain.
    plugin: PluginHandle,
}

struct FilterInstance {
    store: Store<InstanceState>,
    exports: Exports,
    calls: u32,
}

impl FilterStep {
    /// Makes the step of a plugin's own filter in this version.
    pub(super) fn of_plugin(handle: &PluginHandle, plugin: Plugin) -> Self {
        Self::new(handle, plugin, None)
    }

    /// Makes the step of a filter in the chain of a plugin.
    pub(super) fn of_chain(filter: &Arc<ChainedFilter>, plugin: &PluginHandle) -> Self {
        let mut versions = filter.handle.versions();
        let version = versions.borrow_and_update().clone();
        let (filter, plugin) = (Arc::clone(filter), plugin.clone());
        let selection = version.selection().clone();
        let handle = filter.handle.clone();
        Self::new(&handle, version, Some(ChainedStep { filter, versions, selection, plugin }))
    }

    fn new(handle: &PluginHandle, plugin: Plugin, chained: Option<ChainedStep>) -> Self {
        let handle = handle.clone();
        Self { handle, plugin, chained, instance: None, begun: false, ids: Vec::new(), alone: 0 }
    }

    /// Returns whether it is the step of this filter.
    pub(super) fn is_of(&self, filter: &Arc<ChainedFilter>) -> bool {
        self.chained.as_ref().is_some_and(|chained| Arc::ptr_eq(&chained.filter, filter))
    }

    /// Returns the bytes of linear memory of its instance. 0: it has no instance now.
    pub(super) fn memory(&self) -> usize {
        self.instance.as_ref().map_or(0, |instance| instance.store.data().quota.taken())
    }

    /// Counts answers if it is in a chain: the ops that it passed, refused and failed on.
    pub(super) fn count(&self, answers: [u64; 3]) {
        self.chained.iter().for_each(|chained| chained.filter.counts.count(answers));
    }

    /// Takes this version of the component from the next call on.
    pub(super) fn set_version(&mut self, plugin: Plugin) {
        if !self.plugin.is_same(&plugin) {
            self.instance = None;
            self.alone = 0;
        }
        self.plugin = plugin;
    }

    /// Takes the current version of a filter in a chain. The version of a plugin comes with its chain: see [`Filter`](crate::Filter).
    fn update_version(&mut self) {
        let Some(chained) = &mut self.chained else { return };
        if chained.versions.has_changed().unwrap_or(false) {
            let version = chained.versions.borrow_and_update().clone();
            chained.selection = version.selection().clone();
            self.set_version(version);
        }
    }

    /// Returns whether a filter of a chain subscribes to this op. The plugin's own filter gets only ops to which the plugin subscribes.
    fn wants(&mut self, op: &Op) -> bool {
        self.chained.as_mut().is_none_or(|chained| chained.selection.wants(op))
    }

    /// Returns whether the component accepts this op. The call begins at `clock`, which is set to its end, so that the clock is read once per
    /// call.
    ///
    /// # Errors
    /// It trapped, or exceeded a limit.
    pub(super) async fn call(
        &mut self,
        op: &Op,
        attempt: u32,
        clock: &mut Instant,
    ) -> Result<bool, CallError> {
        self.update_version();
        if !self.wants(op) {
            return Ok(false);
        }
        if !self.plugin.exports().has_filter() {
            return Ok(true);
        }
        let answer = guarded("filter", self.ask(op, attempt, *clock)).await;
        self.settle(answer, clock)
    }

    /// Adds to `answers` which of these ops the component accepts, up to the first op on which it fails. They fit into one call.
    pub(super) async fn call_together(
        &mut self,
        ops: &[impl Borrow<Op> + Sync],
        clock: &mut Instant,
        answers: &mut Vec<Result<bool, CallError>>,
    ) {
        self.update_version();
        if ops.len() > 1 && self.alone == 0 && self.plugin.exports().filters_batches() {
            // Most filters subscribe to everything. The version that is called is the one whose subscriptions are compared.
            let are_wanted: Vec<_> = match self.chained {
                Some(_) => ops.iter().map(|op| self.wants(op.borrow())).collect(),
                None => Vec::new(),
            };
            if are_wanted.iter().all(|is_wanted| *is_wanted) {
                if let Ok(Some(accepted)) = self.try_batch(ops, clock).await {
                    answers.extend(accepted.into_iter().map(Ok));
                    return;
                }
            } else {
                let wanted = std::iter::zip(ops, &are_wanted).filter(|(_, is_wanted)| **is_wanted);
                let wanted: Vec<&Op> = wanted.map(|(op, _)| op.borrow()).collect();
                let accepted = match wanted.is_empty() {
                    true => Ok(Some(Vec::new())),
                    false => self.try_batch(&wanted, clock).await,
                };
                if let Ok(Some(accepted)) = accepted {
                    let mut accepted = accepted.into_iter();
                    let answer = |is_wanted| Ok(is_wanted && accepted.next().unwrap_or(false));
                    answers.extend(are_wanted.into_iter().map(answer));
                    return;
                }
            }
        }
        for op in ops {
            self.alone = self.alone.saturating_sub(1);
            let answer = self.call(op.borrow(), 1, clock).await;
            let has_failed = answer.is_err();
            answers.push(answer);
            if has_failed {
                return;
            }
        }
    }

    /// Records the duration of a call that began at `clock`, and sets `clock` to its end.
    fn record_time(&self, clock: &mut Instant) {
        let started = std::mem::replace(clock, Instant::now());
        let took = clock.saturating_duration_since(started);
        match &self.chained {
            Some(chained) => chained.filter.counts.record_call(took),
            None => self.usage().filter.record(took),
        }
    }

    /// Returns the counts of the plugin that asks.
    fn usage(&self) -> &PluginUsage {
        let asking = self.chained.as_ref().map_or(&self.handle, |chained| &chained.plugin);
        &asking.shared().usage
    }

    /// Keeps the instance for the next call, unless it is used up.
    fn settle<T>(
        &mut self,
        asked: Result<(T, FilterInstance), CallError>,
        clock: &mut Instant,
    ) -> Result<T, CallError> {
        self.record_time(clock);
        let error = asked.as_ref().err();
        error.into_iter().for_each(|error| self.usage().trapped(error));
        self.handle.record_call(&self.plugin, error);
        let (answer, instance) = asked.map_err(|error| match self.chained {
            Some(_) => error.in_filter(self.handle.name()),
            None => error,
        })?;
        self.instance = Some(instance).filter(|instance| !instance.is_used_up(&self.plugin));
        Ok(answer)
    }

    /// Returns its instance, or a new one. The instance is taken out, so that an abandoned call never leaves one behind.
    async fn take_instance(&mut self) -> Result<FilterInstance, CallError> {
        match self.instance.take() {
            Some(instance) => Ok(instance),
            None => {
                if std::mem::replace(&mut self.begun, true) {
                    self.usage().restarted();
                }
                let Self { handle, plugin, .. } = self;
                handle.shared().make_instance(plugin.name(), || start(handle, plugin)).await
            }
        }
    }

    async fn ask(
        &mut self,
        op: &Op,
        attempt: u32,
        started: Instant,
    ) -> Result<(bool, FilterInstance), CallError> {
        let limit = self.plugin.limits().filter_timeout;
        let is_new = self.instance.is_none();
        let mut instance = self.take_instance().await?;
        // Starting an instance has its own time limit.
        let started = if is_new { Instant::now() } else { started };
        let FilterInstance { store, exports, calls, .. } = &mut instance;
        *calls += 1;
        let id = ids(&mut self.ids, std::slice::from_ref(op)).first().map_or("", String::as_str);
        begin(store, id, op);
        let called = within(started, limit, exports.filter(store, op, id, attempt)).await;
        let answer = called.map(|called| called.map_err(|error| failed(&error, store)));
        store.data().log_output();
        Ok((answer??, instance))
    }

    async fn try_batch(
        &mut self,
        ops: &[impl Borrow<Op> + Sync],
        clock: &mut Instant,
    ) -> Result<Option<Vec<bool>>, CallError> {
        let accepted = guarded("filter", async { Ok(self.ask_batch(ops, clock).await) }).await;
        if !matches!(accepted, Ok(Some(_))) {
            // The next call has its own time limit. The failed one took its time, too.
            self.record_time(clock);
        }
        accepted
    }

    /// Returns the answers to all ops of one call, within the time limit of one op. None: the plugin does not filter batches, or failed, so
    /// that each op gets its own call, which shows the op on which it fails.
    async fn ask_batch(&mut self, ops: &[impl Borrow<Op> + Sync], clock: &mut Instant) -> Option<Vec<bool>> {
        // In case of a failure. The call for one op reports why the instance does not start.
        self.alone = SINGLE_CALLS_AFTER_FAILURE;
        let limit = self.plugin.limits().filter_timeout;
        let is_new = self.instance.is_none();
        let mut instance = self.take_instance().await.ok()?;
        let started = if is_new { Instant::now() } else { *clock };
        let FilterInstance { store, exports, calls } = &mut instance;
        *calls = calls.saturating_add(u32::try_from(ops.len()).unwrap_or(u32::MAX));
        let ids = ids(&mut self.ids, ops);
        // Its log lines belong to no single op.
        begin(store, "", ops.first()?.borrow());
        match within(started, limit, exports.filter_batch(store, ops, ids)).await {
            Ok(Ok(wanted)) if wanted.len() == ops.len() => {
                store.data().log_output();
                self.alone = 0;
                self.settle(Ok((wanted, instance)), clock).ok()
            }
            // The message of a panic is dropped with this instance: the call for the one op repeats it.
            _ => {
                tracing::debug!(
                    event = "filter.split",
                    plugin = self.handle.name(),
                    ops = ops.len(),
                    "the filter failed on several ops together; calling it for each"
                );
                None
            }
        }
    }
}

/// Returns the ops of the next call.
pub(super) fn together(ops: &[Arc<Op>]) -> &[Arc<Op>] {
    let mut room = MAX_BATCH_BYTES;
    let fits = |op: &&Arc<Op>| {
        let fits = room > 0;
        room = room.saturating_sub(op.size());
        fits
    };
    let count = ops.iter().take(MAX_BATCH_OPS).take_while(fits).count();
    ops.get(..count).unwrap_or(ops)
}

/// Returns the ids of these ops, in the buffers of earlier ids.
fn ids<'a>(ids: &'a mut Vec<String>, ops: &[impl Borrow<Op>]) -> &'a [String] {
    if ids.len() < ops.len() {
        ids.resize_with(ops.len(), String::new);
    }
    ids.iter_mut().zip(ops).for_each(|(id, op)| op.borrow().write_id(id));
    ids.get(..ops.len()).unwrap_or_default()
}

impl FilterInstance {
    fn is_used_up(&self, plugin: &Plugin) -> bool {
        self.calls >= plugin.limits().recycle_calls || self.store.data().quota.has_grown()
    }
}

async fn start(handle: &PluginHandle, plugin: &Plugin) -> Result<FilterInstance, CallError> {
    let places = plugin.take_places("filter")?;
    let mut store = plugin.store(handle.shared(), InstanceRole::Filter, &CallNotes::default())?;
    store.data_mut().places = Some(places);
    store.epoch_deadline_callback(tick);
    store.set_epoch_deadline(1);
    let started = async {
        let instance = plugin.filter.instantiate_async(&mut store).await?;
        plugin.exports().load(&mut store, &instance)
    };
    let limit = plugin.limits().filter_timeout;
    let exports = match within(Instant::now(), limit, started).await? {
        Ok(exports) => exports,
        Err(error) => return Err(failed(&error, &store)),
    };
    // As when the plugin is loaded, each has the time limit of its own.
    store.data_mut().running.restart();
    match within(Instant::now(), limit, init(&exports, &mut store)).await? {
        Ok(()) => {
            store.data_mut().quota.started();
            Ok(FilterInstance { store, exports, calls: 0 })
        }
        Err(error) => Err(failed(&error, &store)),
    }
}

/// Prepares a call with this op, or with a batch that begins with it.
fn begin(store: &mut Store<InstanceState>, id: &str, op: &Op) {
    let state = store.data_mut();
    state.begin(id, &op.namespace);
    state.running.restart();
    bound_arguments(&mut store.as_context_mut());
}

/// Runs a call that started at `started`, and fails after its time limit.
async fn within<T>(started: Instant, limit: Duration, call: impl Future<Output = T>) -> Result<T, CallError> {
    let given_up = |_| CallError::TimedOut { call: "filter", limit };
    let deadline = deadline(started, limit.saturating_mul(WALL_TIME_FACTOR));
    tokio::time::timeout_at(deadline, call).await.map_err(given_up)
}

fn failed(error: &wasmtime::Error, store: &Store<InstanceState>) -> CallError {
    let state = store.data();
    CallError::new("filter", error, state, state.call.setup.limits.filter_timeout)
}

/// On each tick, yields to other work on this thread, and ends a call that has run for its time limit. The time of other work does not
/// count.
fn tick(mut store: StoreContextMut<'_, InstanceState>) -> wasmtime::Result<UpdateDeadline> {
    let state = store.data_mut();
    Ok(if state.running.time() >= state.call.setup.limits.filter_timeout {
        UpdateDeadline::Interrupt
    } else {
        UpdateDeadline::YieldCustom(1, Box::pin(state.running.pause(tokio::task::yield_now())))
    })
}
