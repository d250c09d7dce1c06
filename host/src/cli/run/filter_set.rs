//! The filters of the plugins of a running host. A filter is its file: it is loaded once for all plugins that have it, and follows the file
//! and its settings as long as a plugin has it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use gtm_host::config::{ChainFile, Settings};
use gtm_host::remedy::WithRemedy;
use gtm_runtime::{Actor, PluginHandle, Services};

use super::hosted::{HostedComponent, LoadAttempt, NextChain};
use crate::cli::chains::unloaded;
use crate::cli::load::Loader;

/// The filters of a host, by their files.
#[derive(Default)]
pub(super) struct FilterSet {
    all: BTreeMap<PathBuf, HostedComponent>,
    /// Those that could not be loaded, and why. They are loaded again when something has changed.
    refused: BTreeMap<PathBuf, (LoadAttempt, String)>,
}

impl FilterSet {
    /// Returns these filters, in their order. Those that are new are loaded.
    ///
    /// # Errors
    /// Fails if a filter cannot be loaded: its plugin must not get what the filter would refuse.
    pub(super) async fn of(
        &mut self,
        chain: Vec<ChainFile>,
        loader: &Loader,
        settings: &Settings,
    ) -> anyhow::Result<Vec<PluginHandle>> {
        let mut filters = Vec::new();
        for ChainFile { name, path } in chain {
            filters.push(self.get(&name, path, loader, settings).await.with_context(|| unloaded(&name))?);
        }
        Ok(filters)
    }

    async fn get(
        &mut self,
        name: &str,
        path: PathBuf,
        loader: &Loader,
        settings: &Settings,
    ) -> anyhow::Result<PluginHandle> {
        if let Some(hosted) = self.all.get(&path) {
            return Ok(hosted.handle.clone());
        }
        let attempt = LoadAttempt::now(&path, settings.filter_setup(name));
        if let Some((before, reason)) = self.refused.get(&path)
            && *before == attempt
        {
            return Err(anyhow!("{reason}"));
        }
        match loader.load(&path, &attempt.setup).await {
            Ok(loaded) => {
                self.refused.remove(&path);
                let handle = PluginHandle::new(loaded, Services::default());
                self.all.insert(path, HostedComponent::new(handle.clone(), attempt));
                Ok(handle)
            }
            Err(error) => {
                let reason = WithRemedy(error.as_ref()).to_string();
                self.refused.insert(path, (attempt, reason));
                Err(error)
            }
        }
    }

    /// Returns whether these are the filters, in their order, of the chain in the settings.
    pub(super) fn are(&self, filters: &[PluginHandle], chain: &[ChainFile]) -> bool {
        let is = |(filter, file): (&PluginHandle, &ChainFile)| {
            self.all.get(&file.path).is_some_and(|hosted| hosted.handle.is_same(filter))
        };
        filters.len() == chain.len() && std::iter::zip(filters, chain).all(is)
    }

    /// Swaps the filters whose files have changed, and updates those whose settings have. Returns the ones that run another version now.
    pub(super) async fn follow(
        &mut self,
        settings: &Settings,
        loader: &Loader,
        actor: Actor,
    ) -> Vec<PluginHandle> {
        let mut changed = Vec::new();
        for (path, hosted) in &mut self.all {
            let name = hosted.handle.name().to_owned();
            let setup = settings.filter_setup(&name);
            // A filter that a plugin still has, and the settings do not, keeps its settings.
            let is_another = match hosted.is_set_up(path, &setup) || !settings.has_filter(&name) {
                true => hosted.swap_changed_file(actor).await,
                false => hosted.update(path, setup, NextChain::Same, loader, actor, |_| {}).await.is_some(),
            };
            if is_another {
                changed.push(hosted.handle.clone());
            }
        }
        changed
    }

    /// Removes the filters that no plugin has any more.
    pub(super) fn retain(&mut self, is_used: impl Fn(&PluginHandle) -> bool) {
        self.all.retain(|_, hosted| is_used(&hosted.handle));
    }

    /// Has filters that could not be loaded be tried again, even if nothing has changed that the host can see.
    pub(super) fn forget_refused(&mut self) {
        self.refused.clear();
        self.all.values_mut().for_each(HostedComponent::forget_refused);
    }

    /// Returns the files of the filters in use.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.all.keys().map(PathBuf::as_path)
    }
}
