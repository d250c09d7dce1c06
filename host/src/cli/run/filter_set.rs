//! The filters of the plugins of a running host. Each is loaded once, for all plugins that have it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use gtm_host::config::{PluginSettings, Settings, file_name};
use gtm_runtime::{Actor, PluginHandle, Services};

use super::hosted::HostedComponent;
use super::watch::signature;
use crate::cli::load::Loader;

/// The filters of a host, by their names.
#[derive(Default)]
pub(super) struct FilterSet(BTreeMap<String, HostedComponent>);

impl FilterSet {
    /// Returns the filters of a plugin, in their order. Those that are new are loaded.
    ///
    /// # Errors
    /// Fails if a filter cannot be loaded: its plugin must not get what the filter would refuse.
    pub(super) async fn of(
        &mut self,
        plugin: &PluginSettings,
        loader: &Loader,
        settings: &Settings,
    ) -> anyhow::Result<Vec<PluginHandle>> {
        let mut filters = Vec::new();
        for path in &plugin.filters {
            let name = file_name(path);
            if let Some(hosted) = self.0.get(&name) {
                filters.push(hosted.handle.clone());
                continue;
            }
            let (seen, setup) = (signature(path), settings.filter_setup(&name));
            let loaded = loader.load(path, &setup).await;
            let loaded = loaded.with_context(|| format!("the filter {name} cannot be loaded"))?;
            let handle = PluginHandle::new(loaded, Services::default());
            filters.push(handle.clone());
            self.0.insert(name, HostedComponent { handle, path: path.clone(), seen, setup });
        }
        Ok(filters)
    }

    /// Swaps the filters whose files have changed, updates those whose settings have, and removes those that no plugin has any more.
    pub(super) async fn reconcile(
        &mut self,
        present: &BTreeMap<String, PathBuf>,
        settings: &Settings,
        loader: &Loader,
        actor: Actor,
    ) {
        self.0.retain(|name, _| present.contains_key(name));
        for (name, hosted) in &mut self.0 {
            let Some(path) = present.get(name) else { continue };
            let setup = settings.filter_setup(name);
            if hosted.is_set_up(path, &setup) {
                hosted.swap_changed_file(actor).await;
            } else {
                hosted.update(path, setup, loader, actor, |_| {}).await;
            }
        }
    }

    /// Swaps the filters whose files have changed.
    pub(super) async fn swap_changed_files(&mut self, actor: Actor) {
        for hosted in self.0.values_mut() {
            hosted.swap_changed_file(actor).await;
        }
    }
}
