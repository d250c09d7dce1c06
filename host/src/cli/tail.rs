//! `gtm-host tail`: prints each op as a line of Extended JSON.

use std::io::{self, ErrorKind, Write};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use gtm_host::config::Settings;
use gtm_oplog::Selection;
use gtm_source::extended_json::write_op;
use gtm_source::{
    FileSource, Form, LiveSource, Position, Source, SourceBatch, SourceEnd, SourceError, StartAt,
};
use gtm_text::sanitize::lines;
use tokio_util::sync::CancellationToken;

use super::arguments::{Format, TailArguments};
use super::server::FollowedServer;
use super::summary::ReadSummary;
use super::usage::OrUsage;
use super::{INTERRUPTED, files, output};

/// The size of a write in bytes, from which on buffered lines are written.
const WRITE_BUFFER_BYTES: usize = 64 * 1024;

pub(super) async fn run(
    arguments: &TailArguments,
    settings: Settings,
    shutdown: CancellationToken,
) -> anyhow::Result<ExitCode> {
    let mut source = tokio::select! {
        source = open(arguments, &settings) => source?,
        () = shutdown.cancelled() => return Ok(ExitCode::SUCCESS),
    };
    let form = if arguments.canonical { Form::Canonical } else { Form::Relaxed };
    let mut summary = ReadSummary::default();
    let started = Instant::now();
    let result = print(&mut *source, form, &mut summary, &shutdown).await;
    summary.elapsed = started.elapsed();
    let in_part = !arguments.paths.is_empty() && shutdown.is_cancelled();
    let position = source.position().filter(|_| matches!(result, Ok(true)));
    summary.position = position.as_ref().map(Position::to_string);
    SourceEnd { skipped: summary.skipped, files: summary.report } = source.end();
    // If nobody reads standard error, nobody can be told.
    let _ = match arguments.output {
        Format::Json => writeln!(io::stderr(), "{}", serde_json::Value::Object(summary.json())),
        Format::Text => write!(io::stderr(), "{}", lines(&summary.to_string())),
    };
    result?;
    Ok(match (in_part, summary.is_damaged()) {
        (true, _) => ExitCode::from(INTERRUPTED),
        (false, true) => ExitCode::FAILURE,
        (false, false) => ExitCode::SUCCESS,
    })
}

/// Opens the input that is printed: the files, or a deployment.
async fn open(arguments: &TailArguments, settings: &Settings) -> anyhow::Result<Box<dyn Source>> {
    let selection = selection(arguments)?;
    if !arguments.paths.is_empty() {
        let options = files::options(&arguments.files)?;
        return Ok(Box::new(FileSource::open(arguments.paths.clone(), selection, options)?));
    }
    let server = FollowedServer::find(settings, 1).await?;
    let live = LiveSource::open(server.follow(settings, selection)).await?;
    // Nobody recognizes the position before the oldest entry.
    let from = match (&settings.source.start, live.position()) {
        (Some(StartAt::Oldest), Some(_)) => Some("oldest".to_owned()),
        (_, Some(position)) => Some(position.to_string()),
        (_, None) => None,
    };
    tracing::info!(event = "source.tail", source = server.describe(), from, "tailing");
    Ok(Box::new(live))
}

/// Returns the next ops that have already been read. None: there are none.
async fn next_left(source: &mut dyn Source) -> Result<Option<SourceBatch>, SourceError> {
    if source.left() > 0 { source.next().await } else { Ok(None) }
}

fn selection(arguments: &TailArguments) -> anyhow::Result<Selection> {
    if arguments.namespaces.is_empty() && arguments.operations.is_empty() {
        return Ok(Selection::everything());
    }
    let all = ["*".to_owned()];
    let patterns = if arguments.namespaces.is_empty() { &all[..] } else { &arguments.namespaces };
    let mut selection = Selection::default();
    for pattern in patterns {
        selection.add(pattern, &arguments.operations).context("--namespace").or_usage()?;
    }
    Ok(selection)
}

/// Prints until the source ends, `shutdown` is cancelled, or the reader of standard output is gone. Returns whether all ops that were read
/// are printed.
async fn print(
    source: &mut dyn Source,
    form: Form,
    summary: &mut ReadSummary,
    shutdown: &CancellationToken,
) -> anyhow::Result<bool> {
    let mut lines = Vec::new();
    let mut unread = pin!(output::unread());
    loop {
        let batch = tokio::select! {
            biased;
            () = shutdown.cancelled() => next_left(source).await?,
            // Without further changes, no write would fail.
            () = &mut unread => return Ok(false),
            batch = source.next() => batch?,
        };
        let Some(SourceBatch { ops, ack, .. }) = batch else { return Ok(true) };
        summary.emitted.add(&ops);
        for op in &ops {
            write_op(op, form, &mut lines);
            lines.push(b'\n');
            if lines.len() >= WRITE_BUFFER_BYTES && !write(&mut lines)? {
                return Ok(false);
            }
        }
        if !write(&mut lines)? {
            return Ok(false);
        }
        ack.done();
    }
}

/// Writes the buffered lines. Returns whether the output still has a reader: `gtm-host tail | head` is not an error.
fn write(lines: &mut Vec<u8>) -> anyhow::Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(lines).and_then(|()| out.flush()) {
        Ok(()) => lines.clear(),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(false),
        Err(error) => return Err(error).context("cannot write to standard output"),
    }
    Ok(true)
}
