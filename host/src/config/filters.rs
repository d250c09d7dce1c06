//! The filters that run before those of plugins.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use gtm_runtime::{ComponentDigest, ComponentKind, Limits, PluginSetup};
use serde::Deserialize;

use super::plugins::{ConfigValue, LimitSettings, PluginSettings, secrets, secrets_of};
use super::{ConfigError, Settings, file_name, is_same_file};

/// The settings of a filter, by its name: that of its file. All plugins with the filter share them, because they share the filter.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilterSettings {
    /// The SHA-256 that the component must have.
    pub sha256: Option<ComponentDigest>,
    /// What it may use.
    pub limits: LimitSettings,
    /// What it reads as its configuration.
    pub config: BTreeMap<String, ConfigValue>,
}

impl FilterSettings {
    /// Returns the setup of the filter with this name. `limits` are those of all plugins.
    pub fn setup(&self, name: &str, limits: Limits) -> PluginSetup {
        PluginSetup {
            kind: ComponentKind::Filter,
            config: secrets(&self.config),
            sha256: self.sha256.clone(),
            ..PluginSetup::new(name, self.limits.over(limits))
        }
    }

    /// Resolves paths against this directory.
    pub(super) fn resolve(&mut self, directory: &Path) {
        secrets_of(&mut self.config).for_each(|secret| secret.resolve(directory));
    }
}

/// A filter in the chain of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainFile {
    /// The name of the filter.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
}

/// Returns the filters of each of these plugins, in their order. A filter that a plugin lists twice is in its chain once. An error is that
/// of one plugin: a filter has the name of a plugin, or of another filter, which may be that of a plugin before it.
pub fn chains<'a>(
    plugins: impl IntoIterator<Item = (&'a str, &'a PluginSettings)>,
) -> BTreeMap<String, Result<Vec<ChainFile>, ConfigError>> {
    let plugins: Vec<_> = plugins.into_iter().collect();
    let names: BTreeSet<_> = plugins.iter().map(|(name, _)| *name).collect();
    let mut files: BTreeMap<String, &PathBuf> = BTreeMap::new();
    let mut chain = |own: &'a PluginSettings| {
        let mut chain: Vec<ChainFile> = Vec::new();
        for path in &own.filters {
            let name = file_name(path);
            if names.contains(&*name) {
                return Err(ConfigError::FilterAndPlugin { name });
            }
            let first = *files.entry(name.clone()).or_insert(path);
            if !is_same_file(first, path) {
                let (one, other) = (first.clone(), path.clone());
                return Err(ConfigError::SameFilter { name, one, other });
            }
            if chain.iter().all(|listed| listed.name != name) {
                chain.push(ChainFile { name, path: first.clone() });
            }
        }
        Ok(chain)
    };
    plugins.into_iter().map(|(name, own)| (name.to_owned(), chain(own))).collect()
}

impl Settings {
    /// Returns the files of the filters of all plugins.
    pub(super) fn filter_paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.plugins.values().chain([&self.every_plugin]).flat_map(|plugin| &plugin.filters)
    }

    /// Returns whether a plugin has a filter of this name.
    pub fn has_filter(&self, name: &str) -> bool {
        self.filter_paths().any(|path| file_name(path) == name)
    }

    /// Returns the setup of the filter with this name.
    pub fn filter_setup(&self, name: &str) -> PluginSetup {
        self.filters.get(name).cloned().unwrap_or_default().setup(name, self.limits())
    }

    /// Checks that each filter with settings belongs to a plugin.
    ///
    /// # Errors
    /// A filter belongs to none.
    pub fn check_filters(&self) -> Result<(), ConfigError> {
        match self.filters.keys().find(|name| !self.has_filter(name)) {
            Some(name) => Err(ConfigError::UnusedFilter { name: name.clone() }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(filters: &[&str]) -> PluginSettings {
        PluginSettings { filters: filters.iter().map(PathBuf::from).collect(), ..PluginSettings::default() }
    }

    #[test]
    fn an_error_in_a_chain_is_that_of_one_plugin() {
        let plugins = [
            ("a", own(&["eu/region.wasm", "sample.wasm", "eu/region.wasm"])),
            ("b", own(&["us/region.wasm"])),
            ("c", own(&["a.wasm"])),
            ("d", own(&["sample.wasm"])),
        ];
        let chains = chains(plugins.iter().map(|(name, own)| (*name, own)));
        let names = |plugin: &str| {
            let chain = chains[plugin].as_ref().unwrap();
            chain.iter().map(|filter| filter.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names("a"), ["region", "sample"], "a filter that is listed twice runs once");
        assert_eq!(names("d"), ["sample"]);
        let said = |plugin: &str| chains[plugin].as_ref().unwrap_err().to_string();
        assert!(
            said("b").contains("eu/region.wasm and us/region.wasm are both called region"),
            "{}",
            said("b")
        );
        assert!(said("c").contains("a plugin and a filter are both called a"), "{}", said("c"));
    }
}
