//! Plugins, loaded as the settings say.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Context;
use gtm_host::config::{Mail, Settings, secret};
use gtm_host::plugin::{Engine, Limits, Mailer, Plugin};
use gtm_host::source::Selection;

use super::{DEFECT, directories};

/// Loads each plugin, with what it subscribed to.
pub(super) async fn load(settings: &Settings) -> anyhow::Result<Vec<(Plugin, Selection)>> {
    let mailer = mailer(settings).await?;
    let engine = Engine::new(&directories::cache(settings)?)?;
    let limits = Limits::from(settings.limits);
    let mut plugins = Vec::new();
    for (name, plugin) in &settings.plugins {
        let (engine, mailer, name, path) =
            (engine.clone(), mailer.clone(), name.clone(), plugin.path.clone());
        let config: BTreeMap<_, _> =
            plugin.config.iter().map(|(key, value)| (key.clone(), value.to_string())).collect();
        let started = Instant::now();
        let load = move || Plugin::load(&engine, &name, &path, limits, config, mailer);
        let plugin = tokio::task::spawn_blocking(load).await.context(DEFECT)??;
        tracing::info!(plugin = plugin.name(), "loaded in {} ms", started.elapsed().as_millis());
        let selection = selection(&plugin)?;
        plugins.push((plugin, selection));
    }
    Ok(plugins)
}

async fn mailer(settings: &Settings) -> anyhow::Result<Option<Mailer>> {
    let Mail { url, url_file, from } = &settings.mail;
    let Some(url) = secret(url.as_deref(), url_file.as_deref())? else { return Ok(None) };
    let mailer = Mailer::new(&url, from.as_deref())?;
    if let Err(reason) = mailer.check().await {
        let attempts = settings.retry.max_attempts;
        tracing::warn!("the mail server cannot be used now; each mail is tried {attempts} times: {reason}");
    }
    Ok(Some(mailer))
}

fn selection(plugin: &Plugin) -> anyhow::Result<Selection> {
    if plugin.subscriptions().is_empty() {
        return Ok(Selection::everything());
    }
    let mut selection = Selection::default();
    for (namespace, operations) in plugin.subscriptions() {
        let operations: Vec<_> = operations.iter().copied().map(Into::into).collect();
        let subscribes = || format!("the plugin {} subscribes to \"{namespace}\"", plugin.name());
        selection.add(namespace, &operations).with_context(subscribes)?;
    }
    Ok(selection)
}
