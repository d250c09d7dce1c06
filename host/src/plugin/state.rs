//! What the host keeps beside an instance: all that its imports can reach.

use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_config::WasiConfigVariables;

use super::bindings::types;
use super::capabilities::mail::Mailer;
use super::component::Plugin;
use super::limits::Quota;
use super::output::Output;

/// Random bytes given at once. They are made on the plugin's thread, where nothing interrupts it.
const RANDOM: u64 = 64 * 1024;

/// The host's side of one instance.
pub(super) struct State {
    /// Nothing is granted: no files, no sockets, no environment, no arguments, no input.
    wasi: WasiCtx,
    table: ResourceTable,
    pub(super) quota: Quota,
    pub(super) output: Output,
    pub(super) config: WasiConfigVariables,
    pub(super) plugin: Arc<str>,
    /// The id of the op in hand. Empty while the instance starts.
    pub(super) op: String,
    pub(super) mailer: Option<Mailer>,
    /// Mails sent for the op in hand, in this attempt.
    pub(super) mails: u32,
}

impl State {
    pub(super) fn new(plugin: &Plugin) -> Self {
        let output = Output::default();
        let wasi = WasiCtx::builder()
            .stdout(output.clone())
            .stderr(output.clone())
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .max_random_size(RANDOM)
            .build();
        Self {
            wasi,
            table: ResourceTable::new(),
            quota: Quota::new(&plugin.limits),
            output,
            config: plugin.config.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            plugin: Arc::clone(&plugin.name),
            op: String::new(),
            mailer: plugin.mailer.clone(),
            mails: 0,
        }
    }

    /// Gets ready for a call with the op of this id.
    pub(super) fn begin(&mut self, op: &str) {
        self.op.clear();
        self.op.push_str(op);
        self.quota.exceeded = false;
        self.mails = 0;
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl types::Host for State {}
