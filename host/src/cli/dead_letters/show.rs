//! `gtm-host dead-letters show`

use std::process::ExitCode;

use gtm_host::config::Settings;
use gtm_store::Store;

use super::{find, letter_json};
use crate::cli::arguments::{Format, ShowArguments};
use crate::cli::output::{print, print_text};

pub(super) async fn run(
    arguments: &ShowArguments,
    settings: &Settings,
    store: &Store,
) -> anyhow::Result<ExitCode> {
    let letter = find(store, settings, &arguments.id, arguments.plugin.as_deref()).await?;
    let line = letter_json(&letter)?;
    if arguments.place.output == Format::Json {
        print(&line)?;
        return Ok(ExitCode::SUCCESS);
    }
    // A document that is nested too deeply for the JSON parser is printed on one line.
    let pretty = serde_json::from_slice::<serde_json::Value>(&line)
        .and_then(|value| serde_json::to_vec_pretty(&value));
    print_text(&String::from_utf8_lossy(&pretty.unwrap_or(line)))?;
    Ok(ExitCode::SUCCESS)
}
