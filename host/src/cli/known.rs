//! Names of pipelines and plugins that are typed, and whether the store has anything of them.

use std::collections::BTreeSet;

use anyhow::bail;
use gtm_host::config::Settings;
use gtm_store::{KnownPlugin, Store};

/// To be called where nothing was found: fails if that is because the store has nothing of this pipeline, or of this plugin in it, while
/// it has something of others. A plugin of the settings file is known.
pub(super) async fn check(store: &Store, settings: &Settings, plugin: Option<&str>) -> anyhow::Result<()> {
    let known = of_pipeline(store, settings).await?;
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

/// To be called where no dead letter of a plugin was found that got its name on the command line: fails if the store has nothing of it.
pub(super) async fn check_letters(store: &Store, settings: &Settings, plugin: &str) -> anyhow::Result<()> {
    let known = of_pipeline(store, settings).await?;
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

/// What the store has of this pipeline. Fails if it has something of others only.
async fn of_pipeline(store: &Store, settings: &Settings) -> anyhow::Result<Vec<KnownPlugin>> {
    let (known, pipeline) = (store.known().await?, settings.name());
    if !known.is_empty() && known.iter().all(|known| known.pipeline != pipeline) {
        let there = listed(known.iter().map(|known| known.pipeline.as_str()));
        bail!("the store has no pipeline {pipeline}; it has: {there}. help: pass --name NAME");
    }
    Ok(known.into_iter().filter(|known| known.pipeline == pipeline).collect())
}

/// Names in one sentence, at most.
const MAX_LISTED: usize = 20;

/// Each name once; of many, the first, and how many more there are.
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
    fn many_names_are_not_all_listed() {
        assert_eq!(listed(["b", "a", "b"].into_iter()), "a, b");
        let names: Vec<_> = (10..40).map(|n| n.to_string()).collect();
        let listed = listed(names.iter().map(String::as_str));
        assert!(listed.starts_with("10, 11, ") && listed.ends_with(", 29 and 10 more"), "{listed}");
    }
}
