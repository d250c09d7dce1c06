//! `gtm-host dead-letters`: what plugins did not handle.

mod drop;
mod list;
mod retry;
mod show;

use std::collections::VecDeque;
use std::process::ExitCode;

use anyhow::{Context, bail};
use gtm_host::config::Settings;
use gtm_host::extended_json::{Form, write_op};
use gtm_host::store::{DeadLetter, DeadLetterFilter, Store};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::arguments::{DeadLettersArguments, DeadLettersCommand, WhichArguments};
use super::server;

/// Letters that are in memory at the same time: each may hold a document of 16 MB, or a few.
const PAGE: u32 = 8;

pub(super) async fn run(
    arguments: &DeadLettersArguments,
    settings: Settings,
    shutdown: CancellationToken,
) -> anyhow::Result<ExitCode> {
    let store = tokio::select! {
        store = server::store(&settings) => store?,
        () = shutdown.cancelled() => return Ok(ExitCode::from(super::INTERRUPTED)),
    };
    if !store.keeps() {
        bail!("nothing is kept with --store none: name the store that the host uses");
    }
    let done = match &arguments.command {
        DeadLettersCommand::List(arguments) => list::run(arguments, &settings, &store, &shutdown).await?,
        DeadLettersCommand::Show(arguments) => {
            show::run(&arguments.id, arguments.place.output, &store).await?
        }
        DeadLettersCommand::Retry(arguments) => retry::run(arguments, &settings, &store, &shutdown).await?,
        DeadLettersCommand::Drop(arguments) => drop::run(arguments, &settings, &store, &shutdown).await?,
    };
    Ok(if shutdown.is_cancelled() { ExitCode::from(super::INTERRUPTED) } else { done })
}

/// Letters, one after the other, however many there are.
struct Letters<'a> {
    store: &'a Store,
    which: Which,
    page: VecDeque<DeadLetter>,
}

enum Which {
    /// These, one after the other.
    Ids(VecDeque<String>),
    /// Those that the filter wants, after an id.
    Filter(Box<DeadLetterFilter>, Option<String>),
}

impl<'a> Letters<'a> {
    fn filtered(store: &'a Store, settings: &Settings, filter: DeadLetterFilter) -> Self {
        let filter = DeadLetterFilter { pipeline: Some(settings.name().to_owned()), ..filter };
        Self { store, which: Which::Filter(Box::new(filter), None), page: VecDeque::new() }
    }

    /// Those that were named, or all of a filter.
    fn chosen(
        store: &'a Store,
        settings: &Settings,
        which: &WhichArguments,
        plugin: Option<&str>,
    ) -> anyhow::Result<Self> {
        let WhichArguments { ids, all, filter } = which;
        let filtered = !filter.says_nothing() || plugin.is_some();
        if !ids.is_empty() {
            if filtered {
                bail!("give either the ids of dead letters or a filter");
            }
            return Ok(Self {
                store,
                which: Which::Ids(ids.iter().cloned().collect()),
                page: VecDeque::new(),
            });
        }
        if !filtered && !all {
            bail!("which dead letters? Give their ids, a filter such as --namespace, or --all");
        }
        Ok(Self::filtered(store, settings, filter.filter(plugin)))
    }

    /// The next. None: there are no more.
    async fn next(&mut self) -> anyhow::Result<Option<DeadLetter>> {
        if self.page.is_empty() {
            match &mut self.which {
                Which::Ids(ids) => {
                    let Some(id) = ids.pop_front() else { return Ok(None) };
                    let letter = self.store.dead_letter(&id).await?;
                    self.page.push_back(letter.with_context(|| missing(&id))?);
                }
                Which::Filter(filter, after) => {
                    self.page = self.store.dead_letters(filter, after.as_deref(), PAGE).await?.into();
                    *after = self.page.back().map(|letter| letter.id.clone()).or(after.take());
                }
            }
        }
        Ok(self.page.pop_front())
    }
}

fn missing(id: &str) -> String {
    format!("there is no dead letter {id}")
}

/// A letter as an object, its op as Extended JSON.
fn letter_json(letter: &DeadLetter) -> anyhow::Result<Vec<u8>> {
    let time = |time| humantime::format_rfc3339_millis(time).to_string();
    let object = json!({
        "id": letter.id,
        "pipeline": letter.pipeline,
        "plugin": letter.plugin,
        "version": letter.version,
        "kind": letter.kind.name(),
        "error": letter.error,
        "attempts": letter.attempts,
        "firstAttempt": time(letter.first_attempt),
        "time": time(letter.time),
    });
    let mut line = serde_json::to_vec(&object)?;
    line.pop();
    line.extend_from_slice(br#","op":"#);
    write_op(&letter.op, Form::Relaxed, &mut line);
    line.push(b'}');
    Ok(line)
}
