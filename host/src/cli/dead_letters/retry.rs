//! `gtm-host dead-letters retry`

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::bail;
use gtm_host::config::{PluginSettings, Settings};
use gtm_runtime::{Actor, Failure, Handler, PluginHandle, Services};
use gtm_store::{DeadLetter, DeadLetterKind, Store};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Letters;
use crate::cli::arguments::{Format, RetryArguments};
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
    let (mut handled, mut failed, mut left) = (0_u64, 0_u64, 0_u64);
    while !shutdown.is_cancelled()
        && let Some(letter) = letters.next().await?
    {
        let Some(handler) = handlers.of(&letter.plugin).await? else {
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
        let attempted = attempt(handler, letter).await;
        match attempted.inspect_err(|_| record("which stays as it is"))? {
            Ok(id) => {
                record("which is handled");
                store.drop_dead_letter(&id).await?;
                handled += 1;
            }
            Err(letter) => {
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
    if handled + failed + left == 0 {
        // If --file has a file, the settings contain the name in --plugin, even if no plugin has that name.
        match plugin.filter(|_| arguments.is_file_typed) {
            Some(plugin) => known_names::check_dead_letters(store, settings, plugin).await?,
            None => known_names::check_plugin(store, settings, plugin).await?,
        }
    }
    match arguments.place.output {
        Format::Text => print_text(&format!("{handled} handled, {failed} failed again, {left} left"))?,
        Format::Json => print_json(&json!({ "handled": handled, "failed": failed, "left": left }))?,
    };
    Ok(if failed + left == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The handlers of plugins. Each is loaded for the first letter of its plugin.
struct Handlers<'a> {
    settings: &'a Settings,
    present: BTreeMap<String, (PathBuf, PluginSettings)>,
    loader: Loader,
    services: Services,
    loaded: HashMap<String, Handler>,
}

impl<'a> Handlers<'a> {
    /// Returns the handlers of this plugin, or of all plugins.
    async fn new(settings: &'a Settings, store: &Store, plugin: Option<&str>) -> anyhow::Result<Self> {
        let mut present = present(settings)?;
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
        Ok(Self { settings, present, loader: Loader::new(settings)?, services, loaded: HashMap::new() })
    }

    /// Returns the handler of a plugin. None: its file is not known.
    async fn of(&mut self, plugin: &str) -> anyhow::Result<Option<&mut Handler>> {
        if !self.loaded.contains_key(plugin)
            && let Some((path, own)) = self.present.get(plugin)
        {
            let loaded = self.loader.load(path, &own.setup(plugin, self.settings.limits())).await?;
            let handler = Handler::new(&PluginHandle::new(loaded, self.services.clone()));
            self.loaded.insert(plugin.to_owned(), handler);
        }
        Ok(self.loaded.get_mut(plugin))
    }
}

/// Tries to handle a letter. Returns its id if that succeeds, and otherwise the letter with the new error.
///
/// # Errors
/// Fails if the plugin can handle no letter, for example without a grant. The letter stays unchanged.
async fn attempt(
    handler: &mut Handler,
    letter: DeadLetter,
) -> anyhow::Result<Result<String, Box<DeadLetter>>> {
    let attempts = letter.attempts.saturating_add(1);
    let (kind, error) = match handler.call(&letter.op, attempts).await {
        Ok(Ok(())) => return Ok(Ok(letter.id)),
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
    Ok(Err(Box::new(DeadLetter { kind, error, attempts, version, time, ..letter })))
}
