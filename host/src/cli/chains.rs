//! Loads the filters of plugins for a command that does not follow their files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use gtm_host::config::{ChainFile, ConfigError, PluginSettings, Settings, chains};
use gtm_runtime::{Engine, Plugin, PluginHandle, Services};

use super::usage::settings_error;

/// Loads the chains of plugins, and each filter once.
pub(super) struct ChainLoader {
    engine: Engine,
    settings: Settings,
    chains: BTreeMap<String, Result<Vec<ChainFile>, ConfigError>>,
    loaded: BTreeMap<PathBuf, PluginHandle>,
}

impl ChainLoader {
    /// Makes a loader for the chains of these plugins.
    pub(super) fn new<'a>(
        engine: &Engine,
        settings: &Settings,
        plugins: impl IntoIterator<Item = (&'a str, &'a PluginSettings)>,
    ) -> Self {
        let (engine, settings, chains) = (engine.clone(), settings.clone(), chains(plugins));
        Self { engine, settings, chains, loaded: BTreeMap::new() }
    }

    /// Gives a plugin its chain. It may take seconds.
    ///
    /// # Errors
    /// A filter cannot be loaded.
    pub(super) fn add_chain(&mut self, plugin: &PluginHandle) -> anyhow::Result<()> {
        let files = self.chains.remove(plugin.name()).unwrap_or(Ok(Vec::new()));
        let mut filters = Vec::new();
        for file in files.map_err(|error| settings_error(error.into()))? {
            filters.push(self.filter(file)?);
        }
        plugin.set_chain(plugin.prepare_chain(filters)?);
        Ok(())
    }

    fn filter(&mut self, ChainFile { name, path }: ChainFile) -> anyhow::Result<PluginHandle> {
        if let Some(filter) = self.loaded.get(&path) {
            return Ok(filter.clone());
        }
        let loaded = Plugin::load(&self.engine, &path, &self.settings.filter_setup(&name));
        let filter = PluginHandle::new(loaded.with_context(|| unloaded(&name))?, Services::default());
        self.loaded.insert(path, filter.clone());
        Ok(filter)
    }
}

/// Returns the words for a filter that cannot be loaded.
pub(super) fn unloaded(name: &str) -> String {
    format!("the filter {name} cannot be loaded")
}
