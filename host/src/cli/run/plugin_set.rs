//! The set of plugins of a running host, which follows the settings and the files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use gtm_delivery::{DeliveryPolicy, ReachedPosition};
use gtm_host::config::{PluginSettings, Settings};
use gtm_host::remedy::WithRemedy;
use gtm_runtime::{Actor, Grants, Plugin, PluginHandle, PluginSetup, Services, SwapFrom};
use gtm_source::Restart;

use super::watch::{FileSignature, signature};
use crate::cli::DEFECT;
use crate::cli::grant_prompt::{self, log_missing_grants};
use crate::cli::load::{Loader, check_shared, present};

/// The fate of an op whose plugin lacks a grant.
const WAITS: &str = "waits";

/// A plugin that the host runs.
#[derive(Clone)]
pub(super) struct HostedPlugin {
    pub(super) handle: PluginHandle,
    pub(super) settings: PluginSettings,
    /// The position that it has reached in this process.
    pub(super) reached: ReachedPosition,
    path: PathBuf,
    /// The signature of the file when it was last loaded or refused.
    seen: FileSignature,
    setup: PluginSetup,
    /// How ops are delivered to it, and where it begins.
    delivery: Delivery,
}

impl HostedPlugin {
    fn is_set_up(&self, path: &Path, setup: &PluginSetup) -> bool {
        self.path == path && self.setup == *setup
    }
}

/// The plugins of a host, by their names.
pub(super) struct PluginSet {
    loader: Loader,
    services: Services,
    all: BTreeMap<String, HostedPlugin>,
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
}

impl Loaded {
    async fn load(
        loader: &Loader,
        name: &str,
        path: PathBuf,
        own: PluginSettings,
        settings: &Settings,
    ) -> anyhow::Result<Self> {
        let seen = signature(&path);
        let plugin = loader.load(name, &path, &own, settings.limits()).await?;
        Ok(Self { plugin, path, seen, own })
    }
}

/// The plugins that were loaded, and those that could not be loaded, each with the reason.
type AllLoaded = (Vec<Loaded>, BTreeMap<String, String>);

