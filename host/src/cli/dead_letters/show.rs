//! `gtm-host dead-letters show`

use std::process::ExitCode;

use anyhow::Context;
use gtm_host::store::Store;

use super::{letter_json, missing};
use crate::cli::arguments::Format;
use crate::cli::output::print;

pub(super) async fn run(id: &str, format: Format, store: &Store) -> anyhow::Result<ExitCode> {
    let letter = store.dead_letter(id).await?.with_context(|| missing(id))?;
    let line = letter_json(&letter)?;
    if format == Format::Json {
        print(&line)?;
        return Ok(ExitCode::SUCCESS);
    }
    // A document that nests deeper than the printer follows is shown on one line.
    let pretty = serde_json::from_slice::<serde_json::Value>(&line)
        .and_then(|value| serde_json::to_vec_pretty(&value));
    print(&pretty.unwrap_or(line))?;
    Ok(ExitCode::SUCCESS)
}
