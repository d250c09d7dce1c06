//! `gtm-host dead-letters retry`

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::bail;
use gtm_host::config::{PluginSettings, Settings};
use gtm_runtime::{Actor, Failure, Filter, Handler, PluginHandle, Services};
use gtm_store::{DeadLetter, DeadLetterKind, Store};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Letters;
use crate::cli::arguments::{Format, RetryArguments};
use crate::cli::chains::ChainLoader;
use crate::cli::known_names;
use crate::cli::load::{Loader, check_mail, present, services, with_store};
use crate::cli::output::{print_json, print_text};
use crate::cli::server::client_for_plugins;

pub(super) async fn run(
    arguments: &RetryArguments,
    settings: &Settings,
    store: &Store,
    shutdown: &CancellationToken,
) -> anyhow::Result<ExitCode> {
    for file in &arguments.files_as_plugins {
        tracing::warn!(
            event = "command.rename_option",
            option = "--plugin",
            help = format!("pass it as --file {file}"),
            "--plugin is the name of a plugin now; taking its value for a file"
        );
    }
    let plugin = arguments.plugin()?;
    check_mail(settings)?;
    let mut letters = Letters::chosen(store, settings, &arguments.which, plugin)?;
    let mut handlers = Handlers::new(settings, store, plugin).await?;
    let (mut handled, mut unwanted, mut failed, mut left) = (0_u64, 0_u64, 0_u64, 0_u64);
    while !shutdown.is_cancelled()
        && let Some(letter) = letters.next().await?
    {
        let Some(instances) = handlers.of(&letter.plugin).await? else {
            tracing::warn!(
                event = "dead_letter.skip",
                plugin = letter.plugin,
                dead_letter = letter.id,
                help = format!(
                    "pass --file {}=FILE, or --config FILE with the settings of the host",
                    letter.plugin
                ),
                "the dead letter is left: the file of its plugin is not known"
            );
            left += 1;
            continue;
        };
        let (id, plugin) = (letter.id.clone(), letter.plugin.clone());
        let record = |became: &str| {
            Actor::Command.did("retry dead letter", &plugin, Some(&format!("{id}, {became}")));
        };
        let attempted = attempt(instances, letter).await;
        match attempted.inspect_err(|_| record("which stays as it is"))? {
            RetryOutcome::Handled => {
                record("which is handled");
                store.drop_dead_letter(&id).await?;
                handled += 1;
            }
            RetryOutcome::Unwanted => {
                record("which the plugin does not want any more");
                tracing::info!(
                    event = "dead_letter.unwanted",
                    plugin,
                    dead_letter = id,
                    "a filter refuses the op now; the dead letter is removed"
                );
                store.drop_dead_letter(&id).await?;
                unwanted += 1;
            }
            RetryOutcome::Failed(letter) => {
                record("which failed again");
                tracing::warn!(
                    event = "dead_letter.retry_failed",
                    plugin = letter.plugin,
                    dead_letter = letter.id,
                    error = letter.error,
                    "the dead letter failed again"
                );
                store.add_dead_letter(&letter).await?;
                failed += 1;
            }
        }
    }
    left += letters.unreadable;
    if handled + unwanted + failed + left == 0 {
        // If --file has a file, the settings contain the name in --plugin, even if no plugin has that name.
        match plugin.filter(|_| arguments.is_file_typed) {
            Some(plugin) => known_names::check_dead_letters(store, settings, plugin).await?,
            None => known_names::check_plugin(store, settings, plugin).await?,
        }
    }
    match arguments.place.output {
        Format::Text => {
            let refused =
                if unwanted > 0 { format!("{unwanted} not wanted any more, ") } else { String::new() };
            print_text(&format!("{handled} handled, {refused}{failed} failed again, {left} left"))?
        }
        Format::Json => {
            print_json(&json!({ "handled": handled, "unwanted": unwanted, "failed": failed, "left": left }))?
        }
    };
    Ok(if failed + left == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The result of a retry.
enum RetryOutcome {
    Handled,
    /// A filter refuses the op.
    Unwanted,
    /// It failed again. The letter has the new error.
    Failed(Box<DeadLetter>),
}

/// The instances of a plugin.
struct RetryInstances {
    filter: Filter,
    handler: Handler,
}

/// The instances of plugins. Each plugin is loaded for its first letter, with its filters.
struct Handlers<'a> {
    settings: &'a Settings,
    present: BTreeMap<String, (PathBuf, PluginSettings)>,
    loader: Loader,
    chains: ChainLoader,
    services: Services,
    loaded: HashMap<String, RetryInstances>,
}

impl<'a> Handlers<'a> {
    /// Returns the handlers of this plugin, or of all plugins.
    async fn new(settings: &'a Settings, store: &Store, plugin: Option<&str>) -> anyhow::Result<Self> {
        let mut present = present(settings)?;
        let loader = Loader::new(settings)?;
        let own = present.iter().map(|(name, (_, own))| (name.as_str(), own));
        let chains = ChainLoader::new(loader.engine(), settings, own);
        if let Some(plugin) = plugin {
            let there = present.keys().cloned().collect::<Vec<_>>().join(", ");
            present.retain(|name, _| name == plugin);
            if present.is_empty() {
                bail!(
                    "the file of the plugin {plugin} is not known; there are: {there}. help: pass --file {plugin}=FILE, or --config \
                     FILE with the settings of the host"
                );
            }
        }
        // If the store is a directory, the server may be down.
        let client = match present.values().any(|(_, own)| own.grants.of("mongodb").is_some()) {
            true => Some(client_for_plugins(settings).await?),
            false => None,
        };
        let services = Services { client, ..with_store(services(settings).await?, settings, store) };
        Ok(Self { settings, present, loader, chains, services, loaded: HashMap::new() })
    }

    /// Returns the instances of a plugin. None: its file is not known.
    async fn of(&mut self, plugin: &str) -> anyhow::Result<Option<&mut RetryInstances>> {
        if !self.loaded.contains_key(plugin)
            && let Some((path, own)) = self.present.get(plugin)
        {
            let loaded = self.loader.load(path, &own.setup(plugin, self.settings.limits())).await?;
            let handle = PluginHandle::new(loaded, self.services.clone());
            self.chains.add_chain(&handle)?;
            let instances = RetryInstances { filter: Filter::new(&handle), handler: Handler::new(&handle) };
            self.loaded.insert(plugin.to_owned(), instances);
        }
        Ok(self.loaded.get_mut(plugin))
    }
}

/// Tries to handle a letter, as a lane handles an op whose filter failed: the filters are asked first.
///
/// # Errors
/// Fails if the plugin can handle no letter, for example without a grant. The letter stays unchanged.
async fn attempt(
    RetryInstances { filter, handler }: &mut RetryInstances,
    letter: DeadLetter,
) -> anyhow::Result<RetryOutcome> {
    let attempts = letter.attempts.saturating_add(1);
    // Filters are not asked about ticks.
    let wanted = if letter.op.is_tick() { Ok(true) } else { filter.call(&letter.op, attempts).await };
    let handled = match wanted {
        Ok(true) => handler.call(&letter.op, attempts).await,
        Ok(false) => return Ok(RetryOutcome::Unwanted),
        Err(error) => Err(error),
    };
    let (kind, error) = match handled {
        Ok(Ok(())) => return Ok(RetryOutcome::Handled),
        Ok(Err(Failure::Reject { reason })) => (DeadLetterKind::Rejected, reason),
        Ok(Err(Failure::Retry { reason, .. })) => (DeadLetterKind::Failed, reason),
        Err(error) => (DeadLetterKind::Failed, error.to_string()),
    };
    if kind == DeadLetterKind::Failed
        && let Some(obstacle) = handler.met().obstacle
    {
        bail!("the plugin {} can handle nothing, and the letters stay: {}", letter.plugin, obstacle.reason);
    }
    let (version, time) = (handler.plugin().version().to_owned(), SystemTime::now());
    let letter = DeadLetter { kind, error, attempts, version, time, ..letter };
    Ok(RetryOutcome::Failed(Box::new(letter)))
}
