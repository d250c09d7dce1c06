//! `gtm-host dead-letters`: lists, retries and drops the ops that plugins did not handle.

mod drop;
mod list;
mod retry;
mod show;

use std::collections::VecDeque;
use std::process::ExitCode;

use anyhow::{Context, bail};
use gtm_host::config::Settings;
use gtm_source::Form;
use gtm_source::extended_json::write_op;
use gtm_store::{DeadLetter, DeadLetterFilter, Store};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::arguments::{DeadLettersArguments, DeadLettersCommand, WhichArguments};
use super::usage::bail_usage;
use super::{known_names, server};

/// The number of letters in memory: each may hold several documents of up to 16 MB.
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
    let done = match &arguments.command {
        DeadLettersCommand::List(arguments) => list::run(arguments, &settings, &store, &shutdown).await?,
        DeadLettersCommand::Show(arguments) => show::run(arguments, &settings, &store).await?,
        DeadLettersCommand::Retry(arguments) => retry::run(arguments, &settings, &store, &shutdown).await?,
        DeadLettersCommand::Drop(arguments) => drop::run(arguments, &settings, &store, &shutdown).await?,
    };
    Ok(if shutdown.is_cancelled() { ExitCode::from(super::INTERRUPTED) } else { done })
}

/// Returns the exit status of a command for several letters, of which some could not be read.
fn ended(unreadable: u64) -> ExitCode {
    if unreadable == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// An iterator over any number of letters.
struct Letters<'a> {
    store: &'a Store,
    settings: &'a Settings,
    which: LetterChoice,
    page: VecDeque<DeadLetter>,
    /// The number of letters that could not be read. Each is logged.
    unreadable: u64,
}

enum LetterChoice {
    /// The letters with these ids, of this plugin if one is named.
    Ids(VecDeque<String>, Option<String>),
    /// The letters that match the filter, after an id.
    Filter(Box<DeadLetterFilter>, Option<String>),
}

impl<'a> Letters<'a> {
    fn filtered(store: &'a Store, settings: &'a Settings, filter: DeadLetterFilter) -> Self {
        let filter = DeadLetterFilter { pipeline: Some(settings.name().to_owned()), ..filter };
        Self {
            store,
            settings,
            which: LetterChoice::Filter(Box::new(filter), None),
            page: VecDeque::new(),
            unreadable: 0,
        }
    }

    /// Returns the letters that the arguments name, or those that match their filter.
    fn chosen(
        store: &'a Store,
        settings: &'a Settings,
        which: &WhichArguments,
        plugin: Option<&str>,
    ) -> anyhow::Result<Self> {
        let WhichArguments { ids, all, filter } = which;
        let filtered = !filter.says_nothing() || plugin.is_some();
        if !ids.is_empty() {
            if !filter.says_nothing() {
                bail_usage!("give either the ids of dead letters or a filter");
            }
            return Ok(Self {
                store,
                settings,
                which: LetterChoice::Ids(ids.iter().cloned().collect(), plugin.map(str::to_owned)),
                page: VecDeque::new(),
                unreadable: 0,
            });
        }
        if !filtered && !all {
            bail_usage!(
                "which dead letters? Give their ids, a filter such as --plugin or --namespace, or --all"
            );
        }
        Ok(Self::filtered(store, settings, filter.filter(plugin)))
    }

    /// Returns the next letter. None: there are no more. Logs each letter that cannot be read, and continues with the others.
    async fn next(&mut self) -> anyhow::Result<Option<DeadLetter>> {
        while self.page.is_empty() {
            match &mut self.which {
                LetterChoice::Ids(ids, plugin) => {
                    let Some(id) = ids.pop_front() else { return Ok(None) };
                    self.page.push_back(find(self.store, self.settings, &id, plugin.as_deref()).await?);
                }
                LetterChoice::Filter(filter, after) => {
                    let page = self.store.dead_letters(filter, after.as_deref(), PAGE).await?;
                    for error in page.unreadable {
                        tracing::error!(event = "dead_letter.read_failed", %error, "a dead letter cannot be read");
                        self.unreadable += 1;
                    }
                    let Some(last) = page.last else { return Ok(None) };
                    *after = Some(last);
                    self.page = page.letters.into();
                }
            }
        }
        Ok(self.page.pop_front())
    }
}

/// Returns the letter with this id, or the letter of the op with this id, which several plugins may have.
///
/// # Errors
/// Fails if there is none, or several.
async fn find(
    store: &Store,
    settings: &Settings,
    id: &str,
    plugin: Option<&str>,
) -> anyhow::Result<DeadLetter> {
    if let Some(letter) = store.dead_letter(id).await? {
        if letter.pipeline != settings.name() {
            bail!(
                "the dead letter {id} is of the pipeline {0}, not of {1}. help: pass --name {0}",
                letter.pipeline,
                settings.name()
            );
        }
        if plugin.is_none_or(|plugin| plugin == letter.plugin) {
            return Ok(letter);
        }
    }
    let filter = DeadLetterFilter {
        pipeline: Some(settings.name().to_owned()),
        plugin: plugin.map(str::to_owned),
        op: Some(id.to_owned()),
        ..DeadLetterFilter::default()
    };
    let page = store.dead_letters(&filter, None, PAGE).await?;
    page.unreadable.iter().for_each(
        |error| tracing::error!(event = "dead_letter.read_failed", %error, "a dead letter cannot be read"),
    );
    let mut found = page.letters;
    if found.len() > 1 {
        let plugins = known_names::listed(found.iter().map(|letter| letter.plugin.as_str()));
        if plugins.contains(", ") {
            bail!("the op {id} is a dead letter of several plugins: {plugins}. help: pass --plugin NAME");
        }
        let ids = known_names::listed(found.iter().map(|letter| letter.id.as_str()));
        bail!(
            "the op {id} is in several dead letters of the plugin {plugins}. help: pass the id of one: {ids}"
        );
    }
    if found.is_empty() {
        known_names::check_plugin(store, settings, plugin).await?;
    }
    let of = plugin.map(|plugin| format!(" of the plugin {plugin}")).unwrap_or_default();
    found.pop().with_context(|| {
        format!(
            "there is no dead letter {id}{of} in the pipeline {}. help: run gtm-host dead-letters list, or pass another \
             pipeline with --name",
            settings.name()
        )
    })
}

/// Returns a letter as a JSON object, with its op as Extended JSON.
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
