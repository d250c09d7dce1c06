//! Plugins, loaded as the settings say, and what the host has for them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use gtm_host::config::{MailSettings, PluginSettings, Settings, secret};
use gtm_runtime::{
    Effect, Engine, Limits, LoadError, Mailer, Plugin, PluginHandle, Recorder, Services, places,
};
use gtm_store::Store;

use super::asking::say_gaps;
use super::compile_component::compilation;
use super::usage::{OrUsage, of_settings};
use super::{DEFECT, directories};

/// Loads plugins.
#[derive(Clone)]
pub(super) struct Loader {
    engine: Engine,
}

impl Loader {
    pub(super) fn new(settings: &Settings) -> anyhow::Result<Self> {
        // What is wrong with the settings is said when the plugins are loaded.
        let present = settings.present_plugins().unwrap_or_default();
        let lanes = |own: &PluginSettings| own.policy(settings.policy()).delivery.lanes_at_work();
        let places = places(present.values().map(|(path, own)| (path.as_path(), lanes(own))));
        Ok(Self { engine: Engine::sized(&directories::cache(settings)?, compilation(), places)? })
    }

    /// The plugin in this file; `limits` are those of all plugins. It may take seconds.
    pub(super) fn load_now(
        &self,
        name: &str,
        path: &Path,
        plugin: &PluginSettings,
        limits: Limits,
    ) -> Result<Plugin, LoadError> {
        Plugin::load(&self.engine, path, &plugin.setup(name, limits))
    }

    /// The same, on a thread that may wait for it.
    pub(super) async fn load(
        &self,
        name: &str,
        path: &Path,
        plugin: &PluginSettings,
        limits: Limits,
    ) -> anyhow::Result<Plugin> {
        let (loader, name, path, own) = (self.clone(), name.to_owned(), path.to_owned(), plugin.clone());
        let started = Instant::now();
        let load = move || loader.load_now(&name, &path, &own, limits);
        let plugin = tokio::task::spawn_blocking(load).await.context(DEFECT)??;
        tracing::info!(
            plugin = plugin.name(),
            "loaded version {} in {} ms",
            plugin.version(),
            started.elapsed().as_millis()
        );
        Ok(plugin)
    }
}

/// Reserves what a plugin needs with its lanes, beside the others.
///
/// # Errors
/// There is too little left for it.
pub(super) fn reserve(
    plugin: &PluginHandle,
    own: &PluginSettings,
    settings: &Settings,
) -> anyhow::Result<()> {
    let lanes = own.policy(settings.policy()).delivery.lanes_at_work();
    plugin
        .reserve(lanes)
        .with_context(|| format!("the plugin {} has no room beside the others", plugin.name()))
}

/// The plugins that there are. One that has no path was not said where it is.
pub(super) fn present(settings: &Settings) -> anyhow::Result<BTreeMap<String, (PathBuf, PluginSettings)>> {
    settings.present_plugins().map_err(|error| of_settings(error.into()))
}

/// Loads each plugin that there is, with what is set for it.
pub(super) async fn load(
    loader: &Loader,
    settings: &Settings,
) -> anyhow::Result<Vec<(Plugin, PluginSettings)>> {
    let mut plugins = Vec::new();
    for (name, (path, plugin)) in present(settings)? {
        let loaded = loader.load(&name, &path, &plugin, settings.limits()).await?;
        plugins.push((loaded, plugin));
    }
    Ok(plugins)
}

/// Loads each plugin for use over files: with mail, if it is granted, and without a cluster.
pub(super) async fn load_for_files(
    settings: &Settings,
) -> anyhow::Result<Vec<(PluginHandle, PluginSettings)>> {
    check_mail(settings)?;
    let plugins = load(&Loader::new(settings)?, settings).await?;
    let services = services(settings).await?;
    plugins.iter().for_each(|(plugin, _)| say_gaps(plugin, &services, "ends the replay"));
    Ok(plugins.into_iter().map(|(plugin, own)| (PluginHandle::new(plugin, services.clone()), own)).collect())
}

/// What the host has for plugins, but for the cluster and the store.
pub(super) async fn services(settings: &Settings) -> anyhow::Result<Services> {
    let recorder = settings.dry_run.then(|| Recorder::new(say));
    Ok(Services { mailer: mailer(settings).await?, recorder, ..Services::default() })
}

/// The same, with where plugins of this pipeline keep their state.
pub(super) fn with_store(services: Services, settings: &Settings, store: &Store) -> Services {
    Services { store: Some((store.clone(), settings.name().into())), ..services }
}

/// Says what would be done.
fn say(effect: Effect) {
    let Effect { plugin, op, capability, what } = effect;
    tracing::info!(plugin = &*plugin, op, "dry run, not done: {capability} {what}");
}

/// Makes sure that what is said of the mail server can be understood, before anything that takes long.
pub(super) fn check_mail(settings: &Settings) -> anyhow::Result<()> {
    unasked_mailer(settings).map(drop)
}

/// A mailer whose server was not asked anything yet.
fn unasked_mailer(settings: &Settings) -> anyhow::Result<Option<Mailer>> {
    let MailSettings { url, url_file, from } = &settings.mail;
    let url = match &settings.for_this_run.smtp {
        Some(url) => Some(url.expose().to_owned()),
        None => secret(url.as_ref(), url_file.as_deref())?,
    };
    url.map(|url| Mailer::new(&url, from.as_deref())).transpose().or_usage()
}

async fn mailer(settings: &Settings) -> anyhow::Result<Option<Mailer>> {
    let Some(mailer) = unasked_mailer(settings)? else { return Ok(None) };
    if settings.dry_run {
        return Ok(Some(mailer));
    }
    if let Err(reason) = mailer.check().await {
        let attempts = settings.retry.max_attempts;
        tracing::warn!("the mail server cannot be used now; each mail is tried {attempts} times: {reason}");
    }
    Ok(Some(mailer))
}
