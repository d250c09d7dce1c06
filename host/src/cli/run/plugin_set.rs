//! The set of plugins of a running host, which follows the settings and the files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use gtm_delivery::{DeliveryPolicy, ReachedPosition};
use gtm_host::config::{ChainFile, ConfigError, PluginSettings, Settings, chains};
use gtm_host::remedy::WithRemedy;
use gtm_runtime::{Actor, Grants, Plugin, PluginHandle, Services, SwapFrom};
use gtm_source::Restart;

use super::filter_set::FilterSet;
use super::hosted::{HostedComponent, LoadAttempt, NextChain};
use crate::cli::grant_prompt::{self, log_missing_grants};
use crate::cli::load::{Loader, present};
use crate::cli::shared_settings::{UnusedValue, unused_value};
use crate::cli::usage::settings_error;

/// The fate of an op whose plugin lacks a grant.
const WAITS: &str = "waits";

/// A plugin that the host runs.
#[derive(Clone)]
pub(super) struct HostedPlugin {
    pub(super) component: HostedComponent,
    pub(super) settings: PluginSettings,
    /// The position that it has reached in this process.
    pub(super) reached: ReachedPosition,
    /// How ops are delivered to it, and where it begins.
    delivery: Delivery,
    /// Why its filters are not those of the settings, if they are not.
    chain_error: Option<String>,
}

/// The filters of a plugin in the settings, if they are valid.
type ChainFiles = Result<Vec<ChainFile>, ConfigError>;

impl HostedPlugin {
    pub(super) fn handle(&self) -> &PluginHandle {
        &self.component.handle
    }
}

/// The plugins of a host, by their names.
pub(super) struct PluginSet {
    loader: Loader,
    services: Services,
    all: BTreeMap<String, HostedPlugin>,
    filters: FilterSet,
    /// The plugins that could not be loaded, each with the reason.
    unloaded: BTreeMap<String, String>,
}

/// The changes of the pipeline that a reconciliation requires. Swaps are already done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PluginChanges {
    /// Plugins whose deliveries have to stop.
    pub(super) stop: BTreeSet<String>,
    /// Plugins whose deliveries have to start after that. Some are in both sets, because their delivery changed.
    pub(super) start: BTreeSet<String>,
    /// Plugins of which another version runs now, or another version or list of their filters.
    pub(super) swapped: BTreeSet<String>,
}

/// A plugin that was loaded and has no pipeline yet.
pub(super) struct Loaded {
    plugin: Plugin,
    attempt: LoadAttempt,
    own: PluginSettings,
    /// The filters before its own.
    filters: Vec<PluginHandle>,
}

impl Loaded {
    async fn load(
        (loader, filters): (&Loader, &mut FilterSet),
        name: &str,
        path: &Path,
        (own, chain): (PluginSettings, ChainFiles),
        settings: &Settings,
    ) -> anyhow::Result<Self> {
        let chain = chain.map_err(|error| settings_error(error.into()))?;
        let filters = filters.of(chain, loader, settings).await?;
        let attempt = LoadAttempt::now(path, own.setup(name, settings.limits()));
        let plugin = loader.load(path, &attempt.setup).await?;
        Ok(Self { plugin, attempt, own, filters })
    }
}

/// Returns the filters of each of these plugins in the settings.
fn chains_of(present: &BTreeMap<String, (PathBuf, PluginSettings)>) -> BTreeMap<String, ChainFiles> {
    chains(present.iter().map(|(name, (_, own))| (name.as_str(), own)))
}

/// The plugins that were loaded, with their filters.
pub(super) struct AllLoaded {
    pub(super) plugins: Vec<Loaded>,
    filters: FilterSet,
    /// The plugins that could not be loaded, each with the reason.
    pub(super) unloaded: BTreeMap<String, String>,
}

