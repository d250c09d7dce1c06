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

use super::bindings::{BatchFilterPre, HostedPre, Subscription};
use super::call::{CallError, guarded_now};
use super::capabilities::{ALWAYS, GRANTED, without_version};
use super::compiled::ComponentSource;
use super::contract::{self, Fit};
use super::digest::ComponentDigest;
use super::engine::Engine;
use super::features::{WASI_0_3, is_newer_wasi, is_wasi_0_1, unsupported};
use super::handle::{OnTrial, PluginContext};
use super::limits::{EXPRESSIONS, FILE, Limits, PATTERN, SUBSCRIPTIONS, ticks};
use super::load_error::LoadError;
use super::obstacle::Notes;
use super::pool::{self, Pool, Taken};
use super::services::Services;
use super::setup::{PluginSetup, Setup};
use super::stamp::Stamp;
use super::state::{InstanceRole, InstanceState};
use super::swap_from::SwapFrom;
use super::{ContractOperationType, linker};

/// One version of a plugin, which was checked and can be called. Clones are of the same version.
#[derive(Clone)]
pub struct Plugin {
    engine: Engine,
    pub(super) setup: Arc<Setup>,
    pub(super) filter: HostedPre<InstanceState>,
    pub(super) handler: HostedPre<InstanceState>,
    pub(super) on_trial: OnTrial,
    about: Arc<About>,
}

/// What a component says of itself.
struct About {
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
    /// Places that an instance of it takes.
    places: usize,
}

/// What every plugin can import, granted or not, beside the contract itself: WASI, with nothing
/// behind it that reaches out of the sandbox without a grant.
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
/// The interfaces of the contract that have types only, beside those of the capabilities.
const TYPES: [&str; 2] = ["gtm:plugin/subscriptions", "gtm:plugin/types"];

impl Plugin {
    /// Reads, checks and compiles the component at `path`; from the engine's cache, if it was
    /// compiled before.
    ///
    /// Calls `subscriptions` if the component has it, so it blocks as long as that may take.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(engine: &Engine, path: &Path, setup: &PluginSetup) -> Result<Self, LoadError> {
        let setup = Arc::new(Setup::new(setup)?);
        Self::load_with(engine, open(path)?, path, setup)
    }

    /// Loads the plugin from another file, or again from the same one; set up as this one.
    ///
    /// It is started once, so that one that cannot start is no successor. That blocks as long as it may take.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn successor(&self, path: &Path) -> Result<Self, LoadError> {
        self.succeeded_by(open(path)?, path)
    }

    /// Does the same with a file that somebody names who may take one from these directories only.
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
        let about = About {
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
        let (engine, about) = (engine.clone(), Arc::new(about));
        Ok(Self { engine, setup, filter, handler, on_trial: OnTrial::default(), about })
    }

    /// Returns its name, as in logs.
    pub fn name(&self) -> &str {
        &self.setup.name
    }

    /// Returns the name of the file that it was loaded from, without the ending.
    pub fn stem(&self) -> &str {
        &self.about.stem
    }

    /// Returns the version that its author gave it, if the component says it, and the first twelve hexadecimal digits of the SHA-256 of the
    /// component: `1.2.3+0a1b2c3d4e5f`. Another file, another version.
    pub fn version(&self) -> &str {
        &self.about.version
    }

    /// Returns the digest of the component.
    pub fn digest(&self) -> &ComponentDigest {
        &self.about.digest
    }

    /// Patterns of namespaces, each with the operations wanted there; none means all. No pattern
    /// means everything.
    pub fn subscriptions(&self) -> &[(String, Vec<ContractOperationType>)] {
        &self.about.subscriptions
    }

    /// Returns what it subscribes to.
    pub fn selection(&self) -> &Selection {
        &self.about.selection
    }

    pub(super) fn shared_selection(&self) -> Arc<Selection> {
        Arc::clone(&self.about.selection)
    }

    /// Returns the interfaces that it asks for, each with its version: `wasi:cli/stdout@0.2.6`.
    pub fn imports(&self) -> &[String] {
        &self.about.imports
    }

    /// Returns the contract that it was built against. None: it asks for nothing of it.
    pub fn contract(&self) -> Option<&Version> {
        self.about.contract.as_ref()
    }

    /// Returns whether it handles several ops per call.
    pub fn handles_batches(&self) -> bool {
        self.about.handles_batches
    }

    /// Returns whether it filters several ops per call.
    pub(super) fn filters_batches(&self) -> bool {
        self.about.filters_batches
    }

    /// Places that an instance of it takes, and where they are.
    pub(super) fn places(&self) -> (usize, &Pool) {
        (self.about.places, self.engine.pool())
    }

    /// Takes the places of an instance for this call.
    pub(super) fn take_places(&self, call: &'static str) -> Result<Taken, CallError> {
        self.engine.pool().take(self.about.places).ok_or(CallError::Busy { call })
    }

    pub(super) fn limits(&self) -> Limits {
        self.setup.limits
    }

    fn try_start(&self, path: &Path) -> Result<(), LoadError> {
        let _tried = self.engine.trial();
        // A filter's instance starts as a handler's does, and needs nobody to wait for it.
        let started = || {
            let mut store = store(
                &self.filter,
                &self.setup,
                &Arc::new(PluginContext::new(&self.setup.name, Services::default())),
                InstanceRole::Filter,
                &Notes::default(),
            )?;
            store.set_epoch_deadline(ticks(self.setup.limits.filter_timeout));
            at_once(self.filter.instantiate_async(&mut store)).map(drop).map_err(|error| {
                CallError::new("the start", &error, store.data(), self.setup.limits.filter_timeout)
            })
        };
        guarded_now("the start", started).map_err(|reason| LoadError::Start { path: path.to_owned(), reason })
    }
}

