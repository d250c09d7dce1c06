//! Loads a component and checks it against the contract.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use semver::Version;
use sha2::{Digest, Sha256};
use wasmtime::Store;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre, Linker};

use super::bindings::{HostedPre, Subscription};
use super::call::{CallError, one_line};
use super::contract::{self, Fit};
use super::engine::Engine;
use super::limits::{Limits, ticks};
use super::linker;
use super::load_error::LoadError;
use super::state::State;
use super::{ContractOperationType, Mailer};

/// A plugin that was checked and can be called.
#[derive(Clone)]
pub struct Plugin {
    pub(super) name: Arc<str>,
    pub(super) limits: Limits,
    pub(super) config: Arc<BTreeMap<String, String>>,
    pub(super) mailer: Option<Mailer>,
    pub(super) filter: HostedPre<State>,
    pub(super) handler: HostedPre<State>,
    subscriptions: Vec<(String, Vec<ContractOperationType>)>,
    imports: Vec<String>,
    version: Arc<str>,
}

/// What is linked for every plugin, granted or not, beside the contract itself: WASI, with nothing
/// behind it that reaches out of the sandbox.
const WASI: [&str; 7] = [
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:config/",
    "wasi:filesystem/",
    "wasi:io/",
    "wasi:random/",
    "wasi:sockets/",
];
/// The interfaces of the contract.
const CONTRACT_INTERFACES: [&str; 4] =
    ["gtm:plugin/types@", "gtm:plugin/subscriptions@", "gtm:plugin/log@", "gtm:plugin/mail@"];

impl Plugin {
    /// Reads, checks and compiles the component at `path`; from the engine's cache, if it was
    /// compiled before.
    ///
    /// Calls `subscriptions` if the component has it, so it blocks as long as that may take.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(
        engine: &Engine,
        name: &str,
        path: &Path,
        limits: Limits,
        config: BTreeMap<String, String>,
        mailer: Option<Mailer>,
    ) -> Result<Self, LoadError> {
        let bytes = read(path)?;
        let component = Component::new(engine.wasmtime(), &bytes).map_err(|error| LoadError::Invalid {
            path: path.to_owned(),
            reason: one_line(&error.root_cause().to_string()),
        })?;
        let imports = check_imports(engine, &component, path)?;
        check_exports(engine, &component, path)?;

        let mismatch = |error: wasmtime::Error| LoadError::Mismatch {
            path: path.to_owned(),
            reason: format!("{error:#}"),
        };
        let linked = |linker: wasmtime::Result<Linker<State>>| {
            linker?.instantiate_pre(&component).and_then(HostedPre::new)
        };
        let mut plugin = Self {
            name: name.into(),
            limits,
            config: Arc::new(config),
            mailer,
            filter: linked(linker::for_filter(engine)).map_err(mismatch)?,
            handler: linked(linker::for_handler(engine)).map_err(mismatch)?,
            subscriptions: Vec::new(),
            imports,
            version: version(&bytes),
        };
        if component.get_export(None, "subscriptions").is_some() {
            plugin.subscriptions = plugin.ask_subscriptions(path)?;
        }
        Ok(plugin)
    }

    /// What it is called in logs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first twelve hexadecimal digits of the SHA-256 of the component: another file, another version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Patterns of namespaces, each with the operations wanted there; none means all. No pattern
    /// means everything.
    pub fn subscriptions(&self) -> &[(String, Vec<ContractOperationType>)] {
        &self.subscriptions
    }

    /// The interfaces that it asks for, each with its version: `wasi:cli/stdout@0.2.6`.
    pub fn imports(&self) -> &[String] {
        &self.imports
    }

    /// The contract that it was built against. None: it asks for nothing of it.
    pub fn contract(&self) -> Option<Version> {
        self.imports.iter().find_map(|import| contract::version(import))
    }

    fn ask_subscriptions(&self, path: &Path) -> Result<Vec<(String, Vec<ContractOperationType>)>, LoadError> {
        let mut store = self.store();
        store.set_epoch_deadline(ticks(self.limits.filter_timeout));
        let subscriptions = call_subscriptions(self.filter.instance_pre(), &mut store).map_err(|error| {
            let reason = CallError::new("subscriptions", &error, store.data(), self.limits.filter_timeout);
            LoadError::Subscriptions { path: path.to_owned(), reason }
        })?;
        Ok(subscriptions.into_iter().map(|one| (one.namespace, one.operation_types)).collect())
    }

    /// For one instance.
    pub(super) fn store(&self) -> Store<State> {
        let mut store = Store::new(self.filter.engine(), State::new(self));
        store.limiter(|state| &mut state.quota);
        store
    }
}

fn call_subscriptions(
    plugin: &InstancePre<State>,
    store: &mut Store<State>,
) -> wasmtime::Result<Vec<Subscription>> {
    let instance = plugin.instantiate(&mut *store)?;
    let function = instance.get_typed_func::<(), (Vec<Subscription>,)>(&mut *store, "subscriptions")?;
    let (subscriptions,) = function.call(store, ())?;
    Ok(subscriptions)
}

fn version(component: &[u8]) -> Arc<str> {
    Sha256::digest(component).iter().take(6).map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let path = || path.to_owned();
    let bytes = std::fs::read(path()).map_err(|reason| match reason.kind() {
        std::io::ErrorKind::NotFound => LoadError::Missing { path: path() },
        _ => LoadError::Unreadable { path: path(), reason },
    })?;
    // The magic number, then a version: 1 is a core module, 13 with layer 1 a component.
    match bytes.as_slice() {
        [] => Err(LoadError::Empty { path: path() }),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(LoadError::CoreModule { path: path() }),
        [0, b'a', b's', b'm', ..] => Ok(bytes),
        _ => Err(LoadError::NotWasm { path: path() }),
    }
}

/// Gives back what it asks for.
fn check_imports(engine: &Engine, component: &Component, path: &Path) -> Result<Vec<String>, LoadError> {
    let path = path.to_owned();
    let component_type = component.component_type();
    let imports: Vec<_> =
        component_type.imports(engine.wasmtime()).map(|(name, _)| name.to_owned()).collect();
    // The contract first: a newer one explains an import that is not known.
    for import in &imports {
        match contract::fit(import) {
            Fit::Same => {}
            Fit::Newer(built) => return Err(LoadError::NewerContract { path, built }),
            Fit::Older(built) => return Err(LoadError::OlderContract { path, built }),
        }
    }
    let known =
        |import: &String| WASI.iter().chain(&CONTRACT_INTERFACES).any(|known| import.starts_with(known));
    match imports.iter().find(|import| !known(import)) {
        Some(import) => Err(LoadError::UnknownImport { path, import: import.clone() }),
        None => Ok(imports),
    }
}

fn check_exports(engine: &Engine, component: &Component, path: &Path) -> Result<(), LoadError> {
    let component_type = component.component_type();
    let exports = |name: &str| {
        matches!(
            component_type.get_export(engine.wasmtime(), name).map(|export| export.ty),
            Some(ComponentItem::ComponentFunc(_))
        )
    };
    let missing = match (exports("filter"), exports("handle")) {
        (true, true) => return Ok(()),
        (false, true) => "filter",
        (true, false) => "handle",
        (false, false) => "filter and handle",
    };
    Err(LoadError::MissingExport { path: path.to_owned(), missing })
}
