//! Loads a component and checks it against the contract.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use futures_util::FutureExt;
use gtm_oplog::{OperationType, Selection};
use rustix::fs::{Mode, OFlags};
use semver::Version;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre};
use wasmtime::{AsContextMut, Store, StoreContextMut};

use super::abi::v0_1::{BatchFilterPre, HostedPre, Subscription};
use super::call::{CallError, guarded_now};
use super::capabilities::{ALWAYS, GRANTED, without_version};
use super::compiled::ComponentSource;
use super::contract::{self, ContractFit};
use super::digest::ComponentDigest;
use super::engine::Engine;
use super::features::{WASI_0_3, is_newer_wasi, is_wasi_0_1, unsupported};
use super::handle::{OnTrial, PluginContext};
use super::limits::{Limits, MAX_EXPRESSIONS, MAX_FILE_BYTES, MAX_PATTERN_BYTES, MAX_SUBSCRIPTIONS, ticks};
use super::load_error::LoadError;
use super::obstacle::CallNotes;
use super::pool::{self, HeldPlaces, Pool};
use super::services::Services;
use super::setup::{PluginSetup, Setup};
use super::stamp::Stamp;
use super::state::{InstanceRole, InstanceState};
use super::swap_from::SwapFrom;
use super::{ContractOperationType, linker};

/// One version of a plugin that was checked and can be called. Clones share it.
#[derive(Clone)]
pub struct Plugin {
    engine: Engine,
    pub(super) setup: Arc<Setup>,
    pub(super) filter: HostedPre<InstanceState>,
    pub(super) handler: HostedPre<InstanceState>,
    pub(super) on_trial: OnTrial,
    info: Arc<ComponentInfo>,
}

/// The properties of a component.
struct ComponentInfo {
    /// The name of the file that it was loaded from, without the ending.
    stem: String,
    subscriptions: Vec<(String, Vec<ContractOperationType>)>,
    selection: Arc<Selection>,
    imports: Vec<String>,
    contract: Option<Version>,
    version: String,
    digest: ComponentDigest,
    handles_batches: bool,
    filters_batches: bool,
    /// The places that an instance takes.
    places: usize,
}

/// The interfaces that every plugin can import in addition to the contract: WASI, which reaches nothing outside of the sandbox without
/// a grant.
const WASI: &[&str] = &[
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:config/",
    "wasi:filesystem/",
    #[cfg(feature = "http")]
    "wasi:http/",
    "wasi:io/",
    "wasi:random/",
    "wasi:sockets/",
];
/// The interfaces of the contract that have only types.
const TYPES: [&str; 2] = ["gtm:plugin/subscriptions", "gtm:plugin/types"];