/// Loads the plugins of the settings. Logs each one that cannot be loaded, and loads the others.
///
/// # Errors
/// Fails if there are plugins and none of them can be loaded.
pub(super) async fn load(loader: &Loader, settings: &Settings) -> anyhow::Result<AllLoaded> {
    let (mut all, mut failed, mut filters) = (Vec::new(), Vec::new(), FilterSet::default());
    let present = present(settings)?;
    let mut chains = chains_of(&present);
    for (name, (path, own)) in present {
        let own = (own, chains.remove(&name).unwrap_or(Ok(Vec::new())));
        match Loaded::load((loader, &mut filters), &name, &path, own, settings).await {
            Ok(loaded) => all.push(loaded),
            Err(error) => failed.push((name, error)),
        }
    }
    if all.is_empty() && !failed.is_empty() {
        return Err(failed.swap_remove(0).1);
    }
    let errors = failed.iter().map(|(name, error)| (name.as_str(), error));
    match unused_value(settings, all.iter().map(|loaded| &loaded.plugin), errors) {
        Some(UnusedValue { error, may_be_used: false }) => return Err(error),
        Some(UnusedValue { error, may_be_used: true }) => tracing::warn!(
            event = "settings.unused_value",
            error = &*error,
            "a value for all plugins has no effect on those that were loaded"
        ),
        None => {}
    }
    let mut unloaded = BTreeMap::new();
    for (name, error) in failed {
        tracing::error!(
            event = "plugin.load_failed",
            plugin = name,
            error = &*error,
            "not loaded until its file or the settings change"
        );
        unloaded.insert(name, WithRemedy(error.as_ref()).to_string());
    }
    Ok(AllLoaded { plugins: all, filters, unloaded })
}

/// Offers missing grants at the terminal, and reloads the plugins that were granted one.
pub(super) async fn offer_grants(
    settings: &mut Settings,
    loader: &Loader,
    loaded: &mut AllLoaded,
) -> anyhow::Result<()> {
    let changed =
        grant_prompt::offer_grants(settings, loaded.plugins.iter().map(|loaded| &loaded.plugin)).await?;
    let mut present = settings.present_plugins()?;
    for plugin in &mut loaded.plugins {
        let name = plugin.plugin.name().to_owned();
        if changed.contains(&name)
            && let Some((path, own)) = present.remove(&name)
        {
            let attempt = LoadAttempt::now(&path, own.setup(&name, settings.limits()));
            plugin.plugin = loader.load(&path, &attempt.setup).await?;
            (plugin.attempt, plugin.own) = (attempt, own);
        }
    }
    Ok(())
}

impl PluginSet {
    pub(super) fn new(loader: Loader, services: Services, loaded: AllLoaded, settings: &Settings) -> Self {
        let AllLoaded { plugins: loaded, filters, unloaded } = loaded;
        let mut plugins = Self { loader, services, all: BTreeMap::new(), filters, unloaded };
        loaded.into_iter().for_each(|loaded| plugins.add(loaded, settings));
        plugins
    }

