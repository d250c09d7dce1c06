//! Calls a plugin with wasmtime alone: without a log, limits, deadlines or handling of its outcome.

use std::path::Path;

use gtm_oplog::Op;
use wasmtime::component::{Component, HasSelf, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

/// The exports of a plugin, called without a fiber.
mod generated {
    wasmtime::component::bindgen!({
        path: "../wit/0.2",
        inline: "
            package gtm:bare;

            world bare {
                import gtm:plugin/config@0.2.0;
                import gtm:plugin/extended-json@0.2.0;
                export gtm:plugin/lifecycle@0.2.0;
                export gtm:plugin/filter@0.2.0;
                export gtm:plugin/handler@0.2.0;
            }
        ",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

/// The exports of a plugin, called in a fiber.
mod generated_async {
    wasmtime::component::bindgen!({
        path: "../wit/0.2",
        inline: "
            package gtm:bare;

            world bare-async {
                import gtm:plugin/extended-json@0.2.0;
                export gtm:plugin/lifecycle@0.2.0;
                export gtm:plugin/handler@0.2.0;
            }
        ",
        with: { "gtm:plugin/types": super::types },
        exports: { default: async },
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

use generated::Bare as BarePlugin;
use generated::gtm::plugin::config;
use generated_async::BareAsync as BareAsyncPlugin;

/// The types of the contract. The macro re-exports the module.
#[allow(unreachable_pub, reason = "the macro re-exports it as public")]
pub mod types {
    pub use super::generated::gtm::plugin::types::*;
}

/// The imports of the plugin: WASI, and settings without values.
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

impl config::Host for Host {
    fn get(&mut self, _: String) -> Option<String> {
        None
    }

    fn get_all(&mut self) -> Vec<(String, String)> {
        Vec::new()
    }
}

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

fn linked(linker: &mut Linker<Host>) {
    types::add_to_linker::<Host, HasSelf<Host>>(linker, |host| host).unwrap();
    config::add_to_linker::<Host, HasSelf<Host>>(linker, |host| host).unwrap();
}

/// Calls `filter`.
pub(crate) struct Bare {
    store: Store<Host>,
    plugin: BarePlugin,
}

impl Bare {
    pub(crate) fn new(path: &Path) -> Self {
        let (engine, component) = component(path);
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_sync(&mut linker).unwrap();
        let mut store = Host::store(&engine);
        linked(&mut linker);
        let plugin = BarePlugin::instantiate(&mut store, &component, &linker).unwrap();
        plugin.gtm_plugin_lifecycle().call_init(&mut store).unwrap().unwrap();
        Self { store, plugin }
    }

    pub(crate) fn filter(&mut self, op: &Op) -> bool {
        self.plugin.gtm_plugin_filter().call_filter(&mut self.store, lower(op)).unwrap()
    }
}

/// Calls `handle` in a fiber.
pub(crate) struct BareAsync {
    store: Store<Host>,
    plugin: BareAsyncPlugin,
}

impl BareAsync {
    pub(crate) async fn new(path: &Path) -> Self {
        let (engine, component) = component(path);
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
        let mut store = Host::store(&engine);
        linked(&mut linker);
        let plugin = BareAsyncPlugin::instantiate_async(&mut store, &component, &linker).await.unwrap();
        plugin.gtm_plugin_lifecycle().call_init(&mut store).await.unwrap().unwrap();
        Self { store, plugin }
    }

    pub(crate) async fn handle(&mut self, op: &Op) {
        self.plugin.gtm_plugin_handler().call_handle(&mut self.store, lower(op)).await.unwrap().unwrap();
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
