//! `gtm-host dead-letters list`

use std::process::ExitCode;

use gtm_host::config::Settings;
use gtm_store::{DeadLetter, DeadLetterKind, Store};
use gtm_text::sanitize::counted;
use tokio_util::sync::CancellationToken;

use super::{Letters, ended, letter_json};
use crate::cli::arguments::{Format, ListArguments};
use crate::cli::known_names;
use crate::cli::output::{print, print_text};
use crate::cli::table::Table;

/// The number of characters of an error in a line. `show` has all of it.
const MAX_ERROR_LENGTH: usize = 60;
const HEAD: [&str; 8] = ["ID", "TIME", "KIND", "ATTEMPTS", "PLUGIN", "OPERATION", "NAMESPACE", "ERROR"];
/// The index of ATTEMPTS.
const NUMBERS: &[usize] = &[3];

pub(super) async fn run(
    arguments: &ListArguments,
    settings: &Settings,
    store: &Store,
    shutdown: &CancellationToken,
) -> anyhow::Result<ExitCode> {
    let filter = arguments.filter.filter(arguments.plugin.as_deref());
    let mut letters = Letters::filtered(store, settings, filter);
    let text = arguments.place.output == Format::Text;
    let mut table = Table::new(HEAD, NUMBERS);
    let (mut rejected, mut failed) = (0_u64, 0_u64);
    while !shutdown.is_cancelled()
        && let Some(letter) = letters.next().await?
    {
        match letter.kind {
            DeadLetterKind::Rejected => rejected += 1,
            DeadLetterKind::Failed => failed += 1,
        }
        let is_read = if text { table.push(row(letter))? } else { print(&letter_json(&letter)?)? };
        if !is_read {
            return Ok(ExitCode::SUCCESS);
        }
    }
    let unreadable = letters.unreadable;
    if rejected + failed + unreadable == 0 {
        known_names::check_plugin(store, settings, arguments.plugin.as_deref()).await?;
    }
    if text {
        if rejected + failed > 0 {
            table.flush()?;
        }
        let all = counted(failed + rejected, "dead letter");
        let more = if unreadable > 0 { format!("; {unreadable} cannot be read") } else { String::new() };
        print_text(&format!("{all}: {failed} failed, {rejected} rejected{more}"))?;
    }
    Ok(ended(unreadable))
}

fn row(letter: DeadLetter) -> [String; 8] {
    let DeadLetter { id, plugin, op, kind, error, attempts, time, .. } = letter;
    let time = humantime::format_rfc3339_seconds(time).to_string();
    // An error may have several lines.
    let mut error: String = error.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = error.char_indices().nth(MAX_ERROR_LENGTH) {
        error.truncate(end);
        error.push('…');
    }
    let (kind, operation) = (kind.name().to_owned(), op.operation_type.name().to_owned());
    [id, time, kind, attempts.to_string(), plugin, operation, op.namespace.to_string(), error]
}
