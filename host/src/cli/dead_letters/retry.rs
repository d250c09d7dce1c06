//! `gtm-host dead-letters retry`

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::bail;
use gtm_host::config::Settings;
use gtm_host::plugin::{Failure, Handler, Services, Slot};
use gtm_host::store::{DeadLetter, DeadLetterKind, Store};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Letters;
use crate::cli::arguments::{Format, RetryArguments};
use crate::cli::load::{Loader, load, services, with_store};
use crate::cli::output::{print, print_json};
use crate::cli::server::client_for_plugins;

pub(super) async fn run(
    arguments: &RetryArguments,
    settings: &Settings,
    store: &Store,
    shutdown: &CancellationToken,
) -> anyhow::Result<ExitCode> {
    let mut letters = Letters::chosen(store, settings, &arguments.which, None)?;
    let mut handlers: HashMap<String, Handler> = HashMap::new();
    let plugins = load(&Loader::new(settings)?, settings).await?;
    // The store may be a directory, and the server down.
    let client = match plugins.iter().any(|(_, own)| own.grants.of("mongodb").is_some()) {
        true => Some(client_for_plugins(settings).await?),
        false => None,
    };
    let services = Services { client, ..with_store(services(settings).await?, settings, store) };
    for (plugin, _) in plugins {
        let name = plugin.name().to_owned();
        handlers.insert(name, Handler::new(&Slot::new(plugin, services.clone())));
    }
    let (mut handled, mut failed, mut left) = (0_u64, 0_u64, 0_u64);
    while !shutdown.is_cancelled()
        && let Some(letter) = letters.next().await?
    {
        let Some(handler) = handlers.get_mut(&letter.plugin) else {
            tracing::warn!(
                plugin = letter.plugin,
                "the dead letter {} is left: its plugin is not given. Name it by --plugin {}=FILE",
                letter.id,
                letter.plugin
            );
            left += 1;
            continue;
        };
        match attempt(handler, letter).await? {
            Ok(id) => {
                store.drop_dead_letter(&id).await?;
                handled += 1;
            }
            Err(letter) => {
                tracing::warn!(
                    plugin = letter.plugin,
                    "the dead letter {} failed again: {}",
                    letter.id,
                    letter.error
                );
                store.add_dead_letter(&letter).await?;
                failed += 1;
            }
        }
    }
    match arguments.place.output {
        Format::Text => print(format!("{handled} handled, {failed} failed again, {left} left").as_bytes())?,
        Format::Json => print_json(&json!({ "handled": handled, "failed": failed, "left": left }))?,
    };
    Ok(if failed + left == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Gives back the id of a letter that is handled now; or else the letter as it is to be kept.
///
/// # Errors
/// Something is in the way of the plugin, whatever the letter, which stays as it is.
async fn attempt(
    handler: &mut Handler,
    letter: DeadLetter,
) -> anyhow::Result<Result<String, Box<DeadLetter>>> {
    let attempts = letter.attempts.saturating_add(1);
    let (kind, error) = match handler.call(&letter.op, attempts).await {
        Ok(Ok(())) => return Ok(Ok(letter.id)),
        Ok(Err(Failure::Reject(reason))) => (DeadLetterKind::Rejected, reason),
        Ok(Err(Failure::Retry(reason))) => (DeadLetterKind::Failed, reason),
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
