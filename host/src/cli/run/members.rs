//! The plugins of a host that runs, as they come, change and go.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use gtm_host::config::{PluginSettings, Settings};
use gtm_host::delivery::Policy;
use gtm_host::plugin::{Plugin, PluginSetup, Services, Slot};

use super::watch::{Signature, signature};
use crate::cli::asking::say_gaps;
use crate::cli::load::Loader;

/// A plugin of the host.
#[derive(Clone)]
pub(super) struct Member {
    pub(super) slot: Slot,
    pub(super) settings: PluginSettings,
    path: PathBuf,
    /// The file as it was when it was last looked at.
    seen: Signature,
    setup: PluginSetup,
    /// How it is delivered, and whether from a snapshot on.
    delivery: (Policy, bool),
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
}

impl Members {
    pub(super) fn new(
        loader: Loader,
        services: Services,
        loaded: Vec<(Plugin, PluginSettings)>,
        settings: &Settings,
    ) -> Self {
        let mut members = Self { loader, services, all: BTreeMap::new() };
        let paths = settings.present_plugins().unwrap_or_default();
        for (plugin, own) in loaded {
            if let Some((path, _)) = paths.get(plugin.name()) {
                members.add(plugin, path, own, settings);
            }
        }
        members
    }

    fn add(&mut self, plugin: Plugin, path: &Path, own: PluginSettings, settings: &Settings) {
        let name = plugin.name().to_owned();
        say_gaps(&plugin, &self.services);
        let member = Member {
            seen: signature(path),
            path: path.to_owned(),
            setup: own.setup(&name, settings.limits()),
            delivery: delivery(&own, settings),
            settings: own,
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

    /// It is as if it had not come yet.
    pub(super) fn forget(&mut self, name: &str) {
        self.all.remove(name);
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.all.values().map(|member| member.path.as_path())
    }

    /// Swaps those whose file has changed, where it holds a version that can take over.
    async fn take_up_files(&mut self) {
        for (name, member) in &mut self.all {
            let now = signature(&member.path);
            // One that is gone may be on its way back; the plugin goes on meanwhile.
            if now == member.seen || now.is_none() {
                continue;
            }
            let (current, path) = (member.slot.current(), member.path.clone());
            let loaded = tokio::task::spawn_blocking(move || current.successor(&path)).await;
            // Not before: this may be given up, and begun anew.
            member.seen = now;
            match loaded {
                Ok(Ok(successor)) if successor.version() == member.slot.current().version() => {
                    tracing::debug!(plugin = name, "its file was written, and is the same");
                }
                Ok(Ok(successor)) => member.slot.swap(successor),
                Ok(Err(error)) => refuse(name, member, &error.to_string()),
                Err(error) => refuse(name, member, &error.to_string()),
            }
        }
    }

    /// Makes the members those that the settings name, as they say.
    pub(super) async fn follow(&mut self, settings: &Settings) -> Steps {
        self.take_up_files().await;
        let mut steps = Steps::default();
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
                None => match self.loader.load(&name, &path, &own, settings.limits()).await {
                    Ok(plugin) => {
                        self.add(plugin, &path, own, settings);
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
            match self.loader.load(name, path, &own, settings.limits()).await {
                Ok(plugin) => {
                    (member.path, member.seen, member.setup) = (path.to_owned(), signature(path), setup);
                    say_gaps(&plugin, &self.services);
                    member.slot.swap(plugin);
                }
                Err(error) => {
                    refuse(name, member, &format!("{error:#}"));
                    return false;
                }
            }
        }
        member.settings = own;
        std::mem::replace(&mut member.delivery, delivery) != delivery
    }
}

fn delivery(own: &PluginSettings, settings: &Settings) -> (Policy, bool) {
    (own.policy(settings.policy()), own.snapshot.unwrap_or(settings.source.snapshot))
}

fn refuse(name: &str, member: &Member, reason: &str) {
    let current = member.slot.current();
    tracing::error!(plugin = name, "not swapped, version {} goes on: {reason}", current.version());
}
