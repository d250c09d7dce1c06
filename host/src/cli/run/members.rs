//! The plugins of a host that runs, as they come, change and go.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use gtm_host::config::{PluginSettings, Settings};
use gtm_host::delivery::{Policy, Reached};
use gtm_host::plugin::{Plugin, PluginSetup, Services, Slot};
use gtm_host::source::Restart;

use super::watch::{Signature, signature};
use crate::cli::asking::{self, say_gaps};
use crate::cli::load::Loader;

/// A plugin of the host.
#[derive(Clone)]
pub(super) struct Member {
    pub(super) slot: Slot,
    pub(super) settings: PluginSettings,
    /// How far it came in this process.
    pub(super) reached: Reached,
    path: PathBuf,
    /// The file as it was when it was last looked at.
    seen: Signature,
    setup: PluginSetup,
    /// How it is delivered, and whether from a snapshot on.
    delivery: Delivery,
}

/// The plugins of a host, by name.
pub(super) struct Members {
    loader: Loader,
    services: Services,
    all: BTreeMap<String, Member>,
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

/// Loads each plugin that there is, with what is set for it. Of one that cannot be loaded, that is said, and the others run.
///
/// # Errors
/// There are plugins, and none of them can be loaded.
pub(super) async fn load(loader: &Loader, settings: &Settings) -> anyhow::Result<Vec<Loaded>> {
    let (mut all, mut failed) = (Vec::new(), Vec::new());
    for (name, (path, own)) in settings.present_plugins()? {
        match Loaded::load(loader, &name, path, own, settings).await {
            Ok(loaded) => all.push(loaded),
            Err(error) => failed.push((name, error)),
        }
    }
    if all.is_empty() && !failed.is_empty() {
        return Err(failed.swap_remove(0).1);
    }
    for (name, error) in failed {
        tracing::error!(plugin = name, "not loaded, until its file or the settings change: {error:#}");
    }
    Ok(all)
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

impl Members {
    pub(super) fn new(loader: Loader, services: Services, loaded: Vec<Loaded>, settings: &Settings) -> Self {
        let mut members = Self { loader, services, all: BTreeMap::new() };
        loaded.into_iter().for_each(|loaded| members.add(loaded, settings));
        members
    }

    fn add(&mut self, Loaded { plugin, path, seen, own }: Loaded, settings: &Settings) {
        let name = plugin.name().to_owned();
        say_gaps(&plugin, &self.services);
        let member = Member {
            seen,
            path,
            setup: own.setup(&name, settings.limits()),
            delivery: delivery(&own, settings),
            settings: own,
            reached: Reached::default(),
            slot: Slot::new(plugin, self.services.clone()),
        };
        self.all.insert(name, member);
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Member> {
        self.all.values()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Member> {
        self.all.get(name)
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.all.values().map(|member| member.path.as_path())
    }

    /// Swaps those whose file has changed, where it holds a version that can take over. Gives back which were.
    async fn take_up_files(&mut self) -> BTreeSet<String> {
        let mut changed = BTreeSet::new();
        for (name, member) in &mut self.all {
            let now = signature(&member.path);
            // One that is gone may be on its way back; the plugin goes on meanwhile.
            if now == member.seen || now.is_none() {
                continue;
            }
            let (current, path) = (member.slot.current(), member.path.clone());
            tracing::info!(
                plugin = name,
                "its file has changed: version {} works until the new one is ready",
                current.version()
            );
            let started = Instant::now();
            let loaded = tokio::task::spawn_blocking(move || current.successor(&path)).await;
            // Not before: this may be given up, and begun anew.
            member.seen = now;
            match loaded {
                Ok(Ok(successor)) if successor.version() == member.slot.current().version() => {
                    tracing::info!(plugin = name, "its file was written, and is the same version");
                }
                Ok(Ok(successor)) => {
                    let took = started.elapsed().as_millis();
                    tracing::info!(plugin = name, "loaded version {} in {took} ms", successor.version());
                    match member.slot.swap(successor) {
                        Ok(()) => drop(changed.insert(name.clone())),
                        Err(error) => refuse(name, member, &error.to_string()),
                    }
                }
                Ok(Err(error)) => refuse(name, member, &error.to_string()),
                Err(error) => refuse(name, member, &error.to_string()),
            }
        }
        changed
    }

    /// Makes the members those that the settings name, as they say.
    pub(super) async fn follow(&mut self, settings: &Settings) -> Steps {
        let mut steps = Steps { changed: self.take_up_files().await, ..Steps::default() };
        let present = match settings.present_plugins() {
            Ok(present) => present,
            Err(error) => {
                tracing::error!("the plugins stay as they are: {error}");
                return steps;
            }
        };
        let gone: Vec<_> = self.all.keys().filter(|name| !present.contains_key(*name)).cloned().collect();
        for name in gone {
            tracing::info!(plugin = name, "removed");
            self.all.remove(&name);
            steps.end.insert(name);
        }
        for (name, (path, own)) in present {
            match self.all.get(&name) {
                None => match Loaded::load(&self.loader, &name, path, own, settings).await {
                    Ok(loaded) => {
                        self.add(loaded, settings);
                        steps.begin.insert(name);
                    }
                    Err(error) => tracing::error!(plugin = name, "not added: {error:#}"),
                },
                Some(_) => {
                    if self.change(&name, &path, own, settings).await {
                        steps.end.insert(name.clone());
                        steps.begin.insert(name);
                    }
                }
            }
        }
        steps
    }

    /// Gives back whether it is to be delivered in another way.
    async fn change(&mut self, name: &str, path: &Path, own: PluginSettings, settings: &Settings) -> bool {
        let (setup, delivery) = (own.setup(name, settings.limits()), delivery(&own, settings));
        let Some(member) = self.all.get_mut(name) else { return false };
        if member.setup != setup || member.path != path {
            let seen = signature(path);
            match self.loader.load(name, path, &own, settings.limits()).await {
                Ok(plugin) => {
                    say_gaps(&plugin, &self.services);
                    if let Err(error) = member.slot.swap(plugin) {
                        refuse(name, member, &error.to_string());
                        return false;
                    }
                    (member.path, member.seen, member.setup) = (path.to_owned(), seen, setup);
                }
                Err(error) => {
                    refuse(name, member, &format!("{error:#}"));
                    return false;
                }
            }
        }
        member.settings = own;
        let before = std::mem::replace(&mut member.delivery, delivery.clone());
        if before.2 != delivery.2 {
            member.reached = Reached::default();
        }
        before != delivery
    }
}

/// How a plugin is delivered, whether from a snapshot on, and where it restarts.
type Delivery = (Policy, bool, Option<Restart>);

fn delivery(own: &PluginSettings, settings: &Settings) -> Delivery {
    let snapshot = own.snapshot.unwrap_or(settings.source.snapshot);
    (own.policy(settings.policy()), snapshot, own.restart_from.clone())
}

fn refuse(name: &str, member: &Member, reason: &str) {
    let current = member.slot.current();
    tracing::error!(plugin = name, "not swapped, version {} goes on: {reason}", current.version());
}