impl Plugin {
    /// Reads and checks the component at `path`, and compiles it unless the engine's cache has it.
    ///
    /// It calls `subscriptions` if the component exports it, and blocks for as long.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(engine: &Engine, path: &Path, setup: &PluginSetup) -> Result<Self, LoadError> {
        let setup = Arc::new(Setup::new(setup)?);
        Self::load_with(engine, open(path)?, path, setup)
    }

    /// Loads another version of the plugin from a file, with the same setup.
    ///
    /// It starts the new version once, so that a version that cannot start is refused, and blocks for as long.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn successor(&self, path: &Path) -> Result<Self, LoadError> {
        self.succeeded_by(open(path)?, path)
    }

    /// Does the same with a file that must be in one of these directories.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn successor_from(&self, path: &Path, from: &SwapFrom) -> Result<Self, LoadError> {
        self.succeeded_by(from.open(self.name(), path)?, path)
    }

    fn succeeded_by(&self, file: File, path: &Path) -> Result<Self, LoadError> {
        let successor = Self::load_with(&self.engine, file, path, Arc::clone(&self.setup))?;
        successor.try_start(path)?;
        Ok(successor)
    }

    fn load_with(engine: &Engine, file: File, path: &Path, setup: Arc<Setup>) -> Result<Self, LoadError> {
        let bytes = read(file, path)?;
        let digest = ComponentDigest::of(&bytes);
        if let Some(pinned) = setup.sha256.as_ref().filter(|pinned| **pinned != digest) {
            let (name, pinned) = (setup.name.to_string(), pinned.clone());
            return Err(LoadError::Pinned { name, path: path.to_owned(), pinned, found: digest });
        }
        let source = ComponentSource { plugin: &setup.name, path, bytes: &bytes, digest: digest.as_str() };
        let component = engine.compiled().load(engine.wasmtime(), &source)?;
        let stamp = Stamp::read(&bytes);
        let imports = check_imports(engine, &component, &stamp, path)?;
        check_exports(engine, &component, path)?;

        let mismatch = |error: wasmtime::Error| LoadError::Mismatch {
            path: path.to_owned(),
            reason: format!("{error:#}"),
        };
        let linked = |role| {
            let linker = linker::link(engine, &component, &setup, role)?;
            linker.instantiate_pre(&component).and_then(HostedPre::new)
        };
        let (filter, handler) = (
            linked(InstanceRole::Filter).map_err(mismatch)?,
            linked(InstanceRole::Handler).map_err(mismatch)?,
        );
        let handles_batches = component.get_export(None, "handle-batch").is_some();
        let filters_batches = component.get_export(None, "filter-batch").is_some();
        let places = pool::of(&component);
        if filters_batches {
            BatchFilterPre::new(filter.instance_pre().clone()).map_err(mismatch)?;
        }
        let subscriptions = match component.get_export(None, "subscriptions") {
            Some(_) => {
                let _tried = engine.trial();
                ask_subscriptions(&filter, &setup, path)?
            }
            None => Vec::new(),
        };
        let short = digest.as_str().get(..12).unwrap_or_default().to_owned();
        let info = ComponentInfo {
            stem: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            selection: Arc::new(selection(&subscriptions, path)?),
            subscriptions,
            contract: stamp.contract.or_else(|| imports.iter().find_map(|import| contract::version(import))),
            imports,
            version: stamp.version.map_or(short.clone(), |version| format!("{version}+{short}")),
            digest,
            handles_batches,
            filters_batches,
            places,
        };
        let (engine, info) = (engine.clone(), Arc::new(info));
        Ok(Self { engine, setup, filter, handler, on_trial: OnTrial::default(), info })
    }

    /// Returns the name of the plugin.
    pub fn name(&self) -> &str {
        &self.setup.name
    }

    /// Returns the name of the file that it was loaded from, without the ending.
    pub fn stem(&self) -> &str {
        &self.info.stem
    }

    /// Returns the author's version, if the component has it, and the first twelve hexadecimal digits of the SHA-256 of the component:
    /// `1.2.3+0a1b2c3d4e5f`. Each file has a version of its own.
    pub fn version(&self) -> &str {
        &self.info.version
    }

    /// Returns the digest of the component.
    pub fn digest(&self) -> &ComponentDigest {
        &self.info.digest
    }

    /// Returns the patterns of namespaces that it subscribes to, each with the operations there (none: all). Without a pattern, it
    /// subscribes to everything.
    pub fn subscriptions(&self) -> &[(String, Vec<ContractOperationType>)] {
        &self.info.subscriptions
    }

    /// Returns its subscriptions as a selection.
    pub fn selection(&self) -> &Selection {
        &self.info.selection
    }

    pub(super) fn shared_selection(&self) -> Arc<Selection> {
        Arc::clone(&self.info.selection)
    }

    /// Returns the interfaces that it imports, with their versions: `wasi:cli/stdout@0.2.6`.
    pub fn imports(&self) -> &[String] {
        &self.info.imports
    }

    /// Returns the version of the contract that it was built against. None: it imports nothing of the contract.
    pub fn contract(&self) -> Option<&Version> {
        self.info.contract.as_ref()
    }

    /// Returns whether it handles several ops per call.
    pub fn handles_batches(&self) -> bool {
        self.info.handles_batches
    }

    /// Returns whether it filters several ops per call.
    pub(super) fn filters_batches(&self) -> bool {
        self.info.filters_batches
    }

    /// Returns how many places an instance takes, and the pool that has them.
    pub(super) fn places(&self) -> (usize, &Pool) {
        (self.info.places, self.engine.pool())
    }

    /// Takes the places of an instance for this call.
    pub(super) fn take_places(&self, call: &'static str) -> Result<HeldPlaces, CallError> {
        self.engine.pool().take(self.info.places).ok_or(CallError::Busy { call })
    }

    pub(super) fn limits(&self) -> Limits {
        self.setup.limits
    }

    fn try_start(&self, path: &Path) -> Result<(), LoadError> {
        let _tried = self.engine.trial();
        // An instance for filters starts as one for handle does, without waiting.
        let started = || {
            let mut store = store(
                &self.filter,
                &self.setup,
                &Arc::new(PluginContext::new(&self.setup.name, Services::default())),
                InstanceRole::Filter,
                &CallNotes::default(),
            )?;
            store.set_epoch_deadline(ticks(self.setup.limits.filter_timeout));
            run_now(self.filter.instantiate_async(&mut store)).map(drop).map_err(|error| {
                CallError::new("the start", &error, store.data(), self.setup.limits.filter_timeout)
            })
        };
        guarded_now("the start", started).map_err(|reason| LoadError::Start { path: path.to_owned(), reason })
    }
}

