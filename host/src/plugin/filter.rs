//! Calls `filter`: synchronously, in an instance that has no effect on anything.

use std::borrow::Borrow;
use std::sync::Arc;

use tokio::sync::watch;
use wasmtime::Store;

use super::bindings::{BatchFilter, Hosted, lower};
use super::call::CallError;
use super::component::{Plugin, store};
use super::limits::ticks;
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

    /// Whether the plugin wants this op. Blocks for as long as the plugin takes, which is limited.
    ///
    /// # Errors
    /// The plugin trapped, or went beyond a limit.
    pub fn call(&mut self, op: &Op, attempt: u32) -> Result<bool, CallError> {
        self.take_up_version();
        let answer = self.ask(op, attempt);
        self.settle(answer)
    }

    /// Which of these ops the plugin wants: of the first ones, up to the first that it fails on. Blocks as [`call`](Self::call) does
    /// for each.
    pub fn call_all(&mut self, ops: &[Arc<Op>]) -> Vec<Result<bool, CallError>> {
        let mut answers = Vec::with_capacity(ops.len());
        while let Some(rest) = ops.get(answers.len()..).filter(|rest| !rest.is_empty()) {
            self.take_up_version();
            let together = together(rest);
            if together.len() > 1
                && !self.one_by_one
                && let Some(wanted) = self.ask_batch(together)
            {
                answers.extend(wanted.into_iter().map(Ok));
                continue;
            }
            for op in together {
                let answer = self.call(op, 1);
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

    fn settle<T>(&mut self, answer: Result<T, CallError>) -> Result<T, CallError> {
        self.slot.judge(&self.plugin, answer.as_ref().err());
        if answer.is_err() {
            self.instance = None;
        } else if self.instance.as_ref().is_some_and(|instance| instance.is_used_up(&self.plugin)) {
            self.instance = None;
            self.one_by_one = false;
        }
        answer
    }

    fn ask(&mut self, op: &Op, attempt: u32) -> Result<bool, CallError> {
        let limit = self.plugin.limits().filter_timeout;
        let Instance { store, exports, calls, .. } = match &mut self.instance {
            Some(instance) => instance,
            None => self.instance.insert(start(&self.slot, &self.plugin)?),
        };
        *calls += 1;
        let [id] = ids(&mut self.ids, std::slice::from_ref(op)) else { return Ok(false) };
        store.data_mut().begin(id, &op.namespace);
        store.set_epoch_deadline(ticks(limit));
        let answer = exports
            .call_filter(&mut *store, lower(op, id, attempt))
            .map_err(|error| CallError::new("filter", &error, store.data(), limit));
        store.data().log_output();
        answer
    }

    /// The answers, in the time that one has. None: the plugin cannot be asked so, or failed, and is to be asked of each alone, which
    /// tells on which.
    fn ask_batch(&mut self, ops: &[Arc<Op>]) -> Option<Vec<bool>> {
        let limit = self.plugin.limits().filter_timeout;
        let instance = match &mut self.instance {
            Some(instance) => instance,
            // Why it does not start, the call for one says.
            None => self.instance.insert(start(&self.slot, &self.plugin).ok()?),
        };
        let Instance { store, batches: Some(batches), calls, .. } = instance else { return None };
        *calls = calls.saturating_add(u32::try_from(ops.len()).unwrap_or(u32::MAX));
        let ids = ids(&mut self.ids, ops);
        let lowered: Vec<_> = ops.iter().zip(ids).map(|(op, id)| lower(op, id, 1)).collect();
        let (first, namespace) = (ids.first()?, &ops.first()?.namespace);
        store.data_mut().begin(first, namespace);
        store.set_epoch_deadline(ticks(limit));
        let answer = batches.call_filter_batch(&mut *store, &lowered);
        match answer {
            Ok(wanted) if wanted.len() == ops.len() => {
                store.data().log_output();
                self.settle(Ok(wanted)).ok()
            }
            Ok(_) | Err(_) => {
                tracing::debug!(
                    plugin = self.slot.name(),
                    "filter failed on {} ops at once: each is asked of alone",
                    ops.len()
                );
                // The words of a panic come again with the op that it is of.
                drop(store.data().output.take());
                (self.instance, self.one_by_one) = (None, true);
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

fn start(slot: &Slot, plugin: &Plugin) -> Result<Instance, CallError> {
    let limit = plugin.limits().filter_timeout;
    let mut store = store(&plugin.filter, &plugin.setup, slot.shared(), Role::Filter)?;
    store.set_epoch_deadline(ticks(limit));
    let mut instantiate = || {
        let instance = plugin.filter.instance_pre().instantiate(&mut store)?;
        let exports = Hosted::new(&mut store, &instance)?;
        Ok((exports, BatchFilter::new(&mut store, &instance).ok()))
    };
    match instantiate() {
        Ok((exports, batches)) => {
            store.data_mut().quota.started();
            Ok(Instance { store, exports, batches, calls: 0 })
        }
        Err(error) => Err(CallError::new("filter", &error, store.data(), limit)),
    }
}
