//! Checks whether the store knows the pipelines and plugins that a command names.

use std::collections::BTreeSet;

use anyhow::bail;
use gtm_host::config::Settings;
use gtm_store::{KnownPlugin, Store};

/// Checks the names after a command found nothing.
///
/// # Errors
/// Fails if the store has data of other pipelines or plugins only. A plugin of the settings file counts as known.
pub(super) async fn check_plugin(
    store: &Store,
    settings: &Settings,
    plugin: Option<&str>,
) -> anyhow::Result<()> {
    let known = plugins_of_pipeline(store, settings).await?;
    let Some(plugin) = plugin.filter(|plugin| !settings.plugins.contains_key(*plugin)) else { return Ok(()) };
    let plugins = || known.iter().map(|known| known.plugin.as_str());
    if plugins().any(|name| name == plugin) {
        return Ok(());
    }
    let there = listed(plugins());
    let there = if there.is_empty() { "it has none".to_owned() } else { format!("it has: {there}") };
    bail!(
        "the store has no plugin {plugin} in the pipeline {}; {there}. help: pass --plugin NAME, and --name PIPELINE",
        settings.name()
    )
}

/// Checks the name of a plugin from the command line after no dead letter of it was found.
///
/// # Errors
/// Fails if the store has no data of the plugin.
pub(super) async fn check_dead_letters(
    store: &Store,
    settings: &Settings,
    plugin: &str,
) -> anyhow::Result<()> {
    let known = plugins_of_pipeline(store, settings).await?;
    if known.iter().any(|known| known.plugin == plugin) {
        return Ok(());
    }
    let there = listed(known.iter().filter(|known| known.has_letters).map(|known| known.plugin.as_str()));
    let there =
        if there.is_empty() { "no plugin has any".to_owned() } else { format!("these have some: {there}") };
    bail!(
        "the plugin {plugin} has no dead letters in the pipeline {}; {there}. help: pass --plugin NAME, and --name PIPELINE",
        settings.name()
    )
}

/// Returns the plugins of this pipeline in the store.
///
/// # Errors
/// Fails if the store has data of other pipelines only.
async fn plugins_of_pipeline(store: &Store, settings: &Settings) -> anyhow::Result<Vec<KnownPlugin>> {
    let (known, pipeline) = (store.known().await?, settings.name());
    if !known.is_empty() && known.iter().all(|known| known.pipeline != pipeline) {
        let there = listed(known.iter().map(|known| known.pipeline.as_str()));
        bail!("the store has no pipeline {pipeline}; it has: {there}. help: pass --name NAME");
    }
    Ok(known.into_iter().filter(|known| known.pipeline == pipeline).collect())
}

/// The maximum number of names in a sentence.
const MAX_LISTED: usize = 20;

/// Lists each name once: up to [`MAX_LISTED`] names, and the number of the others.
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect::<BTreeSet<_>>().into_iter().collect();
    let listed = names.iter().take(MAX_LISTED).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MAX_LISTED) {
        0 => listed,
        more => format!("{listed} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_of_names_is_cut() {
        assert_eq!(listed(["b", "a", "b"].into_iter()), "a, b");
        let names: Vec<_> = (10..40).map(|n| n.to_string()).collect();
        let listed = listed(names.iter().map(String::as_str));
        assert!(listed.starts_with("10, 11, ") && listed.ends_with(", 29 and 10 more"), "{listed}");
    }
}