/// Makes the store of one instance.
pub(super) fn store(
    of: &HostedPre<InstanceState>,
    setup: &Arc<Setup>,
    shared: &Arc<PluginContext>,
    role: InstanceRole,
    notes: &CallNotes,
) -> Result<Store<InstanceState>, CallError> {
    let state = InstanceState::new(setup, shared, role, notes).map_err(|error| CallError::Trapped {
        call: "the start",
        reason: format!("a granted directory cannot be opened: {error:#}"),
    })?;
    let mut store = Store::new(of.engine(), state);
    store.limiter(|state| &mut state.quota);
    bound_arguments(&mut store.as_context_mut());
    Ok(store)
}

/// Bounds what the instance can pass to the host, in a call or as its answer, by the rest of its budget.
pub(super) fn bound_arguments(store: &mut StoreContextMut<'_, InstanceState>) {
    let left = store.data().call.budget.left();
    store.set_hostcall_fuel(left);
}

fn ask_subscriptions(
    plugin: &HostedPre<InstanceState>,
    setup: &Arc<Setup>,
    path: &Path,
) -> Result<Vec<(String, Vec<ContractOperationType>)>, LoadError> {
    let limit = setup.limits.filter_timeout;
    let ask = || {
        let mut store = store(
            plugin,
            setup,
            &Arc::new(PluginContext::new(&setup.name, Services::default())),
            InstanceRole::Filter,
            &CallNotes::default(),
        )?;
        store.set_epoch_deadline(ticks(limit));
        call_subscriptions(plugin.instance_pre(), &mut store)
            .map_err(|error| CallError::new("subscriptions", &error, store.data(), limit))
    };
    let subscriptions = guarded_now("subscriptions", ask)
        .map_err(|reason| LoadError::Subscriptions { path: path.to_owned(), reason })?;
    Ok(subscriptions.into_iter().map(|one| (one.namespace, one.operation_types)).collect())
}

fn call_subscriptions(
    plugin: &InstancePre<InstanceState>,
    store: &mut Store<InstanceState>,
) -> wasmtime::Result<Vec<Subscription>> {
    let instance = run_now(plugin.instantiate_async(&mut *store))?;
    let function = instance.get_typed_func::<(), (Vec<Subscription>,)>(&mut *store, "subscriptions")?;
    let (subscriptions,) = run_now(function.call_async(store, ()))?;
    Ok(subscriptions)
}

/// Runs a call of an instance for filters, which never waits.
fn run_now<T>(call: impl Future<Output = wasmtime::Result<T>>) -> wasmtime::Result<T> {
    call.now_or_never().unwrap_or_else(|| Err(wasmtime::Error::msg("it tried to wait")))
}

