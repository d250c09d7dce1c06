//! The set of plugins of a running host, which follows the settings and the files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use gtm_delivery::{DeliveryPolicy, ReachedPosition};
use gtm_host::config::{PluginSettings, Settings};
use gtm_host::remedy::WithRemedy;
use gtm_runtime::{Actor, Grants, Plugin, PluginHandle, Services, SwapFrom};
use gtm_source::Restart;

use super::filter_set::FilterSet;
use super::hosted::HostedComponent;
use super::watch::{FileSignature, signature};
use crate::cli::grant_prompt::{self, log_missing_grants};
use crate::cli::load::{Loader, check_shared, present};

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
}

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
    /// Plugins that run another version now.
    pub(super) swapped: BTreeSet<String>,
}

/// A plugin that was loaded and has no pipeline yet.
pub(super) struct Loaded {
    plugin: Plugin,
    path: PathBuf,
    /// The signature of the file before it was read.
    seen: FileSignature,
    own: PluginSettings,
    /// The filters before its own.
    chain: Vec<PluginHandle>,
}

impl Loaded {
    async fn load(
        (loader, filters): (&Loader, &mut FilterSet),
        name: &str,
        path: PathBuf,
        own: PluginSettings,
        settings: &Settings,
    ) -> anyhow::Result<Self> {
        let seen = signature(&path);
        let plugin = loader.load(&path, &own.setup(name, settings.limits())).await?;
        let chain = filters.of(&own, loader, settings).await?;
        Ok(Self { plugin, path, seen, own, chain })
    }
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
    for (name, (path, own)) in present(settings)? {
        match Loaded::load((loader, &mut filters), &name, path, own, settings).await {
            Ok(loaded) => all.push(loaded),
            Err(error) => failed.push((name, error)),
        }
    }
    if all.is_empty() && !failed.is_empty() {
        return Err(failed.swap_remove(0).1);
    }
    if failed.is_empty() {
        check_shared(settings, all.iter().map(|loaded| &loaded.plugin))?;
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
            *plugin = Loaded::load((loader, &mut loaded.filters), &name, path, own, settings).await?;
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

    fn add(&mut self, Loaded { plugin, path, seen, own, chain }: Loaded, settings: &Settings) {
        let name = plugin.name().to_owned();
        log_missing_grants(&plugin, &self.services, WAITS);
        let handle = PluginHandle::new(plugin, self.services.clone());
        handle.set_chain(chain);
        let hosted = HostedPlugin {
            component: HostedComponent { handle, path, seen, setup: own.setup(&name, settings.limits()) },
            delivery: delivery(&own, settings),
            settings: own,
            reached: ReachedPosition::default(),
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

    /// Swaps the plugins that `selected` accepts and whose files have changed. Returns the names of those that run another version now.
    async fn swap_changed_files(
        &mut self,
        actor: Actor,
        selected: impl Fn(&str, &HostedPlugin) -> bool,
    ) -> BTreeSet<String> {
        let mut changed = BTreeSet::new();
        for (name, hosted) in &mut self.all {
            if selected(name, hosted) && hosted.component.swap_changed_file(actor).await {
                changed.insert(name.clone());
            }
        }
        changed
    }

    /// Adds, updates and removes plugins until they match the settings. `actor` is who changed the settings or files.
    pub(super) async fn reconcile(&mut self, settings: &Settings, actor: Actor) -> PluginChanges {
        let (present, filters) = match (settings.present_plugins(), settings.present_filters()) {
            (Ok(present), Ok(filters)) => (present, filters),
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(event = "plugin.list_failed", %error, "the plugins cannot be listed; they stay as they are");
                self.filters.swap_changed_files(actor).await;
                return PluginChanges {
                    swapped: self.swap_changed_files(actor, |_, _| true).await,
                    ..PluginChanges::default()
                };
            }
        };
        self.filters.reconcile(&filters, settings, &self.loader, actor).await;
        // Plugins whose setup changed are loaded below, and those that are gone are not loaded.
        let stays = |name: &str, hosted: &HostedPlugin| {
            let set = present.get(name);
            set.is_some_and(|(path, own)| {
                hosted.component.is_set_up(path, &own.setup(name, settings.limits()))
            })
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
            match self.all.get(&name) {
                None => {
                    match Loaded::load((&self.loader, &mut self.filters), &name, path, own, settings).await {
                        Ok(loaded) => {
                            self.unloaded.remove(&name);
                            actor.did("add", &name, Some(&loaded.plugin.version()));
                            record_grants(actor, &name, None, &loaded.own.grants);
                            self.add(loaded, settings);
                            changes.start.insert(name);
                        }
                        Err(error) => {
                            tracing::error!(
                                event = "plugin.add_failed",
                                plugin = name,
                                error = &*error,
                                "not added"
                            );
                            self.unloaded.insert(name, WithRemedy(error.as_ref()).to_string());
                        }
                    }
                }
                Some(_) => self.update(&name, &path, own, settings, (actor, &mut changes)).await,
            }
        }
        changes
    }

    /// Updates a plugin to its settings, and adds what that requires to `changes`.
    async fn update(
        &mut self,
        name: &str,
        path: &Path,
        own: PluginSettings,
        settings: &Settings,
        (actor, changes): (Actor, &mut PluginChanges),
    ) {
        let (setup, delivery) = (own.setup(name, settings.limits()), delivery(&own, settings));
        let Some(hosted) = self.all.get_mut(name) else { return };
        let chain = match self.filters.of(&own, &self.loader, settings).await {
            Ok(chain) => chain,
            Err(error) => return hosted.component.refuse(actor, &WithRemedy(error.as_ref()).to_string()),
        };
        let (granted, grants) = (hosted.component.setup.grants.clone(), setup.grants.clone());
        let check = |plugin: &Plugin| log_missing_grants(plugin, &self.services, WAITS);
        match hosted.component.update(path, setup, &self.loader, actor, check).await {
            Some(true) => drop(changes.swapped.insert(name.to_owned())),
            Some(false) => {}
            None => return,
        }
        record_grants(actor, name, Some(&granted), &grants);
        hosted.handle().set_chain(chain);
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

/// The delivery policy of a plugin, whether it begins with a snapshot, where it restarts, and the files of its filters.
type Delivery = (DeliveryPolicy, bool, Option<Restart>, Vec<PathBuf>);

fn delivery(own: &PluginSettings, settings: &Settings) -> Delivery {
    let snapshot = own.snapshot.unwrap_or(settings.source.snapshot);
    (own.policy(settings.policy()), snapshot, own.restart_from.clone(), own.filters.clone())
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