/// For one instance.
pub(super) fn store(
    of: &HostedPre<InstanceState>,
    setup: &Arc<Setup>,
    shared: &Arc<PluginContext>,
    role: InstanceRole,
    notes: &Notes,
) -> Result<Store<InstanceState>, CallError> {
    let state = InstanceState::new(setup, shared, role, notes).map_err(|error| CallError::Trapped {
        call: "the start",
        reason: format!("a directory that is granted cannot be opened: {error:#}"),
    })?;
    let mut store = Store::new(of.engine(), state);
    store.limiter(|state| &mut state.quota);
    bound_arguments(&mut store.as_context_mut());
    Ok(store)
}

/// Bounds what the instance can hand to the host, in a call or as its answer, by what its account has left.
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
            &Notes::default(),
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
    let instance = at_once(plugin.instantiate_async(&mut *store))?;
    let function = instance.get_typed_func::<(), (Vec<Subscription>,)>(&mut *store, "subscriptions")?;
    let (subscriptions,) = at_once(function.call_async(store, ()))?;
    Ok(subscriptions)
}

/// Runs a call of an instance for filters, which has nothing to wait for.
fn at_once<T>(call: impl Future<Output = wasmtime::Result<T>>) -> wasmtime::Result<T> {
    call.now_or_never().unwrap_or_else(|| Err(wasmtime::Error::msg("it waited for something")))
}

fn selection(
    subscriptions: &[(String, Vec<ContractOperationType>)],
    path: &Path,
) -> Result<Selection, LoadError> {
    if subscriptions.is_empty() {
        return Ok(Selection::everything());
    }
    if subscriptions.len() > SUBSCRIPTIONS {
        return Err(LoadError::ManySubscriptions { path: path.to_owned(), count: subscriptions.len() });
    }
    let length = subscriptions.iter().map(|(namespace, _)| namespace.len()).max().unwrap_or_default();
    if length > PATTERN {
        return Err(LoadError::LongSubscription { path: path.to_owned(), length });
    }
    let expressions = subscriptions.iter().filter(|(namespace, _)| namespace.starts_with('/')).count();
    if expressions > EXPRESSIONS {
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
    // To open a pipe must not wait for who writes into it; and what is looked at is what is read.
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
    if metadata.len() > FILE {
        return Err(LoadError::TooLarge { path: path() });
    }
    let mut bytes = Vec::new();
    // It may grow.
    file.take(FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE) {
        return Err(LoadError::TooLarge { path: path() });
    }
    // The magic number, then a version: 1 is a core module, 13 with layer 1 a component.
    match bytes.as_slice() {
        [] => Err(LoadError::Empty { path: path() }),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(match unsupported(&bytes) {
            // To make a component of it would not help.
            Some(what) => LoadError::Unsupported { path: path(), what },
            None if is_wasi_0_1(&bytes) => LoadError::Wasi01 { path: path() },
            None => LoadError::CoreModule { path: path() },
        }),
        [0, b'a', b's', b'm', ..] => Ok(bytes),
        _ => Err(LoadError::NotWasm { path: path() }),
    }
}

/// Checks the imports of a component, and returns them.
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
    // The contract first: a newer one explains an import that is not known.
    let versions = imports.iter().filter_map(|import| contract::version(import));
    for version in stamp.contract.clone().into_iter().chain(versions) {
        match contract::fit(version) {
            Fit::Same => {}
            Fit::Newer(built) => return Err(LoadError::NewerContract { path, built }),
            Fit::Older(built) => return Err(LoadError::OlderContract { path, built }),
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
