//! Calls `filter`: in an instance that has no effect on anything, and waits for nothing. It is asked where the ops are, on the thread
//! of whoever wants to know: the way to another one and back takes longer than most filters.

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;
use wasmtime::{Store, StoreContextMut, UpdateDeadline};

use super::bindings::{BatchFilter, Hosted, lower};
use super::call::CallError;
use super::component::{Plugin, store};
use super::slot::Slot;
use super::state::{Role, State};
use crate::op::Op;

/// Ops that are asked of at once: enough that the way into the plugin and back does not count (a third of what it takes for one).
const AT_ONCE: usize = 64;
/// Bytes of their documents, beyond which none is added: the plugin holds them all.
const BYTES_AT_ONCE: usize = 256 * 1024;

/// Asks a plugin which ops it wants. Makes its instance when first asked, and anew after a failure, where a new version is
/// current, and when it was used for long.
pub struct Filter {
    slot: Slot,
    versions: watch::Receiver<Plugin>,
    plugin: Plugin,
    instance: Option<Instance>,
    ids: Vec<String>,
    /// It failed on several ops at once, and is asked of each alone until it has a new version, or instance.
    one_by_one: bool,
}

struct Instance {
    store: Store<State>,
    exports: Hosted,
    /// Where the plugin takes several ops at once.
    batches: Option<BatchFilter>,
    calls: u32,
}

impl Filter {
    /// For a plugin.
    pub fn new(slot: &Slot) -> Self {
        let mut versions = slot.versions();
        let plugin = versions.borrow_and_update().clone();
        Self { slot: slot.clone(), versions, plugin, instance: None, ids: Vec::new(), one_by_one: false }
    }

    /// Bytes of linear memory that its instance has taken. 0: there is none now.
    pub fn memory(&self) -> usize {
        self.instance.as_ref().map_or(0, |instance| instance.store.data().quota.taken())
    }

    /// Whether the plugin wants this op.
    ///
    /// # Errors
    /// The plugin trapped, or went beyond a limit.
    pub async fn call(&mut self, op: &Op, attempt: u32) -> Result<bool, CallError> {
        self.take_up_version();
        let answer = self.ask(op, attempt).await;
        self.settle(answer)
    }

