//! Loads a component and checks it against the contract.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use gtm_oplog::{OperationType, Selection};
use semver::Version;
use wasmtime::component::InstancePre;
use wasmtime::{AsContextMut, Store, StoreContextMut};

use super::abi::{ExportIndices, Subscription};
use super::beginning::{Beginning, FoundComponent, selection};
use super::call::CallError;
use super::compiled::ComponentSource;
use super::component_file::{check_imports, open, read};
use super::component_path::ComponentPath;
use super::contract;
use super::digest::ComponentDigest;
use super::engine::Engine;
use super::handle::{OnTrial, PluginContext};
use super::limits::Limits;
use super::linker;
use super::load_error::LoadError;
use super::obstacle::CallNotes;
use super::pool::{self, HeldPlaces, Pool};
use super::setting::DeclaredSetting;
use super::setup::{ComponentKind, PluginSetup, Setup};
use super::stamp::Stamp;
use super::state::{InstanceRole, InstanceState};
use super::swap_from::SwapFrom;
use super::timer::Timer;

/// One version of a plugin that was checked and can be called. Clones share it.
#[derive(Clone)]
pub struct Plugin {
    engine: Engine,
    pub(super) setup: Arc<Setup>,
    pub(super) filter: InstancePre<InstanceState>,
    pub(super) handler: InstancePre<InstanceState>,
    pub(super) on_trial: OnTrial,
    info: Arc<ComponentInfo>,
}

/// The properties of a component.
struct ComponentInfo {
    /// The name of the file that it was loaded from, without the ending.
    stem: String,
    exports: ExportIndices,
    settings: Option<Vec<DeclaredSetting>>,
    /// The values of its settings, with the defaults.
    config: Arc<BTreeMap<String, String>>,
    subscriptions: Vec<Subscription>,
    selection: Arc<Selection>,
    timers: Vec<Timer>,
    imports: Vec<String>,
    contract: Option<Version>,
    version: String,
    digest: ComponentDigest,
    /// The places that an instance takes.
    places: usize,
}