fn selection(
    subscriptions: &[(String, Vec<ContractOperationType>)],
    path: &Path,
) -> Result<Selection, LoadError> {
    if subscriptions.is_empty() {
        return Ok(Selection::everything());
    }
    if subscriptions.len() > MAX_SUBSCRIPTIONS {
        return Err(LoadError::ManySubscriptions { path: path.to_owned(), count: subscriptions.len() });
    }
    let length = subscriptions.iter().map(|(namespace, _)| namespace.len()).max().unwrap_or_default();
    if length > MAX_PATTERN_BYTES {
        return Err(LoadError::LongSubscription { path: path.to_owned(), length });
    }
    let expressions = subscriptions.iter().filter(|(namespace, _)| namespace.starts_with('/')).count();
    if expressions > MAX_EXPRESSIONS {
        return Err(LoadError::ManyExpressions { path: path.to_owned(), count: expressions });
    }
    let mut selection = Selection::default();
    for (namespace, operations) in subscriptions {
        let operations: Vec<_> = operations.iter().copied().map(OperationType::from).collect();
        selection.add(namespace, &operations).map_err(|reason| LoadError::Subscription {
            path: path.to_owned(),
            namespace: namespace.clone(),
            reason,
        })?;
    }
    Ok(selection)
}

fn open(path: &Path) -> Result<File, LoadError> {
    // Opening a pipe must not wait for a writer; and the file that is checked must be the one that is read.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty()).map_err(std::io::Error::from);
    opened.map(File::from).map_err(|reason| match reason.kind() {
        std::io::ErrorKind::NotFound => LoadError::Missing { path: path.to_owned() },
        _ => LoadError::Unreadable { path: path.to_owned(), reason },
    })
}

fn read(file: File, path: &Path) -> Result<Vec<u8>, LoadError> {
    let path = || path.to_owned();
    let failed = |reason: std::io::Error| LoadError::Unreadable { path: path(), reason };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(LoadError::NoFile { path: path() });
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(LoadError::TooLarge { path: path() });
    }
    let mut bytes = Vec::new();
    // The file may grow.
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_FILE_BYTES) {
        return Err(LoadError::TooLarge { path: path() });
    }
    // The magic number, then a version: 1 is a core module, 13 with layer 1 a component.
    match bytes.as_slice() {
        [] => Err(LoadError::Empty { path: path() }),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(match unsupported(&bytes) {
            // Converting it into a component would not help.
            Some(what) => LoadError::Unsupported { path: path(), what },
            None if is_wasi_0_1(&bytes) => LoadError::Wasi01 { path: path() },
            None => LoadError::CoreModule { path: path() },
        }),
        [0, b'a', b's', b'm', ..] => Ok(bytes),
        _ => Err(LoadError::NotWasm { path: path() }),
    }
}

/// Checks the imports of a component and returns them.
fn check_imports(
    engine: &Engine,
    component: &Component,
    stamp: &Stamp,
    path: &Path,
) -> Result<Vec<String>, LoadError> {
    let path = path.to_owned();
    let component_type = component.component_type();
    let imports: Vec<_> =
        component_type.imports(engine.wasmtime()).map(|(name, _)| name.to_owned()).collect();
    // The contract first: a newer one explains an unknown import.
    let versions = imports.iter().filter_map(|import| contract::version(import));
    for version in stamp.contract.clone().into_iter().chain(versions) {
        match contract::fit(version) {
            ContractFit::Same => {}
            ContractFit::Newer(built) => return Err(LoadError::NewerContract { path, built }),
            ContractFit::Older(built) => return Err(LoadError::OlderContract { path, built }),
        }
    }
    if imports.iter().any(|import| is_newer_wasi(import)) {
        return Err(LoadError::Unsupported { path, what: WASI_0_3 });
    }
    let capabilities = ALWAYS.iter().map(|capability| capability.imports);
    let capabilities = capabilities.chain(GRANTED.iter().map(|capability| capability.imports));
    let contract: Vec<_> = capabilities.flatten().copied().chain(TYPES).collect();
    let known = |import: &str| {
        WASI.iter().any(|known| import.starts_with(known)) || contract.contains(&without_version(import))
    };
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
