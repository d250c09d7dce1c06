//! Calls `handle` or `handle-batch` asynchronously, in an instance with the plugin's capabilities.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gtm_oplog::{Namespace, Op};
use tokio::sync::watch;
use wasmtime::{AsContextMut, Store, UpdateDeadline};

use super::abi::{Exports, HandleOutcome};
use super::call::{CallError, guarded, one_line};
use super::component::{Plugin, bound_arguments};
use super::failure::Failure;
use super::handle::PluginHandle;
use super::obstacle::{CallNotes, MetObstacle, Obstacle};
use super::state::{InstanceRole, InstanceState};

/// Has a plugin handle ops. It makes its instance for the first call, and a new one after a failure, for a new version, and after many
/// calls.
pub struct Handler {
    handle: PluginHandle,
    versions: watch::Receiver<Plugin>,
    plugin: Plugin,
    instance: Option<HandlerInstance>,
    /// Whether it had an instance before.
    begun: bool,
    id: String,
    notes: CallNotes,
}

struct HandlerInstance {
    store: Store<InstanceState>,
    exports: Exports,
    calls: u32,
}

impl Handler {
    /// Makes a handler for a plugin.
    pub fn new(handle: &PluginHandle) -> Self {
        let mut versions = handle.versions();
        let plugin = versions.borrow_and_update().clone();
        Self {
            handle: handle.clone(),
            versions,
            plugin,
            instance: None,
            begun: false,
            id: String::new(),
            notes: CallNotes::default(),
        }
    }

    /// Returns the version that was called last.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Returns the bytes of linear memory of its instance. 0: it has no instance now.
    pub fn memory(&self) -> usize {
        self.instance.as_ref().map_or(0, |instance| instance.store.data().quota.taken())
    }

    /// Returns what prevented the last call from working.
    pub fn met(&self) -> MetObstacle {
        let shared = self.handle.shared();
        let mut met = self.notes.met(&shared.handled);
        // An obstacle that the plugin works around is not why a call failed.
        met.obstacle.take_if(|obstacle| shared.works_around(&obstacle.reason));
        met.is_dry = shared.services.recorder.is_some();
        met
    }

    /// Waits until another version is current than the one that was called last. Changed settings make another version.
    pub fn changed(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut versions = self.versions.clone();
        async move {
            if versions.changed().await.is_err() {
                std::future::pending().await
            }
        }
    }

    /// Returns whether the version that is called next handles several ops per call.
    pub fn handles_batches(&mut self) -> bool {
        self.update_version();
        self.plugin.handles_batches()
    }

    /// Has the plugin handle this op, and returns its outcome.
    ///
    /// # Errors
    /// The plugin trapped, or exceeded a limit.
    pub async fn call(&mut self, op: &Op, attempt: u32) -> Result<HandleOutcome, CallError> {
        self.update_version();
        let taken = self.ready().await;
        // Starting an instance has its own time limit.
        let started = Instant::now();
        let Self { plugin, id, .. } = self;
        op.write_id(id);
        let call = async {
            let mut instance = taken?;
            begin(&mut instance, id, &op.namespace);
            let HandlerInstance { store, exports, .. } = &mut instance;
            let answer = exports.handle(store, op, id, attempt).await;
            end(instance, answer, "handle", plugin)
        };
        let limit = plugin.limits().handle_timeout;
        let called = tokio::time::timeout_at(deadline(started, limit), guarded("handle", call)).await;
        let called = called.unwrap_or(Err(CallError::TimedOut { call: "handle", limit }));
        let outcome = self.settle(called, started)?;
        if outcome.is_ok() {
            self.handled();
        }
        Ok(outcome.map_err(on_one_line))
    }

    /// Has the plugin handle these ops in one call, each with the number of its attempt, and returns the outcome of each.
    ///
    /// # Errors
    /// The plugin trapped, exceeded a limit, or did not return one outcome per op.
    pub async fn call_batch(&mut self, ops: &[(&Op, u32)]) -> Result<Vec<HandleOutcome>, CallError> {
        const CALL: &str = "handle-batch";
        self.update_version();
        let Some((first, _)) = ops.first() else { return Ok(Vec::new()) };
        let taken = self.ready().await;
        let started = Instant::now();
        let Self { plugin, .. } = self;
        let ids: Vec<_> = ops.iter().map(|(op, _)| op.id().to_string()).collect();
        let first_id = ids.first().map_or("", String::as_str);
        let call = async {
            let mut instance = taken?;
            begin(&mut instance, first_id, &first.namespace);
            let HandlerInstance { store, exports, .. } = &mut instance;
            let answer = exports.handle_batch(store, ops, &ids).await;
            end(instance, answer, CALL, plugin)
        };
        let limit = plugin.limits().handle_timeout;
        let called = tokio::time::timeout_at(deadline(started, limit), guarded(CALL, call)).await;
        let called = called.unwrap_or(Err(CallError::TimedOut { call: CALL, limit }));
        let outcomes = self.settle(called, started)?;
        if outcomes.len() != ops.len() {
            let reason = format!("it returned {} outcomes for {} ops", outcomes.len(), ops.len());
            return Err(CallError::Trapped { call: CALL, reason });
        }
        if outcomes.iter().all(Result::is_ok) {
            self.handled();
        }
        Ok(outcomes.into_iter().map(|outcome| outcome.map_err(on_one_line)).collect())
    }

