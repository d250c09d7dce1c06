//! The interface of a lane to the plugin that it calls: its instances, or a simulated plugin in tests.

use gtm_oplog::Op;
use gtm_runtime::{CallError, Failure, Filter, Handler, MetObstacle, PluginHandle};

/// The plugin's outcome of an op.
pub(super) type HandleOutcome = Result<(), Failure>;

/// Handles the ops of a lane.
pub(super) trait OpHandler: Send {
    /// Returns whether the plugin wants an op for which the filter failed before.
    fn filter(&mut self, op: &Op, attempt: u32) -> impl Future<Output = Result<bool, CallError>> + Send;
    /// Has the plugin handle an op.
    fn handle(
        &mut self,
        op: &Op,
        attempt: u32,
    ) -> impl Future<Output = Result<HandleOutcome, CallError>> + Send;
    /// Returns whether the plugin handles several ops per call.
    fn handles_batches(&mut self) -> bool;
    /// Has the plugin handle several ops in their order, each for the first time. Returns an outcome for each.
    fn handle_batch(
        &mut self,
        ops: &[&Op],
    ) -> impl Future<Output = Result<Vec<HandleOutcome>, CallError>> + Send;
    /// Returns what the last call of `handle` met.
    fn met(&self) -> MetObstacle;
    /// Waits until another version of the plugin, or one with other settings, is called next.
    fn changed(&self) -> impl Future<Output = ()> + Send;
    /// Returns the version that was called last.
    fn version(&self) -> String;
}

/// The instances of a plugin in one lane.
pub(super) struct PluginInstances {
    plugin: PluginHandle,
    handler: Handler,
}

impl PluginInstances {
    pub(super) fn new(plugin: &PluginHandle) -> Self {
        Self { handler: Handler::new(plugin), plugin: plugin.clone() }
    }
}

impl OpHandler for PluginInstances {
    async fn filter(&mut self, op: &Op, attempt: u32) -> Result<bool, CallError> {
        // The filter failed before, so this attempt gets an instance of its own.
        Filter::new(&self.plugin).call(op, attempt).await
    }

    async fn handle(&mut self, op: &Op, attempt: u32) -> Result<HandleOutcome, CallError> {
        if op.is_tick() || !self.handler.handles_batches() {
            return self.handler.call(op, attempt).await;
        }
        let outcomes = self.handler.call_batch(&[(op, attempt)]).await?;
        // There are as many outcomes as ops.
        Ok(outcomes.into_iter().next().unwrap_or(Ok(())))
    }

    fn handles_batches(&mut self) -> bool {
        self.handler.handles_batches()
    }

    async fn handle_batch(&mut self, ops: &[&Op]) -> Result<Vec<HandleOutcome>, CallError> {
        let ops: Vec<_> = ops.iter().map(|op| (*op, 1)).collect();
        self.handler.call_batch(&ops).await
    }

    fn met(&self) -> MetObstacle {
        self.handler.met()
    }

    fn changed(&self) -> impl Future<Output = ()> + Send {
        self.handler.changed()
    }

    fn version(&self) -> String {
        self.handler.plugin().version().to_owned()
    }
}