    /// Which of these ops the plugin wants: of the first ones, up to the first that it fails on.
    pub async fn call_all(&mut self, ops: &[Arc<Op>]) -> Vec<Result<bool, CallError>> {
        let mut answers = Vec::with_capacity(ops.len());
        while let Some(rest) = ops.get(answers.len()..).filter(|rest| !rest.is_empty()) {
            self.take_up_version();
            let together = together(rest);
            if together.len() > 1
                && !self.one_by_one
                && let Some(wanted) = self.ask_batch(together).await
            {
                answers.extend(wanted.into_iter().map(Ok));
                continue;
            }
            for op in together {
                let answer = self.call(op, 1).await;
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
            self.one_by_one = false;
        }
    }

    /// Keeps the instance for the next call, where it is good for one.
    fn settle<T>(&mut self, asked: Result<(T, Instance), CallError>) -> Result<T, CallError> {
        self.slot.judge(&self.plugin, asked.as_ref().err());
        let (answer, instance) = asked?;
        if instance.is_used_up(&self.plugin) {
            self.one_by_one = false;
        } else {
            self.instance = Some(instance);
        }
        Ok(answer)
    }

    /// Its instance, or a new one. Taken out, so that one in the middle of a call that is given up is not used again.
    async fn take_instance(&mut self) -> Result<Instance, CallError> {
        match self.instance.take() {
            Some(instance) => Ok(instance),
            None => start(&self.slot, &self.plugin).await,
        }
    }

    async fn ask(&mut self, op: &Op, attempt: u32) -> Result<(bool, Instance), CallError> {
        let limit = self.plugin.limits().filter_timeout;
        let mut instance = self.take_instance().await?;
        let Instance { store, exports, calls, .. } = &mut instance;
        *calls += 1;
        let id = ids(&mut self.ids, std::slice::from_ref(op)).first().map_or("", String::as_str);
        store.data_mut().begin(id, &op.namespace);
        let answer = exports
            .call_filter(&mut *store, lower(op, id, attempt))
            .await
            .map_err(|error| CallError::new("filter", &error, store.data(), limit));
        store.data().log_output();
        Ok((answer?, instance))
    }

    /// The answers, in the time that one has. None: the plugin cannot be asked so, or failed, and is to be asked of each alone, which
    /// tells on which.
    async fn ask_batch(&mut self, ops: &[Arc<Op>]) -> Option<Vec<bool>> {
        // Why it does not start, the call for one says.
        let mut instance = self.take_instance().await.ok()?;
        let Instance { store, batches: Some(batches), calls, .. } = &mut instance else {
            (self.instance, self.one_by_one) = (Some(instance), true);
            return None;
        };
        *calls = calls.saturating_add(u32::try_from(ops.len()).unwrap_or(u32::MAX));
        let ids = ids(&mut self.ids, ops);
        let lowered: Vec<_> = ops.iter().zip(ids).map(|(op, id)| lower(op, id, 1)).collect();
        let (first, namespace) = (ids.first()?, &ops.first()?.namespace);
        store.data_mut().begin(first, namespace);
        match batches.call_filter_batch(&mut *store, &lowered).await {
            Ok(wanted) if wanted.len() == ops.len() => {
                store.data().log_output();
                self.settle(Ok((wanted, instance))).ok()
            }
            Ok(_) | Err(_) => {
                tracing::debug!(
                    plugin = self.slot.name(),
                    "filter failed on {} ops at once: each is asked of alone",
                    ops.len()
                );
                // The words of a panic come again with the op that it is of: they go with this instance.
                self.one_by_one = true;
                None
            }
        }
    }
}

/// The ops that are asked of at once.
fn together(ops: &[Arc<Op>]) -> &[Arc<Op>] {
    let mut room = BYTES_AT_ONCE;
    let fits = |op: &&Arc<Op>| {
        let fits = room > 0;
        room = room.saturating_sub(op.size());
        fits
    };
    let count = ops.iter().take(AT_ONCE).take_while(fits).count();
    ops.get(..count).unwrap_or(ops)
}

/// The ids of these ops, written where those of others were.
fn ids<'a>(ids: &'a mut Vec<String>, ops: &[impl Borrow<Op>]) -> &'a [String] {
    if ids.len() < ops.len() {
        ids.resize_with(ops.len(), String::new);
    }
    ids.iter_mut().zip(ops).for_each(|(id, op)| op.borrow().write_id(id));
    ids.get(..ops.len()).unwrap_or_default()
}

impl Instance {
    fn is_used_up(&self, plugin: &Plugin) -> bool {
        self.calls >= plugin.limits().recycle_calls || self.store.data().quota.has_grown()
    }
}

async fn start(slot: &Slot, plugin: &Plugin) -> Result<Instance, CallError> {
    let mut store = store(&plugin.filter, &plugin.setup, slot.shared(), Role::Filter)?;
    store.epoch_deadline_callback(tick);
    store.set_epoch_deadline(1);
    let started = async {
        let instance = plugin.filter.instance_pre().instantiate_async(&mut store).await?;
        let exports = Hosted::new(&mut store, &instance)?;
        Ok((exports, BatchFilter::new(&mut store, &instance).ok()))
    };
    match started.await {
        Ok((exports, batches)) => {
            store.data_mut().quota.started();
            Ok(Instance { store, exports, batches, calls: 0 })
        }
        Err(error) => Err(CallError::new("filter", &error, store.data(), plugin.limits().filter_timeout)),
    }
}

/// Each tick, other work on this thread has its turn, and a call that has had its time ends. Its time is taken from the first tick
/// on, so that the usual one, which sees none, need not look at a clock.
fn tick(mut store: StoreContextMut<'_, State>) -> wasmtime::Result<UpdateDeadline> {
    let state = store.data_mut();
    let (now, limit) = (Instant::now(), state.setup.limits.filter_timeout);
    let started = *state.first_tick.get_or_insert(now);
    Ok(if now.saturating_duration_since(started) >= limit {
        UpdateDeadline::Interrupt
    } else {
        UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))
    })
}
