//! `gtm-host dead-letters list`

use std::process::ExitCode;

use gtm_host::config::Settings;
use gtm_host::store::{DeadLetter, DeadLetterKind, Store};
use tokio_util::sync::CancellationToken;

use super::{Letters, letter_json};
use crate::cli::arguments::{Format, ListArguments};
use crate::cli::output::print;

/// Signs of an error that a line has room for; `show` has all of it.
const ERROR: usize = 60;

pub(super) async fn run(
    arguments: &ListArguments,
    settings: &Settings,
    store: &Store,
    shutdown: &CancellationToken,
) -> anyhow::Result<ExitCode> {
    let filter = arguments.filter.filter(arguments.plugin.as_deref());
    let mut letters = Letters::filtered(store, settings, filter);
    let text = arguments.place.output == Format::Text;
    let (mut rejected, mut failed) = (0_u64, 0_u64);
    while !shutdown.is_cancelled()
        && let Some(letter) = letters.next().await?
    {
        if text && rejected + failed == 0 && !print(HEAD.as_bytes())? {
            return Ok(ExitCode::SUCCESS);
        }
        match letter.kind {
            DeadLetterKind::Rejected => rejected += 1,
            DeadLetterKind::Failed => failed += 1,
        }
        let line = if text { line(&letter).into_bytes() } else { letter_json(&letter)? };
        if !print(&line)? {
            return Ok(ExitCode::SUCCESS);
        }
    }
    if text {
        print(
            format!("{} dead letters: {failed} failed, {rejected} rejected", failed + rejected).as_bytes(),
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

const HEAD: &str = "ID                                 TIME                  KIND      ATTEMPTS  PLUGIN  OPERATION  NAMESPACE  ERROR";

fn line(letter: &DeadLetter) -> String {
    let DeadLetter { id, plugin, op, kind, error, attempts, time, .. } = letter;
    let time = humantime::format_rfc3339_seconds(*time);
    // Of one line, whatever was said.
    let mut error: String = error.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = error.char_indices().nth(ERROR) {
        error.truncate(end);
        error.push('…');
    }
    let (kind, operation, namespace) = (kind.name(), op.operation_type.name(), &op.namespace);
    format!("{id:33}  {time}  {kind:8}  {attempts:>8}  {plugin}  {operation}  {namespace}  {error}")
}
