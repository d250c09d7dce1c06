//! Calls `filter`: synchronously, in an instance that has no effect on anything.

use tokio::sync::watch;
use wasmtime::Store;

use super::bindings::{Hosted, lower};
use super::call::CallError;
use super::component::{Plugin, store};
use super::limits::ticks;
use super::slot::Slot;
use super::state::{Role, State};
use crate::op::Op;

/// Asks a plugin which ops it wants. Makes its instance when first asked, and anew after a failure, where a new version is
/// current, and when it was used for long.
pub struct Filter {
    slot: Slot,
    versions: watch::Receiver<Plugin>,
    plugin: Plugin,
    instance: Option<Instance>,
    id: String,
}

struct Instance {
    store: Store<State>,
    exports: Hosted,
    calls: u32,
}

impl Filter {
    /// For a plugin.
    pub fn new(slot: &Slot) -> Self {
        let mut versions = slot.versions();
        let plugin = versions.borrow_and_update().clone();
        Self { slot: slot.clone(), versions, plugin, instance: None, id: String::new() }
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
        if self.versions.has_changed().unwrap_or(false) {
            self.plugin = self.versions.borrow_and_update().clone();
            self.instance = None;
        }
        let answer = self.ask(op, attempt);
        self.slot.judge(&self.plugin, answer.as_ref().err());
        if answer.is_err() || self.instance.as_ref().is_some_and(|instance| instance.is_used_up(&self.plugin))
        {
            self.instance = None;
        }
        answer
    }

    fn ask(&mut self, op: &Op, attempt: u32) -> Result<bool, CallError> {
        let limit = self.plugin.limits().filter_timeout;
        let Instance { store, exports, calls } = match &mut self.instance {
            Some(instance) => instance,
            None => self.instance.insert(start(&self.slot, &self.plugin)?),
        };
        *calls += 1;
        op.write_id(&mut self.id);
        store.data_mut().begin(&self.id, &op.namespace);
        store.set_epoch_deadline(ticks(limit));
        let answer = exports
            .call_filter(&mut *store, lower(op, &self.id, attempt))
            .map_err(|error| CallError::new("filter", &error, store.data(), limit));
        store.data().log_output();
        answer
    }
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
    let exports = plugin
        .filter
        .instantiate(&mut store)
        .map_err(|error| CallError::new("filter", &error, store.data(), limit))?;
    store.data_mut().quota.started();
    Ok(Instance { store, exports, calls: 0 })
}
