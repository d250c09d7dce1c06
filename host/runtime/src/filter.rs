//! Calls `filter`, in an instance that has no effect on anything, and waits for nothing. The call is made on the caller's thread: the
//! way to another thread and back takes longer than most filters.

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gtm_oplog::Op;
use tokio::sync::watch;
use wasmtime::{AsContextMut, Store, StoreContextMut, UpdateDeadline};

use super::bindings::{BatchFilter, Hosted, lower};
use super::call::{CallError, guarded};
use super::component::{Plugin, bound_arguments, store};
use super::handle::PluginHandle;
use super::handler::deadline;
use super::obstacle::Notes;
use super::state::{InstanceRole, InstanceState};

/// Ops per call: enough that the way into the plugin and back does not count (a third of what it takes for one).
const MAX_BATCH_OPS: usize = 64;
/// Bytes of their documents, after which no op is added: the plugin holds them all.
const MAX_BATCH_BYTES: usize = 256 * 1024;

/// After the plugin failed on several ops in a call, the number of ops that have a call each.
const SINGLE_CALLS_AFTER_FAILURE: u32 = 1024;
/// Its time is what it runs. What waits in the host runs not, and has nothing to wait for; so many times as long it may take with all
/// that others do on the same thread.
const WALL_TIME_FACTOR: u32 = 10;

/// Asks a plugin which ops it wants. Makes its instance for the first call, and a new one after a failure, for a new version, and after
/// many calls.
pub struct Filter {
    handle: PluginHandle,
    versions: watch::Receiver<Plugin>,
    plugin: Plugin,
    instance: Option<FilterInstance>,
    /// It has had an instance.
    begun: bool,
    ids: Vec<String>,
    /// So many ops are asked of alone before several are again.
    alone: u32,
}

struct FilterInstance {
    store: Store<InstanceState>,
    exports: Hosted,
    /// Where the plugin is asked of several ops at once.
    batches: Option<BatchFilter>,
    calls: u32,
}

impl Filter {
    /// Makes a filter for a plugin.
    pub fn new(handle: &PluginHandle) -> Self {
        let mut versions = handle.versions();
        let plugin = versions.borrow_and_update().clone();
        Self {
            handle: handle.clone(),
            versions,
            plugin,
            instance: None,
            begun: false,
            ids: Vec::new(),
            alone: 0,
        }
    }

    /// Bytes of linear memory that its instance has taken. 0: there is none now.
    pub fn memory(&self) -> usize {
        self.instance.as_ref().map_or(0, |instance| instance.store.data().quota.taken())
    }

    /// Returns whether the plugin wants this op.
    ///
    /// # Errors
    /// The plugin trapped, or went beyond a limit.
    pub async fn call(&mut self, op: &Op, attempt: u32) -> Result<bool, CallError> {
        self.call_from(op, attempt, &mut Instant::now()).await
    }

    /// Does the same for a call that began at `clock`, which is then set to its end: the clock is read once per call.
    async fn call_from(&mut self, op: &Op, attempt: u32, clock: &mut Instant) -> Result<bool, CallError> {
        self.take_up_version();
        let answer = guarded("filter", self.ask(op, attempt, *clock)).await;
        self.settle(answer, clock)
    }

    /// Returns which of these ops the plugin wants, up to the first op that it fails on.
    pub async fn call_all(&mut self, ops: &[Arc<Op>]) -> Vec<Result<bool, CallError>> {
        let mut answers = Vec::with_capacity(ops.len());
        let mut clock = Instant::now();
        while let Some(rest) = ops.get(answers.len()..).filter(|rest| !rest.is_empty()) {
            self.take_up_version();
            let together = together(rest);
            if together.len() > 1
                && self.alone == 0
                && self.plugin.filters_batches()
                && let Ok(Some(wanted)) = self.try_batch(together, &mut clock).await
            {
                answers.extend(wanted.into_iter().map(Ok));
                continue;
            }
            // A call for several that failed had a time of its own.
            clock = Instant::now();
            for op in together {
                self.alone = self.alone.saturating_sub(1);
                let answer = self.call_from(op, 1, &mut clock).await;
                let failed = answer.is_err();
                answers.push(answer);
                if failed {
                    return answers;
                }
            }
        }
        answers
    }

    fn take_up_version(&mut self) {
        if self.versions.has_changed().unwrap_or(false) {
            self.plugin = self.versions.borrow_and_update().clone();
            self.instance = None;
            self.alone = 0;
        }
    }

    /// Keeps the instance for the next call, where it is good for one.
    fn settle<T>(
        &mut self,
        asked: Result<(T, FilterInstance), CallError>,
        clock: &mut Instant,
    ) -> Result<T, CallError> {
        let started = std::mem::replace(clock, Instant::now());
        self.handle.shared().usage.filter.record(clock.saturating_duration_since(started));
        self.handle.record_call(&self.plugin, asked.as_ref().err());
        let (answer, instance) = asked?;
        self.instance = Some(instance).filter(|instance| !instance.is_used_up(&self.plugin));
        Ok(answer)
    }

