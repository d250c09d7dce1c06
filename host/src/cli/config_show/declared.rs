//! The values of the configs of plugins and filters that may be shown.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use gtm_host::config::{ChainFile, Settings, chains, quoted_key};
use gtm_runtime::{DeclaredSetting, Engine, Plugin, PluginSetup};

use crate::cli::compile_component::compilation;
use crate::cli::directories;

/// A plugin or filter with a config.
struct Configured {
    /// The key of its table: `plugins.x`.
    place: String,
    path: PathBuf,
    /// Its setup without the values: a secret is not read to show where it is.
    setup: PluginSetup,
    keys: Vec<String>,
}

/// Returns the keys of the values that are declared and not secret: `plugins.x.config.subject`.
///
/// It loads the plugins and filters that have a config, because only they know which of their settings are secret. If one cannot be loaded
/// or declares nothing, each of its values may be a secret.
pub(super) fn public_values(settings: &Settings) -> BTreeSet<String> {
    let mut public = BTreeSet::new();
    let configured = configured(settings);
    if configured.is_empty() {
        return public;
    }
    let Ok(cache) = directories::cache(settings) else { return public };
    let Ok(engine) = Engine::compiling(&cache, compilation()) else { return public };
    for Configured { place, path, setup, keys } in configured {
        let declared = match Plugin::load(&engine, &path, &setup) {
            Ok(plugin) => plugin.settings().map(<[DeclaredSetting]>::to_vec),
            Err(error) => error.declared().map(<[DeclaredSetting]>::to_vec),
        };
        let declared = declared.unwrap_or_default();
        let is_public =
            |key: &&String| declared.iter().any(|setting| setting.is_called(key) && !setting.is_secret);
        public.extend(keys.iter().filter(is_public).map(|key| format!("{place}.config.{}", quoted_key(key))));
    }
    public
}

fn configured(settings: &Settings) -> Vec<Configured> {
    let present = settings.present_plugins().unwrap_or_default();
    let chains = chains(present.iter().map(|(name, (_, own))| (name.as_str(), own)));
    let plugins = present.into_iter().map(|(name, (path, own))| {
        let setup = PluginSetup { sha256: own.sha256, ..PluginSetup::new(&name, settings.limits()) };
        let place = format!("plugins.{}", quoted_key(&name));
        Configured { place, path, setup, keys: own.config.into_keys().collect() }
    });
    let files = chains.into_values().flatten().flatten().map(|ChainFile { name, path }| (name, path));
    let filters = files.collect::<BTreeMap<_, _>>().into_iter().map(|(name, path)| {
        let mut setup = settings.filter_setup(&name);
        let keys = std::mem::take(&mut setup.config).into_keys().collect();
        Configured { place: format!("filters.{}", quoted_key(&name)), path, setup, keys }
    });
    plugins.chain(filters).filter(|configured| !configured.keys.is_empty()).collect()
}
