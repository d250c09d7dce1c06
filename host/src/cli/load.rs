//! Loads the plugins of the settings, and makes the services that the host has for them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use gtm_host::config::{MailSettings, PluginSettings, Settings, file_name, secret};
use gtm_runtime::{
    ComponentKind, Effect, Engine, LoadError, Mailer, MailerError, Plugin, PluginHandle, PluginSetup,
    Recorder, Services, places,
};
use gtm_store::Store;

use super::chains::ChainLoader;
use super::compile_component::compilation;
use super::grant_prompt::log_missing_grants;
use super::shared_settings::check_shared;
use super::usage::{OrUsage, settings_error};
use super::{DEFECT, directories};

/// Loads plugins.
#[derive(Clone)]
pub(super) struct Loader {
    engine: Engine,
}

impl Loader {
    pub(super) fn new(settings: &Settings) -> anyhow::Result<Self> {
        // Errors in the settings are reported when the plugins are loaded.
        let present = settings.present_plugins().unwrap_or_default();
        let lanes = |own: &PluginSettings| own.policy(settings.policy()).delivery.active_lanes();
        let files = present.values().flat_map(|(path, own)| {
            let filters = own.filters.iter().map(|path| (path, ComponentKind::Filter));
            let both = [(path, ComponentKind::Plugin)].into_iter().chain(filters);
            both.map(move |(path, kind)| (path.as_path(), kind, lanes(own)))
        });
        let places = places(files);
        Ok(Self { engine: Engine::sized(&directories::cache(settings)?, compilation(), places)? })
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Loads the plugin or filter in this file. It may take seconds.
    pub(super) fn load_now(&self, path: &Path, setup: &PluginSetup) -> Result<Plugin, LoadError> {
        Plugin::load(&self.engine, path, setup)
    }

    /// Loads the plugin or filter in this file on a thread that may block.
    pub(super) async fn load(&self, path: &Path, setup: &PluginSetup) -> anyhow::Result<Plugin> {
        let (loader, path, setup) = (self.clone(), path.to_owned(), setup.clone());
        let started = Instant::now();
        let load = move || loader.load_now(&path, &setup);
        let plugin = tokio::task::spawn_blocking(load).await.context(DEFECT)??;
        tracing::info!(
            event = "plugin.load",
            plugin = plugin.name(),
            version = plugin.version(),
            elapsed_ms = started.elapsed().as_millis(),
            "loaded"
        );
        Ok(plugin)
    }
}

/// Loads a component as a plugin, or as a filter if it is one.
pub(super) fn load_either(
    engine: &Engine,
    path: &Path,
    plugin: &PluginSetup,
    filter: &PluginSetup,
) -> Result<Plugin, LoadError> {
    match Plugin::load(engine, path, plugin) {
        Err(LoadError::IsFilter { .. }) => Plugin::load(engine, path, filter),
        loaded => loaded,
    }
}

/// Returns the setup of a file that may be a filter: with the values for a plugin in this file, since they were set for the file.
pub(super) fn setup_as_filter(settings: &Settings, path: &Path, plugin: &PluginSetup) -> PluginSetup {
    let mut filter = settings.filter_setup(&file_name(path));
    filter.config.extend(plugin.config.clone());
    filter.shared_config.clone_from(&plugin.shared_config);
    filter
}

/// Reserves places for the instances of a plugin and its lanes.
///
/// # Errors
/// Fails if too few places are left.
pub(super) fn reserve(
    plugin: &PluginHandle,
    own: &PluginSettings,
    settings: &Settings,
) -> anyhow::Result<()> {
    let lanes = own.policy(settings.policy()).delivery.active_lanes();
    plugin.reserve(lanes).with_context(|| format!("the plugin {} has no room in this host", plugin.name()))
}

/// Returns the plugins of the settings by their names, with their paths.
///
/// # Errors
/// Fails if the settings name a plugin without a path, or a filter that no plugin has.
pub(super) fn present(settings: &Settings) -> anyhow::Result<BTreeMap<String, (PathBuf, PluginSettings)>> {
    let present = settings.check_filters().and_then(|()| settings.present_plugins());
    present.map_err(|error| settings_error(error.into()))
}

/// Loads each plugin with its settings.
pub(super) async fn load(
    loader: &Loader,
    settings: &Settings,
) -> anyhow::Result<Vec<(Plugin, PluginSettings)>> {
    let mut plugins = Vec::new();
    for (name, (path, plugin)) in present(settings)? {
        let loaded = loader.load(&path, &plugin.setup(&name, settings.limits())).await?;
        plugins.push((loaded, plugin));
    }
    check_shared(settings, plugins.iter().map(|(plugin, _)| plugin))?;
    Ok(plugins)
}

/// Loads each plugin for a replay of files: with mail if it is granted, and without a cluster.
pub(super) async fn load_for_files(
    settings: &Settings,
) -> anyhow::Result<Vec<(PluginHandle, PluginSettings)>> {
    check_mail(settings)?;
    let loader = Loader::new(settings)?;
    let plugins = load(&loader, settings).await?;
    let services = services(settings).await?;
    plugins.iter().for_each(|(plugin, _)| log_missing_grants(plugin, &services, "ends the replay"));
    let plugins: Vec<_> =
        plugins.into_iter().map(|(plugin, own)| (PluginHandle::new(plugin, services.clone()), own)).collect();
    let own = plugins.iter().map(|(plugin, own)| (plugin.name(), own));
    let mut chains = ChainLoader::new(&loader.engine, settings, own);
    let with_chains = move || {
        plugins.iter().try_for_each(|(plugin, _)| chains.add_chain(plugin))?;
        Ok(plugins)
    };
    tokio::task::spawn_blocking(with_chains).await.context(DEFECT)?
}

/// Returns the services for plugins without the cluster and the store.
pub(super) async fn services(settings: &Settings) -> anyhow::Result<Services> {
    let recorder = settings.dry_run.then(|| Recorder::new(log_effect));
    Ok(Services { mailer: mailer(settings).await?, recorder, ..Services::default() })
}

/// Adds the store in which plugins of this pipeline keep their state.
pub(super) fn with_store(services: Services, settings: &Settings, store: &Store) -> Services {
    Services { store: Some((store.clone(), settings.name().into())), ..services }
}

/// Logs an effect that a dry run does not perform.
fn log_effect(effect: Effect) {
    let Effect { plugin, op, capability, what } = effect;
    tracing::info!(
        event = "dry_run.record", plugin = &*plugin, op, capability, effect = %what,
        "not done in a dry run"
    );
}

/// Checks the settings of the mail server before anything that takes long.
pub(super) fn check_mail(settings: &Settings) -> anyhow::Result<()> {
    unasked_mailer(settings).map(drop)
}

/// Returns a mailer that has not connected yet.
fn unasked_mailer(settings: &Settings) -> anyhow::Result<Option<Mailer>> {
    let MailSettings { url, url_file, from } = &settings.mail;
    let url = match &settings.for_this_run.smtp {
        Some(url) => Some(url.expose().to_owned()),
        None => secret(url.as_ref(), url_file.as_deref())?,
    };
    let mailer = url.map(|url| Mailer::new(&url, from.as_deref())).transpose();
    let in_words = |error| match error {
        // The words of the library for smtp:// alone.
        MailerError::Url(reason) if reason.ends_with("host undefined") => {
            MailerError::Url("it names no host".to_owned())
        }
        other => other,
    };
    mailer.map_err(in_words).or_usage()
}

async fn mailer(settings: &Settings) -> anyhow::Result<Option<Mailer>> {
    let Some(mailer) = unasked_mailer(settings)? else { return Ok(None) };
    if settings.dry_run {
        return Ok(Some(mailer));
    }
    if let Err(reason) = mailer.check().await {
        let attempts = settings.retry.max_attempts;
        tracing::warn!(
            event = "mail.check_failed", max_attempts = attempts, error = %reason,
            "the mail server cannot be used now; the host retries each mail"
        );
    }
    Ok(Some(mailer))
}
