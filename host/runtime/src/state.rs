//! What the host keeps beside an instance: all that its imports can reach.

use std::sync::Arc;

use gtm_oplog::{Namespace, Selection};
use serde_json::Value;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::filesystem::FsPerms;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_config::WasiConfigVariables;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::bindings::types;
use super::budget::{Budget, Charge};
use super::capabilities::http::{self, FIELDS, Hooks};
use super::clock::PausableClock;
use super::handle::PluginContext;
use super::limits::Quota;
use super::obstacle::{Notes, PartialCapability};
use super::output::Output;
use super::pool::Taken;
use super::services::{Effect, Recorder};
use super::setup::Setup;

/// Random bytes given at once. They are made on the plugin's thread, where nothing interrupts it.
const RANDOM: u64 = 64 * 1024;

/// What an instance is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InstanceRole {
    /// It answers, and has no effect on anything.
    Filter,
    /// It does what the plugin is granted.
    Handler,
}

/// The host's side of one instance.
pub(super) struct InstanceState {
    pub(super) setup: Arc<Setup>,
    pub(super) shared: Arc<PluginContext>,
    pub(super) role: InstanceRole,
    wasi: WasiCtx,
    table: ResourceTable,
    http: WasiHttpCtx,
    hooks: Hooks,
    pub(super) quota: Quota,
    /// What the host keeps for it.
    pub(super) budget: Budget,
    /// For the headers that it had when it last made some, by `wasi:http`.
    pub(super) headers: Charge,
    pub(super) output: Output,
    pub(super) config: WasiConfigVariables,
    /// The id of the op in hand. Empty while the instance starts.
    pub(super) op: String,
    /// Where that op is, if the plugin may write somewhere.
    pub(super) namespace: Option<Arc<Namespace>>,
    /// What the plugin subscribes to, where that is known.
    pub(super) selection: Option<Arc<Selection>>,
    /// Mails sent for the op in hand, in this attempt.
    pub(super) mails: u32,
    /// For how long a filter has run in the call in hand.
    pub(super) running: PausableClock,
    /// What was in the way of the call in hand.
    pub(super) notes: Notes,
    /// The places of the instance. None: a plugin is tried by it.
    pub(super) places: Option<Taken>,
}

impl InstanceState {
    /// # Errors
    /// A directory that is granted cannot be opened.
    pub(super) fn new(
        setup: &Arc<Setup>,
        shared: &Arc<PluginContext>,
        role: InstanceRole,
    ) -> wasmtime::Result<Self> {
        let budget = Budget::new(&setup.name, &setup.limits);
        let output = Output::new(&budget);
        // Nothing is granted here: no files, no sockets, no environment, no arguments, no input.
        let mut wasi = WasiCtx::builder();
        wasi.stdout(output.clone())
            .stderr(output.clone())
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .max_random_size(RANDOM);
        if role == InstanceRole::Handler {
            wasi.envs(&setup.env);
            for dir in &setup.grants.dirs {
                let access = if dir.write { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
                wasi.preopened_dir(&dir.host, &dir.guest, access)?;
            }
        }
        let mut http_context = WasiHttpCtx::new();
        http_context.set_field_size_limit(FIELDS);
        let mut table = ResourceTable::new();
        table.set_max_capacity(Budget::resources(&setup.limits));
        Ok(Self {
            setup: Arc::clone(setup),
            shared: Arc::clone(shared),
            role,
            wasi: wasi.build(),
            table,
            http: http_context,
            hooks: Hooks::new(setup, shared, role, &budget),
            quota: Quota::new(&setup.limits),
            headers: budget.nothing(),
            budget,
            output,
            config: setup.config.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            op: String::new(),
            namespace: None,
            selection: None,
            mails: 0,
            running: PausableClock::default(),
            notes: Notes::default(),
            places: None,
        })
    }

    /// Has what is in the way of a call noted there.
    pub(super) fn note_in(&mut self, notes: &Notes) {
        self.notes = notes.clone();
        self.hooks.note_in(notes);
    }

    /// Gets ready for a call with the op of this id, in this namespace.
    pub(super) fn begin(&mut self, op: &str, namespace: &Arc<Namespace>) {
        self.op.clear();
        self.op.push_str(op);
        if !self.setup.grants.mongodb.write.is_empty() {
            self.namespace = Some(Arc::clone(namespace));
        }
        self.quota.exceeded = false;
        self.mails = 0;
        self.hooks.begin(op);
        if !self.setup.grants.http.is_empty() {
            // What it dropped is returned. It has nothing that was not charged when it was made.
            let _ = http::charge_sets(self, 0);
        }
    }

    /// Notes that the plugin tried what it may not, and gives back the sentence: what it is, and how it is granted on the command
    /// line and in a settings file. `part`: something else of that kind is granted.
    pub(super) fn not_granted(
        &self,
        what: &str,
        said: &str,
        written: &str,
        part: Option<PartialCapability>,
    ) -> String {
        self.notes.blocked(how_to_grant(&self.setup.name, what, said, written), part)
    }

    pub(super) fn recorder(&self) -> Option<&Recorder> {
        self.shared.services.recorder.as_ref()
    }

    pub(super) fn effect(&self, capability: &'static str, what: Value) -> Effect {
        Effect { plugin: Arc::clone(&self.setup.name), op: self.op.clone(), capability, what }
    }

    /// Takes down an effect, where effects are taken down and not done. Gives back whether it was.
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

/// What is not granted, and how it is granted.
pub(super) fn how_to_grant(plugin: &str, what: &str, said: &str, written: &str) -> String {
    format!(
        "{what} is not granted to the plugin {plugin}: say --grant {plugin}:{said}, or [plugins.{plugin}.grants] {written} in gtm.toml"
    )
}

/// What `who` answers within the time of one call; an epoch does not stop what waits outside of the plugin.
pub(super) async fn timed<T>(setup: &Setup, who: &str, call: impl Future<Output = T>) -> Result<T, String> {
    let late = |_| format!("{who} did not answer within {}", setup.call_timeout_in_words());
    tokio::time::timeout(setup.limits.call_timeout, call).await.map_err(late)
}

impl WasiView for InstanceState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for InstanceState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.hooks }
    }
}

impl types::Host for InstanceState {}
