//! The values of plugins' configs that may be shown.

use std::collections::BTreeSet;

use gtm_host::config::{Settings, quoted_key};
use gtm_runtime::{DeclaredSetting, Engine, LoadError, Plugin, PluginSetup};

use crate::cli::compile_component::compilation;
use crate::cli::directories;

/// Returns the keys of the values that no plugin declares as secret: `plugins.x.config.subject`.
///
/// It loads the plugins that have a config, because only they know which of their settings are secret. If a plugin cannot be loaded or
/// declares nothing, each of its values may be a secret.
pub(super) fn public_values(settings: &Settings) -> BTreeSet<String> {
    let mut public = BTreeSet::new();
    let with_config: Vec<_> = settings
        .present_plugins()
        .unwrap_or_default()
        .into_iter()
        .filter(|(_, (_, own))| !own.config.is_empty())
        .collect();
    if with_config.is_empty() {
        return public;
    }
    let Ok(cache) = directories::cache(settings) else { return public };
    let Ok(engine) = Engine::compiling(&cache, compilation()) else { return public };
    for (name, (path, own)) in with_config {
        // Without its values: a secret is not read to show where it is.
        let mut setup = PluginSetup::new(&name, settings.limits());
        setup.sha256.clone_from(&own.sha256);
        let declared = match Plugin::load(&engine, &path, &setup) {
            Ok(plugin) => plugin.settings().map(<[DeclaredSetting]>::to_vec),
            Err(LoadError::Settings { declared, .. } | LoadError::Refused { declared, .. }) => Some(declared),
            Err(_) => None,
        };
        let declared = declared.unwrap_or_default();
        let is_public =
            |key: &&String| declared.iter().any(|setting| setting.is_called(key) && !setting.is_secret);
        let place = |key: &String| format!("plugins.{}.config.{}", quoted_key(&name), quoted_key(key));
        public.extend(own.config.keys().filter(is_public).map(place));
    }
    public
}
