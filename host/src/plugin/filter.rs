//! Calls `filter`: synchronously, in an instance that has no effect on anything.

use std::fmt::Write;

use wasmtime::Store;

use super::bindings::{Hosted, lower};
use super::call::CallError;
use super::component::Plugin;
use super::limits::ticks;
use super::state::State;
use crate::op::Op;

/// Asks a plugin which ops it wants. Makes its instance when first asked, and anew after a failure.
pub struct Filter {
    plugin: Plugin,
    instance: Option<(Store<State>, Hosted)>,
    id: String,
}

impl Filter {
    /// For a plugin.
    pub fn new(plugin: Plugin) -> Self {
        Self { plugin, instance: None, id: String::new() }
    }

    /// Whether the plugin wants this op. Blocks for as long as the plugin takes, which is limited.
    ///
    /// # Errors
    /// The plugin trapped, or went beyond a limit.
    pub fn call(&mut self, op: &Op, attempt: u32) -> Result<bool, CallError> {
        let limits = self.plugin.limits;
        let (store, plugin) = match &mut self.instance {
            Some(instance) => instance,
            None => {
                let mut store = self.plugin.store();
                store.set_epoch_deadline(ticks(limits.filter_timeout));
                let plugin =
                    self.plugin.filter.instantiate(&mut store).map_err(|error| {
                        CallError::new("filter", &error, store.data(), limits.filter_timeout)
                    })?;
                self.instance.insert((store, plugin))
            }
        };
        self.id.clear();
        let _ = write!(self.id, "{}", op.id());
        store.data_mut().begin(&self.id);
        store.set_epoch_deadline(ticks(limits.filter_timeout));
        let answer = plugin
            .call_filter(&mut *store, lower(op, &self.id, attempt))
            .map_err(|error| CallError::new("filter", &error, store.data(), limits.filter_timeout));
        store.data().log_output();
        if answer.is_err() {
            self.instance = None;
        }
        answer
    }
}
