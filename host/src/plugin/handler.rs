//! Calls `handle`: asynchronously, in an instance that has the plugin's capabilities.

use std::fmt::Write;

use wasmtime::Store;

use super::bindings::{Failure, Hosted, lower};
use super::call::CallError;
use super::component::Plugin;
use super::state::State;
use crate::op::Op;

/// Has a plugin handle ops. Makes its instance when first needed, and anew after a failure.
pub struct Handler {
    plugin: Plugin,
    instance: Option<(Store<State>, Hosted)>,
    id: String,
}

impl Handler {
    /// For a plugin.
    pub fn new(plugin: Plugin) -> Self {
        Self { plugin, instance: None, id: String::new() }
    }

    /// Has the plugin handle this op, and gives back what it says of it.
    ///
    /// # Errors
    /// The plugin trapped, or went beyond a limit.
    pub async fn call(&mut self, op: &Op, attempt: u32) -> Result<Result<(), Failure>, CallError> {
        // Taken out, so that an instance in the middle of a call that is given up is not used again.
        let taken = self.instance.take();
        let limits = self.plugin.limits;
        let call = async {
            let (mut store, plugin) = match taken {
                Some(instance) => instance,
                None => self.instantiate().await?,
            };
            self.id.clear();
            let _ = write!(self.id, "{}", op.id);
            store.data_mut().begin(op.id);
            let answer = plugin
                .call_handle(&mut store, lower(op, &self.id, attempt))
                .await
                .map_err(|error| CallError::new("handle", &error, store.data(), &limits));
            store.data().log_output();
            answer.map(|outcome| (outcome, (store, plugin)))
        };
        let (outcome, instance) = tokio::time::timeout(limits.handle_timeout, call)
            .await
            .map_err(|_| CallError::timed_out("handle", &limits))??;
        self.instance = Some(instance);
        Ok(outcome)
    }

    async fn instantiate(&self) -> Result<(Store<State>, Hosted), CallError> {
        let mut store = self.plugin.store();
        // Each tick, let the time-out and the other work on this thread have their turn.
        store.epoch_deadline_async_yield_and_update(1);
        store.set_epoch_deadline(1);
        match self.plugin.handler.instantiate_async(&mut store).await {
            Ok(plugin) => Ok((store, plugin)),
            Err(error) => Err(CallError::new("handle", &error, store.data(), &self.plugin.limits)),
        }
    }
}
