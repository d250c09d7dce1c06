//! Calls a plugin with wasmtime alone: without a log, limits, deadlines or handling of its outcome.

use std::path::Path;

use gtm_oplog::Op;
use wasmtime::component::{Component, HasSelf, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

mod generated {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "gtm:plugin/plugin",
        exports: { "handle": async },
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

use generated::gtm::plugin::types;
use generated::{Plugin, PluginPre};

/// The imports of the plugin: WASI.
pub(crate) struct Host {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl types::Host for Host {}

impl Host {
    fn store(engine: &Engine) -> Store<Self> {
        Store::new(engine, Self { wasi: WasiCtx::builder().build(), table: ResourceTable::new() })
    }
}

fn component(path: &Path) -> (Engine, Component) {
    let engine = Engine::new(&Config::new()).unwrap();
    let component = Component::from_file(&engine, path).unwrap();
    (engine, component)
}

fn linked(mut linker: Linker<Host>, component: &Component) -> PluginPre<Host> {
    types::add_to_linker::<Host, HasSelf<Host>>(&mut linker, |host| host).unwrap();
    linker.instance("gtm:plugin/subscriptions@0.1.0").unwrap();
    PluginPre::new(linker.instantiate_pre(component).unwrap()).unwrap()
}

/// Calls `filter`.
pub(crate) struct Bare {
    store: Store<Host>,
    plugin: Plugin,
}

impl Bare {
    pub(crate) fn new(path: &Path) -> Self {
        let (engine, component) = component(path);
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_sync(&mut linker).unwrap();
        let mut store = Host::store(&engine);
        let plugin = linked(linker, &component).instantiate(&mut store).unwrap();
        Self { store, plugin }
    }

    pub(crate) fn filter(&mut self, op: &Op) -> bool {
        self.plugin.call_filter(&mut self.store, lower(op)).unwrap()
    }
}

/// Calls `handle` in a fiber.
pub(crate) struct BareAsync {
    store: Store<Host>,
    plugin: Plugin,
}

impl BareAsync {
    pub(crate) async fn new(path: &Path) -> Self {
        let (engine, component) = component(path);
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
        let mut store = Host::store(&engine);
        let plugin = linked(linker, &component).instantiate_async(&mut store).await.unwrap();
        Self { store, plugin }
    }

    pub(crate) async fn handle(&mut self, op: &Op) {
        self.plugin.call_handle(&mut self.store, lower(op)).await.unwrap().unwrap();
    }
}

fn lower(op: &Op) -> types::Op<'_> {
    types::Op {
        id: "1700000000.1.0",
        operation_type: types::OperationType::Insert,
        database: &op.namespace.database,
        collection: &op.namespace.collection,
        timestamp: types::Timestamp { time: op.timestamp.time, increment: op.timestamp.increment },
        wall_time: op.wall_time,
        document_key: op.document_key.as_deref(),
        full_document: op.full_document.as_deref(),
        full_document_before_change: None,
        update_description: None,
        command: None,
        transaction: None,
        origin: types::Origin::Oplog,
        attempt: 1,
    }
}
