//! Checks the values that are set for all plugins. Each must be that of a setting of at least one plugin.

use std::collections::BTreeSet;

use anyhow::{Error, anyhow};
use gtm_host::config::{Settings, nearest};
use gtm_runtime::{DeclaredSetting, LoadError, Plugin};

use super::usage::UsageError;

/// What is known of the settings of a plugin.
enum KnownSettings<'a> {
    Declared(&'a [DeclaredSetting]),
    /// It accepts any.
    Any,
    /// It cannot be loaded.
    Unknown,
}

/// A value that no plugin has a setting for, as far as their settings are known.
pub(super) struct UnusedValue {
    pub(super) error: Error,
    /// Whether a plugin that cannot be loaded may have the setting.
    pub(super) may_be_used: bool,
}

/// Finds a value which is set for all plugins and is not that of a setting of any of them: of those that were loaded, and of those that
/// could not be loaded, each with its name and the error.
pub(super) fn unused_value<'a>(
    settings: &Settings,
    loaded: impl IntoIterator<Item = &'a Plugin>,
    failed: impl IntoIterator<Item = (&'a str, &'a Error)>,
) -> Option<UnusedValue> {
    let loaded = loaded
        .into_iter()
        .map(|plugin| (plugin.name(), plugin.settings().map_or(KnownSettings::Any, KnownSettings::Declared)));
    let failed = failed.into_iter().map(|(name, error)| (name, of_failed(error)));
    let (mut names, mut declared, mut unknown) = (BTreeSet::new(), Vec::new(), BTreeSet::new());
    for (name, known) in loaded.chain(failed) {
        match known {
            KnownSettings::Any => return None,
            KnownSettings::Unknown => drop(unknown.insert(name)),
            KnownSettings::Declared(of_plugin) => {
                names.insert(name);
                declared.extend(of_plugin);
            }
        }
    }
    let is_known = |key: &str| declared.iter().any(|setting| setting.is_called(key));
    let shared = settings.plugins.values().chain([&settings.every_plugin]).flat_map(|own| &own.shared_config);
    let key = shared.into_iter().find(|key| !names.is_empty() && !is_known(key))?;
    let known: BTreeSet<_> = declared.iter().map(|setting| setting.name.as_str()).collect();
    let meant = nearest(key, known.iter().copied()).map(|name| format!(" (did you mean {name}?)"));
    let but = match listed(&unknown) {
        none if none.is_empty() => none,
        unknown => format!("the settings of {unknown} are not known, and "),
    };
    let error = anyhow!(
        "{but}none of the plugins {} has the setting {key}{}. help: {}",
        listed(&names),
        meant.unwrap_or_default(),
        match listed(&known).as_str() {
            "" => "remove it: they have no settings".to_owned(),
            known => format!("their settings are {known}"),
        }
    );
    Some(match unknown.is_empty() {
        true => UnusedValue { error: UsageError(error).into(), may_be_used: false },
        false => UnusedValue { error, may_be_used: true },
    })
}

/// Returns what an error tells about the settings of its plugin. An error of one of its filters tells nothing.
fn of_failed(error: &Error) -> KnownSettings<'_> {
    let error: &(dyn std::error::Error + 'static) = error.as_ref();
    let declared = error.downcast_ref::<LoadError>().and_then(LoadError::declared);
    declared.map_or(KnownSettings::Unknown, KnownSettings::Declared)
}

fn listed(names: &BTreeSet<&str>) -> String {
    names.iter().copied().collect::<Vec<_>>().join(", ")
}

/// Checks that each value which is set for all plugins is that of a setting of at least one of them.
///
/// # Errors
/// Fails if none of the plugins has such a setting.
pub(super) fn check_shared<'a>(
    settings: &Settings,
    plugins: impl IntoIterator<Item = &'a Plugin>,
) -> anyhow::Result<()> {
    match unused_value(settings, plugins, []) {
        Some(UnusedValue { error, .. }) => Err(error),
        None => Ok(()),
    }
}