    fn add(&mut self, Loaded { plugin, attempt, own, filters }: Loaded, settings: &Settings) {
        let name = plugin.name().to_owned();
        log_missing_grants(&plugin, &self.services, WAITS);
        // Places are reserved when its delivery starts.
        let handle = PluginHandle::with_filters(plugin, self.services.clone(), filters);
        let hosted = HostedPlugin {
            component: HostedComponent::new(handle, attempt),
            delivery: delivery(&own, settings),
            settings: own,
            reached: ReachedPosition::default(),
            chain_error: None,
        };
        self.all.insert(name, hosted);
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &HostedPlugin> {
        self.all.values()
    }

    /// Returns the plugins that could not be loaded, each with the reason.
    pub(super) fn unloaded(&self) -> &BTreeMap<String, String> {
        &self.unloaded
    }

    pub(super) fn get(&self, name: &str) -> Option<&HostedPlugin> {
        self.all.get(name)
    }

    /// Returns the directories from which a swap by hand may take files.
    pub(super) fn swap_from(&self, settings: &Settings) -> SwapFrom {
        let directory = |path: &Path| Some(absolute(path).parent()?.to_owned());
        let own = self
            .all
            .iter()
            .filter_map(|(name, hosted)| Some((name.clone(), directory(&hosted.component.path)?)));
        SwapFrom {
            directories: settings.plugin_dir.iter().map(|path| absolute(path)).collect(),
            trees: settings.admin.swap_from.iter().map(|path| absolute(path)).collect(),
            own: own.collect(),
        }
    }

    /// Returns the files of the filters in use.
    pub(super) fn filter_paths(&self) -> impl Iterator<Item = &Path> {
        self.filters.paths()
    }

    /// Swaps the plugins that `selected` accepts and whose files have changed. Returns the names of those that run another version now.
    async fn swap_changed_files(
        &mut self,
        actor: Actor,
        selected: impl Fn(&str, &HostedPlugin, &FilterSet) -> bool,
    ) -> BTreeSet<String> {
        let mut changed = BTreeSet::new();
        for (name, hosted) in &mut self.all {
            if selected(name, hosted, &self.filters) && hosted.component.swap_changed_file(actor).await {
                changed.insert(name.clone());
            }
        }
        changed
    }

    /// Adds, updates and removes plugins until they match the settings. `actor` is who changed the settings or files.
    ///
    /// What cannot be changed of one plugin stays as it is, and is reported; it changes nothing for the others.
    pub(super) async fn reconcile(&mut self, settings: &Settings, actor: Actor) -> PluginChanges {
        if actor == Actor::Hangup {
            // The secrets in files may be others now.
            self.filters.forget_refused();
            self.all.values_mut().for_each(HostedPlugin::forget_refused);
        }
        let changed = self.filters.follow(settings, &self.loader, actor).await;
        let has_changed = |filter: &PluginHandle| changed.iter().any(|changed| changed.is_same(filter));
        let with_changed =
            self.all.values().filter(|hosted| hosted.handle().filters().iter().any(has_changed));
        let with_changed: Vec<_> = with_changed.map(|hosted| hosted.handle().name().to_owned()).collect();
        let mut changes = self.reconcile_plugins(settings, actor).await;
        changes.swapped.extend(with_changed);
        let used: Vec<_> = self.all.values().flat_map(|hosted| hosted.handle().filters()).collect();
        self.filters.retain(|filter| used.iter().any(|used| used.is_same(filter)));
        changes
    }

    async fn reconcile_plugins(&mut self, settings: &Settings, actor: Actor) -> PluginChanges {
        let present = match settings.present_plugins() {
            Ok(present) => present,
            Err(error) => {
                tracing::error!(event = "plugin.list_failed", %error, "the plugins cannot be listed; they stay as they are");
                return PluginChanges {
                    swapped: self.swap_changed_files(actor, |_, _, _| true).await,
                    ..PluginChanges::default()
                };
            }
        };
        let mut chains = chains_of(&present);
        // Plugins whose setup or filters changed are loaded below, and those that are gone are not loaded.
        let stays = |name: &str, hosted: &HostedPlugin, filters: &FilterSet| {
            let set = present.get(name);
            set.is_some_and(|(path, own)| {
                hosted.component.is_set_up(path, &own.setup(name, settings.limits()))
            }) && matches!(chains.get(name), Some(Ok(chain)) if filters.are(&hosted.handle().filters(), chain))
        };
        let mut changes = PluginChanges {
            swapped: self.swap_changed_files(actor, stays).await,
            ..PluginChanges::default()
        };
        let gone: Vec<_> = self.all.keys().filter(|name| !present.contains_key(*name)).cloned().collect();
        for name in gone {
            tracing::info!(event = "plugin.remove", plugin = name, "removed");
            actor.did("remove", &name, None);
            self.all.remove(&name);
            changes.stop.insert(name);
        }
        self.unloaded.retain(|name, _| present.contains_key(name));
        for (name, (path, own)) in present {
            let own = (own, chains.remove(&name).unwrap_or(Ok(Vec::new())));
            if self.all.contains_key(&name) {
                self.update(&name, &path, own, settings, (actor, &mut changes)).await;
                continue;
            }
            match Loaded::load((&self.loader, &mut self.filters), &name, &path, own, settings).await {
                Ok(loaded) => {
                    self.unloaded.remove(&name);
                    actor.did("add", &name, Some(&loaded.plugin.version()));
                    record_grants(actor, &name, None, &loaded.own.grants);
                    self.add(loaded, settings);
                    changes.start.insert(name);
                }
                Err(error) => {
                    tracing::error!(event = "plugin.add_failed", plugin = name, error = &*error, "not added");
                    self.unloaded.insert(name, WithRemedy(error.as_ref()).to_string());
                }
            }
        }
        changes
    }

    /// Updates a plugin to its settings, and adds what that requires to `changes`. If its filters cannot be those of the settings, it keeps them
    /// and its version. Its other settings change: the host must still revoke a grant, for example.
    async fn update(
        &mut self,
        name: &str,
        path: &Path,
        (own, chain): (PluginSettings, ChainFiles),
        settings: &Settings,
        (actor, changes): (Actor, &mut PluginChanges),
    ) {
        let (setup, delivery) = (own.setup(name, settings.limits()), delivery(&own, settings));
        let Some(hosted) = self.all.get_mut(name) else { return };
        let filters = match chain {
            Ok(chain) => self.filters.of(chain, &self.loader, settings).await,
            Err(error) => Err(error.into()),
        };
        let chain = hosted.prepare_chain(filters, actor);
        let is_another_chain = chain.is_another();
        let (granted, grants) = (hosted.component.setup.grants.clone(), setup.grants.clone());
        let check = |plugin: &Plugin| log_missing_grants(plugin, &self.services, WAITS);
        let Some(is_another) = hosted.component.update(path, setup, chain, &self.loader, actor, check).await
        else {
            return;
        };
        if is_another_chain {
            hosted.log_chain(actor);
        }
        if is_another || is_another_chain {
            changes.swapped.insert(name.to_owned());
        }
        record_grants(actor, name, Some(&granted), &grants);
        hosted.settings = own;
        let before = std::mem::replace(&mut hosted.delivery, delivery.clone());
        if before.2 != delivery.2 {
            hosted.reached = ReachedPosition::default();
        }
        if before != delivery {
            changes.stop.insert(name.to_owned());
            changes.start.insert(name.to_owned());
        }
    }
}

impl HostedPlugin {
    /// Has changes that were refused be tried and reported again.
    fn forget_refused(&mut self) {
        self.component.forget_refused();
        self.chain_error = None;
    }

