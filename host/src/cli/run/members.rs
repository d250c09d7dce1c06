//! The plugins of a host that runs, as they come, change and go.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use gtm_delivery::{DeliveryPolicy, ReachedPosition};
use gtm_host::config::{PluginSettings, Settings};
use gtm_host::remedy::WithRemedy;
use gtm_runtime::{Actor, Grants, Plugin, PluginHandle, PluginSetup, Services, SwapFrom};
use gtm_source::Restart;

use super::watch::{Signature, signature};
use crate::cli::DEFECT;
use crate::cli::asking::{self, say_gaps};
use crate::cli::load::{Loader, present};

/// What becomes of an op whose plugin lacks something.
const WAITS: &str = "waits";

/// A plugin of the host.
#[derive(Clone)]
pub(super) struct HostedPlugin {
    pub(super) slot: PluginHandle,
    pub(super) settings: PluginSettings,
    /// How far it came in this process.
    pub(super) reached: ReachedPosition,
    path: PathBuf,
    /// The file as it was when it was last looked at.
    seen: Signature,
    setup: PluginSetup,
    /// How it is delivered, and whether from a snapshot on.
    delivery: Delivery,
}

impl HostedPlugin {
    fn is_set_up(&self, path: &Path, setup: &PluginSetup) -> bool {
        self.path == path && self.setup == *setup
    }
}

/// The plugins of a host, by name.
pub(super) struct PluginSet {
    loader: Loader,
    services: Services,
    all: BTreeMap<String, HostedPlugin>,
    /// Those that could not be loaded.
    unloaded: BTreeSet<String>,
}

/// What has to be done for the members to be as the settings have them. What only needs another version is done already.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Steps {
    /// These are to end.
    pub(super) end: BTreeSet<String>,
    /// And then these to begin: some are the same, delivered in another way.
    pub(super) begin: BTreeSet<String>,
    /// These have another version by now.
    pub(super) changed: BTreeSet<String>,
}

/// A plugin as it was loaded.
pub(super) struct Loaded {
    plugin: Plugin,
    path: PathBuf,
    /// The file before it was read.
    seen: Signature,
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

/// Plugins that were loaded, and the names of those that could not be.
type AllLoaded = (Vec<Loaded>, BTreeSet<String>);

/// Loads each plugin that there is, with what is set for it. Of one that cannot be loaded, that is said, and the others run.
///
/// # Errors
/// There are plugins, and none of them can be loaded.
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
    let mut unloaded = BTreeSet::new();
    for (name, error) in failed {
        tracing::error!(
            event = "plugin.load_failed",
            plugin = name,
            error = &*error,
            "not loaded until its file or the settings change"
        );
        unloaded.insert(name);
    }
    Ok((all, unloaded))
}

