//! `gtm-host replay FILE…`: runs plugins once over the ops in files.

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::bail;
use bytesize::ByteSize;
use gtm_delivery::{Replayed, Summary, replay};
use gtm_host::config::Settings;
use gtm_oplog::Selection;
use gtm_source::{FileSource, FileSourceReport};
use gtm_store::Store;
use gtm_text::ProgressDisplay;
use gtm_text::sanitize::{counted, line, lines};
use tokio_util::sync::CancellationToken;

use super::arguments::{Format, ReplayArguments};
use super::load::load_for_files;
use super::summary::{ReadSummary, plugins_json};
use super::{DEFAULT_SHUTDOWN_GRACE, INTERRUPTED, files};

pub(super) async fn run(
    arguments: &ReplayArguments,
    settings: Settings,
    shutdown: CancellationToken,
) -> anyhow::Result<ExitCode> {
    let options = files::options(&arguments.files)?;
    let plugins = load_for_files(&settings).await?;
    let mut selection = Selection::default();
    plugins.iter().for_each(|(plugin, _)| selection.add_all(plugin.current().selection()));
    let mut files = FileSource::open(arguments.paths.clone(), selection, options)?;

    let policy = settings.policy();
    let plugins: Vec<_> = plugins.into_iter().map(|(plugin, own)| (plugin, own.policy(policy))).collect();
    plugins.iter().try_for_each(|(plugin, policy)| plugin.reserve(policy.delivery.active_lanes()))?;
    let mut display = ProgressDisplay::new("replay");
    let sizes = files::sizes(&arguments.paths);
    let started = Instant::now();
    let grace = settings.shutdown_grace.unwrap_or(DEFAULT_SHUTDOWN_GRACE);
    let Replayed { emitted, plugins, read, worked, blocked } =
        replay(&mut files, plugins, &Store::none(), settings.name(), &shutdown, grace, |report| {
            show(&mut display, sizes, report)
        })
        .await;
    display.clear();
    worked?;
    let summary = ReadSummary {
        emitted,
        report: Some(files.into_report()),
        elapsed: started.elapsed(),
        ..ReadSummary::default()
    };
    let mut out = std::io::stdout().lock();
    if arguments.output == Format::Json {
        let mut object = summary.json();
        object.insert("plugins".to_owned(), plugins_json(&plugins));
        writeln!(out, "{}", serde_json::Value::Object(object))?;
    } else {
        write!(out, "{}", lines(&summary.to_string()))?;
        for (name, summary) in &plugins {
            writeln!(out, "{}: {summary}", line(name))?;
        }
    }
    read?;
    let is_wanted = |summary: &Summary| summary.unwanted < summary.read;
    if summary.has_documents()
        && !shutdown.is_cancelled()
        && !plugins.iter().any(|(_, summary)| is_wanted(summary))
    {
        tracing::warn!(
            event = "replay.match_nothing",
            help = "run gtm-host check on the file of a plugin to see what it subscribes to",
            "no plugin wanted anything of these files"
        );
    }
    if let Some((plugin, reason)) = blocked {
        bail!("the plugin {plugin} can handle nothing: {reason}");
    }
    if shutdown.is_cancelled() {
        return Ok(ExitCode::from(INTERRUPTED));
    }
    let failed = plugins.iter().any(|(_, summary)| summary.handled + summary.unwanted < summary.read);
    Ok(if failed || summary.is_damaged() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Shows the progress. `sizes` is the size of all files in bytes, or 0 if it is unknown.
fn show(display: &mut ProgressDisplay, sizes: u64, report: &FileSourceReport) {
    let documents: u64 = report.files.iter().map(|file| file.documents).sum();
    let bytes: u64 = report.files.iter().map(|file| file.bytes).sum();
    display.show(bytes, sizes, format_args!("{}, {}", counted(documents, "document"), ByteSize(bytes)));
}
