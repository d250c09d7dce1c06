//! Names of pipelines and plugins that are typed, and whether the store has anything of them.

use std::collections::BTreeSet;

use anyhow::bail;
use gtm_host::config::Settings;
use gtm_host::store::Store;

/// To be called where nothing was found: fails if that is because the store has nothing of this pipeline, or of this plugin in it, while
/// it has something of others. A plugin of the settings file is known.
pub(super) async fn check(store: &Store, settings: &Settings, plugin: Option<&str>) -> anyhow::Result<()> {
    let (known, pipeline) = (store.known().await?, settings.name());
    if !known.is_empty() && known.iter().all(|known| known.pipeline != pipeline) {
        let there = listed(known.iter().map(|known| known.pipeline.as_str()));
        bail!("the store has no pipeline {pipeline}; it has: {there}. help: pass --name NAME");
    }
    let Some(plugin) = plugin.filter(|plugin| !settings.plugins.contains_key(*plugin)) else { return Ok(()) };
    let plugins =
        || known.iter().filter(|known| known.pipeline == pipeline).map(|known| known.plugin.as_str());
    if plugins().any(|name| name == plugin) {
        return Ok(());
    }
    let there = listed(plugins());
    let there = if there.is_empty() { "it has none".to_owned() } else { format!("it has: {there}") };
    bail!(
        "the store has no plugin {plugin} in the pipeline {pipeline}; {there}. help: pass --plugin NAME, and --name PIPELINE"
    )
}

/// Each name once.
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
}
