//! `gtm-host tail`: prints each op as a line of Extended JSON.

use std::io::{self, ErrorKind, Write};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use gtm_host::config::Settings;
use gtm_oplog::Selection;
use gtm_source::extended_json::write_op;
use gtm_source::{FileSource, Form, LiveSource, Position, SourceBatch, Start};
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
    let mut input = tokio::select! {
        input = TailInput::open(arguments, &settings) => input?,
        () = shutdown.cancelled() => return Ok(ExitCode::SUCCESS),
    };
    let form = if arguments.canonical { Form::Canonical } else { Form::Relaxed };
    let mut summary = ReadSummary::default();
    let started = Instant::now();
    let result = print(&mut input, form, &mut summary, &shutdown).await;
    summary.elapsed = started.elapsed();
    let in_part = matches!(input, TailInput::Files(_)) && shutdown.is_cancelled();
    input.end(&mut summary);
    summary.position = summary.position.filter(|_| matches!(result, Ok(true)));
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

/// The input that is printed.
enum TailInput {
    Live(Box<LiveSource>),
    Files(Box<FileSource>),
}

impl TailInput {
    async fn open(arguments: &TailArguments, settings: &Settings) -> anyhow::Result<Self> {
        let selection = selection(arguments)?;
        if !arguments.paths.is_empty() {
            let files =
                FileSource::open(arguments.paths.clone(), selection, files::options(&arguments.files)?)?;
            return Ok(Self::Files(Box::new(files)));
        }
        let server = FollowedServer::find(settings, 1).await?;
        let live = LiveSource::open(server.follow(settings, selection)).await?;
        // Nobody recognizes the position before the oldest entry.
        let from = match (&settings.source.start, live.position()) {
            (Some(Start::Oldest), Some(_)) => ", from its oldest change on".to_owned(),
            (_, Some(position)) => format!(", from {position} on"),
            (_, None) => String::new(),
        };
        tracing::info!("tailing {}{from}", server.describe());
        Ok(Self::Live(Box::new(live)))
    }

    /// Returns the next ops. None: the input has ended.
    async fn next(&mut self) -> anyhow::Result<Option<SourceBatch>> {
        match self {
            Self::Live(live) => Ok(Some(live.next().await?)),
            Self::Files(files) => Ok(files.next().await?),
        }
    }

    /// Returns the next ops that have already been read. None: there are none.
    async fn next_left(&mut self) -> anyhow::Result<Option<SourceBatch>> {
        match self {
            Self::Live(live) if live.left() > 0 => Ok(Some(live.next().await?)),
            Self::Live(_) | Self::Files(_) => Ok(None),
        }
    }

    fn end(self, summary: &mut ReadSummary) {
        match self {
            Self::Live(live) => {
                summary.position = live.position().as_ref().map(Position::to_string);
                summary.skipped = live.into_skipped();
            }
            Self::Files(files) => summary.report = Some(files.into_report()),
        }
    }
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

/// Prints until the input ends, `shutdown` is cancelled, or the reader of standard output is gone. Returns whether all ops that were read
/// are printed.
async fn print(
    input: &mut TailInput,
    form: Form,
    summary: &mut ReadSummary,
    shutdown: &CancellationToken,
) -> anyhow::Result<bool> {
    let mut lines = Vec::new();
    let mut unread = pin!(output::unread());
    loop {
        let batch = tokio::select! {
            biased;
            () = shutdown.cancelled() => input.next_left().await?,
            // Without further changes, no write would fail.
            () = &mut unread => return Ok(false),
            batch = input.next() => batch?,
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