/// Loads the plugins of the settings. Logs each one that cannot be loaded, and loads the others.
///
/// # Errors
/// Fails if there are plugins and none of them can be loaded.
pub(super) async fn load(loader: &Loader, settings: &Settings) -> anyhow::Result<AllLoaded> {
    let (mut all, mut failed) = (Vec::new(), Vec::new());
    for (name, (path, own)) in present(settings)? {
        match Loaded::load(loader, &name, path, own, settings).await {
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
    Ok((all, unloaded))
}

/// Offers missing grants at the terminal, and reloads the plugins that were granted one.
pub(super) async fn offer_grants(
    settings: &mut Settings,
    loader: &Loader,
    plugins: &mut [Loaded],
) -> anyhow::Result<()> {
    let changed = grant_prompt::offer_grants(settings, plugins.iter().map(|loaded| &loaded.plugin)).await?;
    let mut present = settings.present_plugins()?;
    for loaded in plugins {
        let name = loaded.plugin.name().to_owned();
        if changed.contains(&name)
            && let Some((path, own)) = present.remove(&name)
        {
            *loaded = Loaded::load(loader, &name, path, own, settings).await?;
        }
    }
    Ok(())
}

impl PluginSet {
    pub(super) fn new(loader: Loader, services: Services, loaded: AllLoaded, settings: &Settings) -> Self {
        let (loaded, unloaded) = loaded;
        let mut plugins = Self { loader, services, all: BTreeMap::new(), unloaded };
        loaded.into_iter().for_each(|loaded| plugins.add(loaded, settings));
        plugins
    }

    fn add(&mut self, Loaded { plugin, path, seen, own }: Loaded, settings: &Settings) {
        let name = plugin.name().to_owned();
        log_missing_grants(&plugin, &self.services, WAITS);
        let hosted = HostedPlugin {
            seen,
            path,
            setup: own.setup(&name, settings.limits()),
            delivery: delivery(&own, settings),
            settings: own,
            reached: ReachedPosition::default(),
            handle: PluginHandle::new(plugin, self.services.clone()),
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

    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.all.values().map(|hosted| hosted.path.as_path())
    }

    /// Returns the directories from which a swap by hand may take files.
    pub(super) fn swap_from(&self, settings: &Settings) -> SwapFrom {
        let directory = |path: &Path| Some(absolute(path).parent()?.to_owned());
        let own = self.all.iter().filter_map(|(name, hosted)| Some((name.clone(), directory(&hosted.path)?)));
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
            let now = signature(&hosted.path);
            // A file that is gone may be in the middle of being replaced; the plugin continues meanwhile.
            if now == hosted.seen || now.is_none() || !selected(name, hosted) {
                continue;
            }
            let (current, path) = (hosted.handle.current(), hosted.path.clone());
            tracing::info!(
                event = "plugin.swap_start",
                plugin = name,
                version = current.version(),
                "the file changed; this version works until the new one is ready"
            );
            let started = Instant::now();
            let loaded = tokio::task::spawn_blocking(move || current.successor(&path)).await;
            // Not earlier: this future may be dropped, and the next call has to do it again.
            hosted.seen = now;
            match loaded {
                Ok(Ok(successor)) if successor.version() == hosted.handle.current().version() => {
                    tracing::info!(
                        event = "plugin.swap_skip",
                        plugin = name,
                        version = successor.version(),
                        "the file was written and holds the same version"
                    );
                }
                Ok(Ok(successor)) => {
                    let took = started.elapsed().as_millis();
                    tracing::info!(
                        event = "plugin.load",
                        plugin = name,
                        version = successor.version(),
                        elapsed_ms = took,
                        "loaded"
                    );
                    let version = successor.version().to_owned();
                    match hosted.handle.swap(successor) {
                        Ok(()) => {
                            actor.did("swap", name, Some(&version));
                            changed.insert(name.clone());
                        }
                        Err(error) => refuse(name, hosted, actor, &WithRemedy(&error).to_string()),
                    }
                }
                Ok(Err(error)) => refuse(name, hosted, actor, &WithRemedy(&error).to_string()),
                Err(error) => refuse(name, hosted, actor, &error.to_string()),
            }
        }
        changed
    }

    /// Adds, updates and removes plugins until they match the settings. `actor` is who changed the settings or files.
    pub(super) async fn reconcile(&mut self, settings: &Settings, actor: Actor) -> PluginChanges {
        let present = match settings.present_plugins() {
            Ok(present) => present,
            Err(error) => {
                tracing::error!(event = "plugin.list_failed", %error, "the plugins cannot be listed; they stay as they are");
                return PluginChanges {
                    swapped: self.swap_changed_files(actor, |_, _| true).await,
                    ..PluginChanges::default()
                };
            }
        };
        // Plugins whose setup changed are loaded below, and those that are gone are not loaded.
        let stays = |name: &str, hosted: &HostedPlugin| {
            let set = present.get(name);
            set.is_some_and(|(path, own)| hosted.is_set_up(path, &own.setup(name, settings.limits())))
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
                None => match Loaded::load(&self.loader, &name, path, own, settings).await {
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
                },
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
        if !hosted.is_set_up(path, &setup) {
            let seen = signature(path);
            let is_set_up = hosted.setup == setup;
            let loaded = match is_set_up {
                // Only the file changed.
                true => successor(&hosted.handle, path).await,
                false => self.loader.load(name, path, &own, settings.limits()).await,
            };
            match loaded {
                Ok(plugin) => {
                    let is_another = hosted.handle.current().digest() != plugin.digest();
                    let version = plugin.version().to_owned();
                    log_missing_grants(&plugin, &self.services, WAITS);
                    let taken =
                        if is_set_up { hosted.handle.swap(plugin) } else { hosted.handle.set_up(plugin) };
                    if let Err(error) = taken {
                        return refuse(name, hosted, actor, &WithRemedy(&error).to_string());
                    }
                    if is_another {
                        actor.did("swap", name, Some(&version));
                        changes.swapped.insert(name.to_owned());
                    }
                    record_grants(actor, name, Some(&hosted.setup.grants), &setup.grants);
                    (hosted.path, hosted.seen, hosted.setup) = (path.to_owned(), seen, setup);
                }
                Err(error) => return refuse(name, hosted, actor, &WithRemedy(error.as_ref()).to_string()),
            }
        }
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

/// Loads another file of a plugin with the setup of the current version.
async fn successor(handle: &PluginHandle, path: &Path) -> anyhow::Result<Plugin> {
    let (current, path) = (handle.current(), path.to_owned());
    let load = move || current.successor(&path);
    Ok(tokio::task::spawn_blocking(load).await.context(DEFECT)??)
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

fn refuse(name: &str, hosted: &HostedPlugin, actor: Actor, reason: &str) {
    let current = hosted.handle.current();
    actor.was_refused("swap", name, None, &reason);
    tracing::error!(
        event = "plugin.swap_failed",
        plugin = name,
        version = current.version(),
        error = reason,
        "not swapped; this version continues"
    );
}