    /// Prepares a chain of these filters. If the plugin cannot have it, that is logged once.
    fn prepare_chain(&mut self, filters: anyhow::Result<Vec<PluginHandle>>, actor: Actor) -> NextChain {
        let current = self.handle().filters();
        let prepared = filters.and_then(|filters| {
            let is_same = filters.len() == current.len()
                && std::iter::zip(&filters, &current).all(|(one, other)| one.is_same(other));
            Ok(match is_same {
                true => NextChain::Same,
                false => NextChain::Another(self.handle().prepare_chain(filters)?),
            })
        });
        match prepared {
            Ok(prepared) => {
                self.chain_error = None;
                prepared
            }
            Err(error) => {
                let (name, reason) = (self.handle().name(), WithRemedy(error.as_ref()).to_string());
                if self.chain_error.as_ref() != Some(&reason) {
                    actor.was_refused("change filters", name, None, &reason);
                    tracing::error!(
                        event = "plugin.chain_failed",
                        plugin = name,
                        filters = listed(&current),
                        error = reason,
                        "the plugin keeps its filters and its version"
                    );
                    self.chain_error = Some(reason);
                }
                NextChain::Unusable
            }
        }
    }

    /// Reports that the plugin has another chain.
    fn log_chain(&self, actor: Actor) {
        let (name, filters) = (self.handle().name(), listed(&self.handle().filters()));
        actor.did("change filters", name, Some(&filters.as_deref().unwrap_or("none")));
        tracing::info!(
            event = "plugin.chain",
            plugin = name,
            filters,
            "other filters run before that of the plugin"
        );
    }
}

/// Returns the names of these filters. None: there are none.
fn listed(filters: &[PluginHandle]) -> Option<String> {
    let names: Vec<_> = filters.iter().map(PluginHandle::name).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// The delivery policy of a plugin, whether it begins with a snapshot, and where it restarts.
type Delivery = (DeliveryPolicy, bool, Option<Restart>);

fn delivery(own: &PluginSettings, settings: &Settings) -> Delivery {
    let snapshot = own.snapshot.unwrap_or(settings.source.snapshot);
    (own.policy(settings.policy()), snapshot, own.restart_from.clone())
}

/// Records the grants of a plugin in the audit log if they changed.
fn record_grants(actor: Actor, name: &str, before: Option<&Grants>, now: &Grants) {
    if before.unwrap_or(&Grants::default()) != now {
        let now = now.in_words().unwrap_or_else(|| "nothing".to_owned());
        actor.did("grant", name, Some(&now));
    }
}

/// Returns the absolute form of a path, since a refusal shows it to a user who may be in another directory.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