impl Plugin {
    /// Reads and checks the component at `path`, and compiles it unless the engine's cache has it.
    ///
    /// It asks the plugin for its settings and subscriptions, if it has any. It blocks for as long.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(engine: &Engine, path: &Path, setup: &PluginSetup) -> Result<Self, LoadError> {
        let setup = Arc::new(Setup::new(setup)?);
        let component = ComponentPath::new(setup.kind, path);
        Self::load_with(engine, open(&component)?, &component, setup, false)
    }

    /// Loads another version of the plugin from a file, with the same setup.
    ///
    /// It starts the new version once, so that a version that cannot start is refused. It blocks for as long.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn successor(&self, path: &Path) -> Result<Self, LoadError> {
        let component = self.named(path);
        self.succeeded_by(open(&component)?, &component)
    }

    /// Does the same with a file that must be in one of these directories.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn successor_from(&self, path: &Path, from: &SwapFrom) -> Result<Self, LoadError> {
        self.succeeded_by(from.open(self.name(), path)?, &self.named(path))
    }

    /// Returns the name of a file of another version.
    fn named(&self, path: &Path) -> ComponentPath {
        ComponentPath::new(self.setup.kind, path)
    }

    fn succeeded_by(&self, file: File, component: &ComponentPath) -> Result<Self, LoadError> {
        Self::load_with(&self.engine, file, component, Arc::clone(&self.setup), true)
    }

    fn load_with(
        engine: &Engine,
        file: File,
        named: &ComponentPath,
        setup: Arc<Setup>,
        starts: bool,
    ) -> Result<Self, LoadError> {
        let path = &*named.path;
        let bytes = read(file, named)?;
        let digest = ComponentDigest::of(&bytes);
        if let Some(pinned) = setup.sha256.as_ref().filter(|pinned| **pinned != digest) {
            let (name, pinned) = (setup.name.to_string(), pinned.clone());
            return Err(LoadError::Pinned { name, component: named.clone(), pinned, found: digest });
        }
        let source =
            ComponentSource { plugin: &setup.name, component: named, bytes: &bytes, digest: digest.as_str() };
        let component = engine.compiled().load(engine.wasmtime(), &source)?;
        let stamp = Stamp::read(&bytes);
        let imports = check_imports(engine, &component, &stamp, named)?;

        let contract = stamp.contract.clone();
        let contract = contract.or_else(|| imports.iter().find_map(|import| contract::version(import)));
        let mismatch = |error: wasmtime::Error| LoadError::Mismatch {
            component: named.clone(),
            contract: contract.clone().unwrap_or(contract::CONTRACT),
            reason: format!("{error:#}"),
        };
        let linked = |role| {
            let linker = linker::link(engine, &component, &setup, role)?;
            linker.instantiate_pre(&component)
        };
        let (filter, handler) = (
            linked(InstanceRole::Filter).map_err(mismatch)?,
            linked(InstanceRole::Handler).map_err(mismatch)?,
        );
        let exports = ExportIndices::find(&component, &filter).map_err(mismatch)?;
        let exports = match (setup.kind, exports) {
            (ComponentKind::Plugin, Some(exports)) if exports.has_handler() || exports.has_schedule() => {
                exports
            }
            (ComponentKind::Filter, Some(exports)) if !exports.has_handler() && !exports.has_schedule() => {
                exports
            }
            (ComponentKind::Plugin, Some(_)) => return Err(LoadError::IsFilter { path: path.to_owned() }),
            (ComponentKind::Filter, Some(_)) => return Err(LoadError::IsPlugin { path: path.to_owned() }),
            (ComponentKind::Plugin, None) => return Err(LoadError::MissingExport { path: path.to_owned() }),
            (ComponentKind::Filter, None) => return Err(LoadError::MissingFilter { path: path.to_owned() }),
        };
        let places = pool::of(&component);
        let found = FoundComponent {
            linked: &filter,
            exports: &exports,
            setup: &setup,
            component: named,
            starts,
            contract: contract.clone().unwrap_or(contract::CONTRACT),
        };
        let Beginning { settings, config, subscriptions, timers } = {
            let _tried = engine.trial();
            found.begin()?
        };
        let short = digest.as_str().get(..12).unwrap_or_default().to_owned();
        let info = ComponentInfo {
            stem: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            selection: Arc::new(match setup.kind == ComponentKind::Filter || exports.has_handler() {
                true => selection(&subscriptions, named)?,
                // A plugin that has only timers gets no ops.
                false => Selection::default(),
            }),
            exports,
            settings,
            config,
            subscriptions,
            timers,
            contract,
            imports,
            version: stamp.version.map_or(short.clone(), |version| format!("{version}+{short}")),
            digest,
            places,
        };
        let (engine, info) = (engine.clone(), Arc::new(info));
        Ok(Self { engine, setup, filter, handler, on_trial: OnTrial::default(), info })
    }

    /// Returns the name of the plugin.
    pub fn name(&self) -> &str {
        &self.setup.name
    }

    /// Returns what it is for.
    pub fn kind(&self) -> ComponentKind {
        self.setup.kind
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
    pub fn subscriptions(&self) -> &[(String, Vec<OperationType>)] {
        &self.info.subscriptions
    }

    /// Returns the settings that it declares. None: it accepts any.
    pub fn settings(&self) -> Option<&[DeclaredSetting]> {
        self.info.settings.as_deref()
    }

    /// Returns whether both are the same version with the same setup.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.info, &other.info)
    }

    /// Returns whether it handles ops. Otherwise, it has only timers.
    pub fn handles_ops(&self) -> bool {
        self.info.exports.has_handler()
    }

    /// Returns its timers.
    pub fn timers(&self) -> &[Timer] {
        &self.info.timers
    }

    pub(super) fn exports(&self) -> &ExportIndices {
        &self.info.exports
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
        self.info.exports.handles_batches()
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

    /// Makes the store of one instance.
    pub(super) fn store(
        &self,
        shared: &Arc<PluginContext>,
        role: InstanceRole,
        notes: &CallNotes,
    ) -> Result<Store<InstanceState>, CallError> {
        let linked = match role {
            InstanceRole::Filter => &self.filter,
            InstanceRole::Handler => &self.handler,
        };
        store(linked, &self.setup, &self.info.config, shared, role, notes)
    }
}

/// Makes the store of one instance.
pub(super) fn store(
    of: &InstancePre<InstanceState>,
    setup: &Arc<Setup>,
    config: &Arc<BTreeMap<String, String>>,
    shared: &Arc<PluginContext>,
    role: InstanceRole,
    notes: &CallNotes,
) -> Result<Store<InstanceState>, CallError> {
    let state =
        InstanceState::new(setup, config, shared, role, notes).map_err(|error| CallError::Trapped {
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