    /// Counts a call that succeeded. If there was an obstacle, the plugin worked around it, which is logged once.
    fn handled(&self) {
        let shared = self.handle.shared();
        match self.met().obstacle {
            None => self.notes.count(&shared.handled),
            Some(Obstacle { reason, .. })
                if shared.is_new(&reason)
                    && shared.may_log(Instant::now(), &self.plugin.limits(), reason.len()) =>
            {
                tracing::warn!(
                    event = "op.work_around",
                    plugin = self.plugin.name(),
                    op = self.id,
                    error = reason,
                    "the op was handled without a capability"
                );
            }
            Some(_) => {}
        }
    }

    fn update_version(&mut self) {
        if self.versions.has_changed().unwrap_or(false) {
            let plugin = self.versions.borrow_and_update().clone();
            // Only its filters may have changed.
            self.instance.take_if(|_| !plugin.is_same(&self.plugin));
            self.plugin = plugin;
        }
    }

    /// Returns its instance, or a new one. The instance is taken out, so that an abandoned call never leaves one behind.
    async fn ready(&mut self) -> Result<HandlerInstance, CallError> {
        self.notes.clear();
        if let Some(instance) = self.instance.take() {
            return Ok(instance);
        }
        if std::mem::replace(&mut self.begun, true) {
            self.handle.shared().usage.restarted();
        }
        let Self { handle, plugin, notes, .. } = self;
        let limit = plugin.limits().handle_timeout;
        let make = async || {
            let started = guarded("handle", start(handle, plugin, notes));
            let started = tokio::time::timeout_at(deadline(Instant::now(), limit), started).await;
            started.unwrap_or(Err(CallError::TimedOut { call: "handle", limit }))
        };
        handle.shared().make_instance(plugin.name(), make).await
    }

    /// Keeps the instance for the next call, unless it is used up.
    fn settle<T>(
        &mut self,
        called: Result<(T, HandlerInstance), CallError>,
        started: Instant,
    ) -> Result<T, CallError> {
        self.handle.shared().usage.handle.record(started.elapsed());
        let error = called.as_ref().err();
        error.into_iter().for_each(|error| self.handle.shared().usage.trapped(error));
        self.handle.record_call(&self.plugin, error);
        let (answer, instance) = called?;
        let is_used_up =
            instance.calls >= self.plugin.limits().recycle_calls || instance.store.data().quota.has_grown();
        self.instance = (!is_used_up).then_some(instance);
        Ok(answer)
    }
}

/// Returns when a call that started at `started` must end. The clock is read once for the deadline and the duration.
pub(super) fn deadline(started: Instant, limit: Duration) -> tokio::time::Instant {
    const MAX_TIMEOUT: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    tokio::time::Instant::from_std(started) + limit.min(MAX_TIMEOUT)
}

/// Initializes a new instance. The plugin accepted its settings when it was loaded: a refusal now is an obstacle, which depends on no op.
pub(super) async fn init(exports: &Exports, store: &mut Store<InstanceState>) -> wasmtime::Result<()> {
    if !exports.needs_init() {
        return Ok(());
    }
    let initialized = exports.init(store).await?;
    store.data().log_output();
    initialized.map(drop).map_err(|reason| {
        let reason = format!("the plugin refuses to start: {}", one_line(&reason));
        wasmtime::Error::msg(store.data().call.notes.blocked(reason, None))
    })
}

/// Prepares a call with the op of this id.
fn begin(instance: &mut HandlerInstance, op: &str, namespace: &Arc<Namespace>) {
    instance.calls += 1;
    instance.store.data_mut().begin(op, namespace);
    bound_arguments(&mut instance.store.as_context_mut());
}

fn end<T>(
    instance: HandlerInstance,
    answer: wasmtime::Result<T>,
    call: &'static str,
    plugin: &Plugin,
) -> Result<(T, HandlerInstance), CallError> {
    let state = instance.store.data();
    let answer = answer.map_err(|error| CallError::new(call, &error, state, plugin.limits().handle_timeout));
    state.log_output();
    Ok((answer?, instance))
}

/// Puts the reason on one line, as the host logs it.
fn on_one_line(failure: Failure) -> Failure {
    failure.map_reason(one_line)
}

async fn start(
    handle: &PluginHandle,
    plugin: &Plugin,
    notes: &CallNotes,
) -> Result<HandlerInstance, CallError> {
    let places = plugin.take_places("handle")?;
    let mut store = plugin.store(handle.shared(), InstanceRole::Handler, notes)?;
    store.data_mut().call.selection = Some(plugin.shared_selection());
    store.data_mut().places = Some(places);
    // On each tick, let the time-out and other work on this thread run. tokio's yield also polls the network, which a busy thread would
    // do only every 61 turns.
    store.epoch_deadline_callback(|_| Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))));
    store.set_epoch_deadline(1);
    let started = async {
        let instance = plugin.handler.instantiate_async(&mut store).await?;
        let exports = plugin.exports().load(&mut store, &instance)?;
        init(&exports, &mut store).await?;
        Ok(exports)
    };
    match started.await {
        Ok(exports) => {
            store.data_mut().quota.started();
            Ok(HandlerInstance { store, exports, calls: 0 })
        }
        Err(error) => Err(CallError::new("handle", &error, store.data(), plugin.limits().handle_timeout)),
    }
}
