//! Calls `handle`: asynchronously, in an instance that has the plugin's capabilities.

use std::fmt::Write;

use wasmtime::Store;

use super::bindings::{Failure, Hosted, lower};
use super::call::{CallError, one_line};
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
        let Self { plugin, instance, id } = self;
        let limits = plugin.limits;
        // Taken out, so that an instance in the middle of a call that is given up is not used again.
        let taken = instance.take();
        let call = async {
            let (mut store, exports) = match taken {
                Some(instance) => instance,
                None => instantiate(plugin).await?,
            };
            id.clear();
            let _ = write!(id, "{}", op.id());
            store.data_mut().begin(id);
            let answer = exports
                .call_handle(&mut store, lower(op, id, attempt))
                .await
                .map_err(|error| CallError::new("handle", &error, store.data(), limits.handle_timeout));
            store.data().log_output();
            answer.map(|outcome| (outcome.map_err(tidy), (store, exports)))
        };
        let (outcome, used) = tokio::time::timeout(limits.handle_timeout, call)
            .await
            .map_err(|_| CallError::TimedOut { call: "handle", limit: limits.handle_timeout })??;
        *instance = Some(used);
        Ok(outcome)
    }
}

/// A reason is logged by the host, as one line.
fn tidy(failure: Failure) -> Failure {
    match failure {
        Failure::Retry(reason) => Failure::Retry(one_line(&reason)),
        Failure::Reject(reason) => Failure::Reject(one_line(&reason)),
    }
}

async fn instantiate(plugin: &Plugin) -> Result<(Store<State>, Hosted), CallError> {
    let mut store = plugin.store();
    // Each tick, let the time-out and the other work on this thread have their turn.
    store.epoch_deadline_async_yield_and_update(1);
    store.set_epoch_deadline(1);
    match plugin.handler.instantiate_async(&mut store).await {
        Ok(exports) => Ok((store, exports)),
        Err(error) => Err(CallError::new("handle", &error, store.data(), plugin.limits.handle_timeout)),
    }
}
