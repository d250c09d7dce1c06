//! `gtm-host dead-letters drop`

use std::process::ExitCode;

use gtm_host::config::Settings;
use gtm_runtime::Actor;
use gtm_store::Store;
use gtm_text::sanitize::counted;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Letters, ended};
use crate::cli::arguments::{DropArguments, Format};
use crate::cli::known_names;
use crate::cli::output::{print_json, print_text};

pub(super) async fn run(
    arguments: &DropArguments,
    settings: &Settings,
    store: &Store,
    shutdown: &CancellationToken,
) -> anyhow::Result<ExitCode> {
    let mut letters = Letters::chosen(store, settings, &arguments.which, arguments.plugin.as_deref())?;
    let mut dropped = 0_u64;
    while !shutdown.is_cancelled()
        && let Some(letter) = letters.next().await?
    {
        // Another process may have dropped it meanwhile.
        if store.drop_dead_letter(&letter.id).await? {
            Actor::Command.did("drop dead letter", &letter.plugin, Some(&letter.id));
            dropped += 1;
        }
    }
    if dropped + letters.unreadable == 0 {
        known_names::check_plugin(store, settings, arguments.plugin.as_deref()).await?;
    }
    match arguments.place.output {
        Format::Text => print_text(&format!("{} dropped", counted(dropped, "dead letter")))?,
        Format::Json => print_json(&json!({ "dropped": dropped }))?,
    };
    Ok(ended(letters.unreadable))
}
