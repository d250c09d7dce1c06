//! The host's state of an instance: everything that its imports can reach.

use std::collections::BTreeMap;
use std::sync::Arc;

use gtm_oplog::{Namespace, Selection};
use serde_json::Value;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_config::WasiConfigVariables;

use super::budget::Budget;
use super::capabilities::{self, CapabilityId, InstanceContexts};
use super::clock::PausableClock;
use super::handle::PluginContext;
use super::limits::MemoryQuota;
use super::obstacle::CallNotes;
use super::output::Output;
use super::pool::HeldPlaces;
use super::remedy::PluginRemedy;
use super::services::{Effect, Recorder};
use super::setup::Setup;

/// Random bytes per call. They are made on the plugin's thread, where nothing interrupts it.
const MAX_RANDOM_BYTES: u64 = 64 * 1024;

/// The purpose of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InstanceRole {
    /// It answers, and has no effects.
    Filter,
    /// It has the plugin's capabilities.
    Handler,
}

/// What every capability knows of an instance and its current call.
pub(super) struct CallContext {
    pub(super) setup: Arc<Setup>,
    pub(super) shared: Arc<PluginContext>,
    pub(super) role: InstanceRole,
    /// Limits the bytes that the host keeps for the instance.
    pub(super) budget: Budget,
    /// The id of the current op. Empty while the instance starts.
    pub(super) op: String,
    /// The subscriptions of the plugin, if they are known.
    pub(super) selection: Option<Arc<Selection>>,
    /// Records the obstacles of the call.
    pub(super) notes: CallNotes,
}

/// The host's side of one instance.
pub(super) struct InstanceState {
    pub(super) call: CallContext,
    pub(super) contexts: InstanceContexts,
    wasi: WasiCtx,
    pub(super) table: ResourceTable,
    pub(super) quota: MemoryQuota,
    pub(super) output: Output,
    /// The values of the plugin's settings, for the contract and for `wasi:config`.
    pub(super) config: Arc<BTreeMap<String, String>>,
    pub(super) wasi_config: WasiConfigVariables,
    /// How long the filter has run in the current call.
    pub(super) running: PausableClock,
    /// The places of the instance. None: the plugin is tried in it.
    pub(super) places: Option<HeldPlaces>,
}

impl InstanceState {
    /// Makes the state of an instance, which records the obstacles of its calls in `notes`.
    ///
    /// # Errors
    /// A granted directory cannot be opened.
    pub(super) fn new(
        setup: &Arc<Setup>,
        config: &Arc<BTreeMap<String, String>>,
        shared: &Arc<PluginContext>,
        role: InstanceRole,
        notes: &CallNotes,
    ) -> wasmtime::Result<Self> {
        let budget = Budget::new(setup.kind, &setup.name, &setup.limits);
        let output = Output::new(&budget);
        // Nothing is granted here: no files, no sockets, no environment, no arguments, no input.
        let mut wasi = WasiCtx::builder();
        wasi.stdout(output.clone())
            .stderr(output.clone())
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .max_random_size(MAX_RANDOM_BYTES);
        if role == InstanceRole::Handler {
            capabilities::open(setup, &mut wasi)?;
        }
        let mut table = ResourceTable::new();
        table.set_max_capacity(Budget::resources(&setup.limits));
        let call = CallContext {
            setup: Arc::clone(setup),
            shared: Arc::clone(shared),
            role,
            budget,
            op: String::new(),
            selection: None,
            notes: notes.clone(),
        };
        Ok(Self {
            contexts: InstanceContexts::new(&call),
            call,
            wasi: wasi.build(),
            table,
            quota: MemoryQuota::new(&setup.limits),
            output,
            config: Arc::clone(config),
            wasi_config: wasi_config(config),
            running: PausableClock::default(),
            places: None,
        })
    }

    /// Changes the values of the plugin's settings.
    pub(super) fn set_config(&mut self, config: &Arc<BTreeMap<String, String>>) {
        self.wasi_config = wasi_config(config);
        self.config = Arc::clone(config);
    }

    /// Prepares a call with the op of this id, in this namespace.
    pub(super) fn begin(&mut self, op: &str, namespace: &Arc<Namespace>) {
        self.call.op.clear();
        self.call.op.push_str(op);
        self.quota.exceeded = false;
        capabilities::begin(self, op, namespace);
    }
}

fn wasi_config(config: &BTreeMap<String, String>) -> WasiConfigVariables {
    config.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

impl CallContext {
    /// Records that the plugin tried something that it is not granted, and returns the sentence. `form` and `toml` are the two ways to write
    /// the grant. `part`: another part of the capability is granted.
    pub(super) fn not_granted(
        &self,
        what: &str,
        form: &str,
        toml: &str,
        part: Option<CapabilityId>,
    ) -> String {
        self.notes.blocked(not_granted(&self.setup.name, what, form, toml), part)
    }

    /// Fails while no op is handled: while the instance starts.
    ///
    /// # Errors
    /// The sentence for the plugin.
    pub(super) fn require_op(&self, capability: &str) -> Result<(), String> {
        match self.op.is_empty() {
            true => Err(format!("{capability} can be used in handle only")),
            false => Ok(()),
        }
    }

    pub(super) fn recorder(&self) -> Option<&Recorder> {
        self.shared.services.recorder.as_ref()
    }

    pub(super) fn effect(&self, capability: &'static str, what: Value) -> Effect {
        Effect { plugin: Arc::clone(&self.setup.name), op: self.op.clone(), capability, what }
    }

    /// Records an effect if effects are only recorded. Returns whether it did.
    pub(super) fn record(&self, capability: &'static str, what: impl FnOnce() -> Value) -> bool {
        match self.recorder() {
            Some(recorder) => {
                recorder.record(self.effect(capability, what()));
                true
            }
            None => false,
        }
    }
}

/// Returns the sentence about something that is not granted.
pub(super) fn not_granted(plugin: &str, what: &str, form: &str, toml: &str) -> String {
    format!("{what} is not granted to the plugin {plugin}{}", PluginRemedy::Grant { plugin, form, toml })
}

/// Returns the reply of `who`, within the time limit of one call: the epoch does not stop a call that waits outside of the plugin.
pub(super) fn timed<T>(
    setup: &Setup,
    who: &str,
    call: impl Future<Output = T>,
) -> impl Future<Output = Result<T, String>> {
    // On the heap: the futures of a driver are large, and the stack of an instance is small.
    let call = Box::pin(call);
    async move {
        let late = |_| format!("{who} did not answer within {}", setup.call_timeout_in_words());
        tokio::time::timeout(setup.limits.call_timeout, call).await.map_err(late)
    }
}

impl WasiView for InstanceState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}