/// Grants the plugins what is agreed to at the terminal, and loads those anew that were granted something.
pub(super) async fn complete(
    settings: &mut Settings,
    loader: &Loader,
    plugins: &mut [Loaded],
) -> anyhow::Result<()> {
    let changed = asking::complete(settings, plugins.iter().map(|loaded| &loaded.plugin)).await?;
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
        let mut members = Self { loader, services, all: BTreeMap::new(), unloaded };
        loaded.into_iter().for_each(|loaded| members.add(loaded, settings));
        members
    }

    fn add(&mut self, Loaded { plugin, path, seen, own }: Loaded, settings: &Settings) {
        let name = plugin.name().to_owned();
        say_gaps(&plugin, &self.services, WAITS);
        let member = HostedPlugin {
            seen,
            path,
            setup: own.setup(&name, settings.limits()),
            delivery: delivery(&own, settings),
            settings: own,
            reached: ReachedPosition::default(),
            slot: PluginHandle::new(plugin, self.services.clone()),
        };
        self.all.insert(name, member);
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &HostedPlugin> {
        self.all.values()
    }

    /// The names of those that could not be loaded.
    pub(super) fn unloaded(&self) -> impl Iterator<Item = &str> {
        self.unloaded.iter().map(String::as_str)
    }

    pub(super) fn get(&self, name: &str) -> Option<&HostedPlugin> {
        self.all.get(name)
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.all.values().map(|member| member.path.as_path())
    }

    /// Where swaps that somebody asks for may take files from.
    pub(super) fn swap_from(&self, settings: &Settings) -> SwapFrom {
        let directory = |path: &Path| match path.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let own = self.all.iter().map(|(name, member)| (name.clone(), directory(&member.path)));
        SwapFrom {
            directories: settings.plugin_dir.iter().cloned().collect(),
            trees: settings.admin.swap_from.clone(),
            own: own.collect(),
        }
    }

    /// Swaps those of these whose file has changed, where it holds a version that can take over. Gives back which were.
    async fn take_up_files(
        &mut self,
        actor: Actor,
        those: impl Fn(&str, &HostedPlugin) -> bool,
    ) -> BTreeSet<String> {
        let mut changed = BTreeSet::new();
        for (name, member) in &mut self.all {
            let now = signature(&member.path);
            // One that is gone may be on its way back; the plugin goes on meanwhile.
            if now == member.seen || now.is_none() || !those(name, member) {
                continue;
            }
            let (current, path) = (member.slot.current(), member.path.clone());
            tracing::info!(
                event = "plugin.swap_start",
                plugin = name,
                version = current.version(),
                "the file changed; this version works until the new one is ready"
            );
            let started = Instant::now();
            let loaded = tokio::task::spawn_blocking(move || current.successor(&path)).await;
            // Not before: this may be given up, and begun anew.
            member.seen = now;
            match loaded {
                Ok(Ok(successor)) if successor.version() == member.slot.current().version() => {
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
                    match member.slot.swap(successor) {
                        Ok(()) => {
                            actor.did("swap", name, Some(&version));
                            changed.insert(name.clone());
                        }
                        Err(error) => refuse(name, member, actor, &WithRemedy(&error).to_string()),
                    }
                }
                Ok(Err(error)) => refuse(name, member, actor, &WithRemedy(&error).to_string()),
                Err(error) => refuse(name, member, actor, &error.to_string()),
            }
        }
        changed
    }

    /// Makes the members those that the settings name, as they say. `actor`: who changed something.
    pub(super) async fn follow(&mut self, settings: &Settings, actor: Actor) -> Steps {
        let present = match settings.present_plugins() {
            Ok(present) => present,
            Err(error) => {
                tracing::error!(event = "plugin.list_failed", %error, "the plugins cannot be listed; they stay as they are");
                return Steps { changed: self.take_up_files(actor, |_, _| true).await, ..Steps::default() };
            }
        };
        // What is set up in another way is loaded with that, and what is gone is not loaded.
        let stays = |name: &str, member: &HostedPlugin| {
            let set = present.get(name);
            set.is_some_and(|(path, own)| member.is_set_up(path, &own.setup(name, settings.limits())))
        };
        let mut steps = Steps { changed: self.take_up_files(actor, stays).await, ..Steps::default() };
        let gone: Vec<_> = self.all.keys().filter(|name| !present.contains_key(*name)).cloned().collect();
        for name in gone {
            tracing::info!(event = "plugin.remove", plugin = name, "removed");
            actor.did("remove", &name, None);
            self.all.remove(&name);
            steps.end.insert(name);
        }
        self.unloaded.retain(|name| present.contains_key(name));
        for (name, (path, own)) in present {
            match self.all.get(&name) {
                None => match Loaded::load(&self.loader, &name, path, own, settings).await {
                    Ok(loaded) => {
                        self.unloaded.remove(&name);
                        actor.did("add", &name, Some(&loaded.plugin.version()));
                        grant(actor, &name, None, &loaded.own.grants);
                        self.add(loaded, settings);
                        steps.begin.insert(name);
                    }
                    Err(error) => {
                        tracing::error!(
                            event = "plugin.add_failed",
                            plugin = name,
                            error = &*error,
                            "not added"
                        );
                        self.unloaded.insert(name);
                    }
                },
                Some(_) => self.change(&name, &path, own, settings, (actor, &mut steps)).await,
            }
        }
        steps
    }

    /// Makes a member what is set for it, and notes in the steps what became of it.
    async fn change(
        &mut self,
        name: &str,
        path: &Path,
        own: PluginSettings,
        settings: &Settings,
        (actor, steps): (Actor, &mut Steps),
    ) {
        let (setup, delivery) = (own.setup(name, settings.limits()), delivery(&own, settings));
        let Some(member) = self.all.get_mut(name) else { return };
        if !member.is_set_up(path, &setup) {
            let seen = signature(path);
            let is_set_up = member.setup == setup;
            let loaded = match is_set_up {
                // Another file.
                true => successor(&member.slot, path).await,
                false => self.loader.load(name, path, &own, settings.limits()).await,
            };
            match loaded {
                Ok(plugin) => {
                    let is_another = member.slot.current().digest() != plugin.digest();
                    let version = plugin.version().to_owned();
                    say_gaps(&plugin, &self.services, WAITS);
                    let taken = if is_set_up { member.slot.swap(plugin) } else { member.slot.set_up(plugin) };
                    if let Err(error) = taken {
                        return refuse(name, member, actor, &WithRemedy(&error).to_string());
                    }
                    if is_another {
                        actor.did("swap", name, Some(&version));
                        steps.changed.insert(name.to_owned());
                    }
                    grant(actor, name, Some(&member.setup.grants), &setup.grants);
                    (member.path, member.seen, member.setup) = (path.to_owned(), seen, setup);
                }
                Err(error) => return refuse(name, member, actor, &WithRemedy(error.as_ref()).to_string()),
            }
        }
        member.settings = own;
        let before = std::mem::replace(&mut member.delivery, delivery.clone());
        if before.2 != delivery.2 {
            member.reached = ReachedPosition::default();
        }
        if before != delivery {
            steps.end.insert(name.to_owned());
            steps.begin.insert(name.to_owned());
        }
    }
}

/// Another file of a plugin, set up as the one before.
async fn successor(slot: &PluginHandle, path: &Path) -> anyhow::Result<Plugin> {
    let (current, path) = (slot.current(), path.to_owned());
    let load = move || current.successor(&path);
    Ok(tokio::task::spawn_blocking(load).await.context(DEFECT)??)
}

/// How a plugin is delivered, whether from a snapshot on, and where it restarts.
type Delivery = (DeliveryPolicy, bool, Option<Restart>);

fn delivery(own: &PluginSettings, settings: &Settings) -> Delivery {
    let snapshot = own.snapshot.unwrap_or(settings.source.snapshot);
    (own.policy(settings.policy()), snapshot, own.restart_from.clone())
}

/// Records what a plugin is granted, where that is something else than before.
fn grant(actor: Actor, name: &str, before: Option<&Grants>, now: &Grants) {
    if before.unwrap_or(&Grants::default()) != now {
        let now = now.in_words().unwrap_or_else(|| "nothing".to_owned());
        actor.did("grant", name, Some(&now));
    }
}

fn refuse(name: &str, member: &HostedPlugin, actor: Actor, reason: &str) {
    let current = member.slot.current();
    actor.was_refused("swap", name, None, &reason);
    tracing::error!(
        event = "plugin.swap_failed",
        plugin = name,
        version = current.version(),
        error = reason,
        "not swapped; this version continues"
    );
}