    /// Its instance, or a new one. Taken out, so that one in the middle of a call that is given up is not used again.
    async fn take_instance(&mut self) -> Result<FilterInstance, CallError> {
        match self.instance.take() {
            Some(instance) => Ok(instance),
            None => {
                if std::mem::replace(&mut self.begun, true) {
                    self.handle.shared().usage.restarted();
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
        // To start an instance takes a time of its own.
        let started = if is_new { Instant::now() } else { started };
        let FilterInstance { store, exports, calls, .. } = &mut instance;
        *calls += 1;
        let id = ids(&mut self.ids, std::slice::from_ref(op)).first().map_or("", String::as_str);
        begin(store, id, op);
        let called = within(started, limit, exports.call_filter(&mut *store, lower(op, id, attempt))).await;
        let answer = called.map(|called| called.map_err(|error| failed(&error, store)));
        store.data().log_output();
        Ok((answer??, instance))
    }

    async fn try_batch(
        &mut self,
        ops: &[Arc<Op>],
        clock: &mut Instant,
    ) -> Result<Option<Vec<bool>>, CallError> {
        guarded("filter", async { Ok(self.ask_batch(ops, clock).await) }).await
    }

    /// Returns the answers, within the time of one op. None: the plugin does not filter batches, or failed, and gets each op alone, which
    /// tells on which.
    async fn ask_batch(&mut self, ops: &[Arc<Op>], clock: &mut Instant) -> Option<Vec<bool>> {
        // If it goes wrong. Why it does not start, the call for one says.
        self.alone = SINGLE_CALLS_AFTER_FAILURE;
        let limit = self.plugin.limits().filter_timeout;
        let is_new = self.instance.is_none();
        let mut instance = self.take_instance().await.ok()?;
        let started = if is_new { Instant::now() } else { *clock };
        let FilterInstance { store, batches, calls, .. } = &mut instance;
        let batches = batches.as_ref()?;
        *calls = calls.saturating_add(u32::try_from(ops.len()).unwrap_or(u32::MAX));
        let ids = ids(&mut self.ids, ops);
        let lowered: Vec<_> = ops.iter().zip(ids).map(|(op, id)| lower(op, id, 1)).collect();
        // What it logs is of none of them more than of another.
        begin(store, "", ops.first()?);
        match within(started, limit, batches.call_filter_batch(&mut *store, &lowered)).await {
            Ok(Ok(wanted)) if wanted.len() == ops.len() => {
                store.data().log_output();
                self.alone = 0;
                self.settle(Ok((wanted, instance)), clock).ok()
            }
            // The words of a panic come again with the op that it is of: they go with this instance.
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
fn together(ops: &[Arc<Op>]) -> &[Arc<Op>] {
    let mut room = MAX_BATCH_BYTES;
    let fits = |op: &&Arc<Op>| {
        let fits = room > 0;
        room = room.saturating_sub(op.size());
        fits
    };
    let count = ops.iter().take(MAX_BATCH_OPS).take_while(fits).count();
    ops.get(..count).unwrap_or(ops)
}

/// Returns the ids of these ops, written where those of others were.
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
    let mut store =
        store(&plugin.filter, &plugin.setup, handle.shared(), InstanceRole::Filter, &Notes::default())?;
    store.data_mut().places = Some(places);
    store.epoch_deadline_callback(tick);
    store.set_epoch_deadline(1);
    let started = async {
        let instance = plugin.filter.instance_pre().instantiate_async(&mut store).await?;
        let exports = Hosted::new(&mut store, &instance)?;
        let batches =
            plugin.filters_batches().then(|| BatchFilter::new(&mut store, &instance)).transpose()?;
        Ok((exports, batches))
    };
    match within(Instant::now(), plugin.limits().filter_timeout, started).await? {
        Ok((exports, batches)) => {
            store.data_mut().quota.started();
            Ok(FilterInstance { store, exports, batches, calls: 0 })
        }
        Err(error) => Err(failed(&error, &store)),
    }
}

/// Gets ready for a call with this op, or with several from this one on.
fn begin(store: &mut Store<InstanceState>, id: &str, op: &Op) {
    let state = store.data_mut();
    state.begin(id, &op.namespace);
    state.running.restart();
    bound_arguments(&mut store.as_context_mut());
}

/// Runs a call that started then, and fails if it takes too long.
async fn within<T>(started: Instant, limit: Duration, call: impl Future<Output = T>) -> Result<T, CallError> {
    let given_up = |_| CallError::TimedOut { call: "filter", limit };
    let deadline = deadline(started, limit.saturating_mul(WALL_TIME_FACTOR));
    tokio::time::timeout_at(deadline, call).await.map_err(given_up)
}

fn failed(error: &wasmtime::Error, store: &Store<InstanceState>) -> CallError {
    let state = store.data();
    CallError::new("filter", error, state, state.call.setup.limits.filter_timeout)
}

/// Each tick, other work on this thread has its turn, and a call that has had its time ends. That of others is not its own.
fn tick(mut store: StoreContextMut<'_, InstanceState>) -> wasmtime::Result<UpdateDeadline> {
    let state = store.data_mut();
    Ok(if state.running.time() >= state.call.setup.limits.filter_timeout {
        UpdateDeadline::Interrupt
    } else {
        UpdateDeadline::YieldCustom(1, Box::pin(state.running.pause(tokio::task::yield_now())))
    })
}
