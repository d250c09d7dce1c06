//! `gtm-host try`: calls a plugin with ops, and shows the results and side effects. It performs no side effect.

mod ticks;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, anyhow, bail};
use bson::raw::cstr;
use bson::{RawArrayBuf, RawBson, RawDocumentBuf};
use gtm_host::config::Settings;
use gtm_host::remedy::WithRemedy;
use gtm_oplog::{Namespace, Op, OpPlace, OperationType, Origin, Selection, Timestamp};
use gtm_runtime::{
    CallError, ComponentKind, Effect, Engine, Failure, Filter, Grants, Handler, HttpAnswer, MetObstacle,
    PluginHandle, Recorder, Services,
};
use gtm_source::extended_json::{read_document, write_op};
use gtm_source::{FileError, FileOptions, FileSource, Form};
use gtm_store::Store;
use gtm_text::sanitize::{counted, indented, line};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::arguments::{Format, TryArguments};
use super::chains::ChainLoader;
use super::compile_component::compilation;
use super::load::{load_either, setup_as_filter};
use super::output::{print, print_text};
use super::server::cluster;
use super::usage::{OrUsage, bail_usage};
use super::{INTERRUPTED, directories};

pub(super) async fn run(
    arguments: &TryArguments,
    settings: Settings,
    shutdown: CancellationToken,
) -> anyhow::Result<ExitCode> {
    // A signal waits neither for the plugin, which may compute, nor for standard input, which may be silent.
    tokio::select! {
        biased;
        () = shutdown.cancelled() => Ok(ExitCode::from(INTERRUPTED)),
        tried = try_all(arguments, &settings) => tried,
    }
}

async fn try_all(arguments: &TryArguments, settings: &Settings) -> anyhow::Result<ExitCode> {
    let mut ops = TryOps::of(arguments)?;
    let mut tried = Tried::load(arguments, settings).await?;
    ticks::check(&ops.ticks, &tried.handle.current()).or_usage()?;
    let mut all_went_well = true;
    while let Some(some) = ops.next().await? {
        for op in some {
            let (outcome, effects) = tried.call(&op).await;
            all_went_well &=
                matches!(outcome, TryOutcome::Unwanted | TryOutcome::Passed | TryOutcome::Handled);
            match arguments.output {
                Format::Text => print_text(&text(&op, &outcome, &effects))?,
                Format::Json => print(&object(&op, &outcome, &effects))?,
            };
            if let TryOutcome::Blocked(reason) = outcome {
                bail!("the plugin {} can handle nothing: {reason}", tried.handle.name());
            }
        }
    }
    Ok(if all_went_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The plugin under test, and the effects of its last call.
struct Tried {
    handle: PluginHandle,
    handler: Handler,
    effects: Arc<Mutex<Vec<Effect>>>,
}

/// The result of an op.
enum TryOutcome {
    Unwanted,
    /// A filter for other plugins lets it pass.
    Passed,
    Handled,
    Failed(Failure),
    Trapped(CallError),
    /// An obstacle prevents every op, such as a missing grant.
    Blocked(String),
    /// It failed after the host made up an answer.
    Unknown(String),
}

impl Tried {
    async fn load(arguments: &TryArguments, settings: &Settings) -> anyhow::Result<Self> {
        let answers = answers(arguments)?;
        let client = match arguments.uri() {
            Some(uri) => Some(cluster(uri).await?),
            None => None,
        };
        let engine = Engine::compiling(&directories::cache(settings)?, compilation())?;
        let name = arguments.name(settings);
        let own = settings.plugins.get(&name).cloned().unwrap_or_default();
        let mut setup = own.setup(&name, settings.limits());
        if !arguments.says_grants() && setup.grants == Grants::default() {
            setup.grants = Grants::everything();
        }
        let path = arguments.plugin.path.clone();
        let mut chains = ChainLoader::new(&engine, settings, [(name.as_str(), &own)]);
        let as_filter = setup_as_filter(settings, &path, &setup);
        let load = move || load_either(&engine, &path, &setup, &as_filter);
        let plugin = tokio::task::spawn_blocking(load).await??;
        let effects: Arc<Mutex<Vec<_>>> = Arc::default();
        let taken = Arc::clone(&effects);
        let take = move |effect| taken.lock().unwrap_or_else(PoisonError::into_inner).push(effect);
        let recorder = Recorder::new(take).answering(answers, arguments.allow_http_get).changing_state();
        // The state lasts as long as the command.
        let store = Some((Store::in_memory().await?, settings.name().into()));
        let services = Services { client, store, recorder: Some(recorder), ..Services::default() };
        let handle = PluginHandle::new(plugin, services);
        let tried = handle.clone();
        tokio::task::spawn_blocking(move || chains.add_chain(&tried)).await??;
        Ok(Self { handler: Handler::new(&handle), handle, effects })
    }

    async fn call(&mut self, op: &Op) -> (TryOutcome, Vec<Effect>) {
        let outcome = self.outcome(op).await;
        let effects = std::mem::take(&mut *self.effects.lock().unwrap_or_else(PoisonError::into_inner));
        (outcome, effects)
    }

    async fn outcome(&mut self, op: &Op) -> TryOutcome {
        let mut selection = self.handle.current().selection().clone();
        if !op.is_tick() {
            if !selection.wants(op) {
                return TryOutcome::Unwanted;
            }
            match Filter::new(&self.handle).call(op, 1).await {
                Ok(true) if self.handle.current().kind() == ComponentKind::Filter => {
                    return TryOutcome::Passed;
                }
                Ok(true) => {}
                Ok(false) => return TryOutcome::Unwanted,
                Err(error) => return TryOutcome::Trapped(error),
            }
        }
        let handled = match !op.is_tick() && self.handler.handles_batches() {
            true => {
                self.handler.call_batch(&[(op, 1)]).await.map(|all| all.into_iter().next().unwrap_or(Ok(())))
            }
            false => self.handler.call(op, 1).await,
        };
        let failed = match handled {
            Ok(Ok(())) => return TryOutcome::Handled,
            Ok(Err(failure)) => TryOutcome::Failed(failure),
            Err(error) => TryOutcome::Trapped(error),
        };
        match (self.handler.met(), failed) {
            (
                MetObstacle { obstacle: Some(obstacle), .. },
                TryOutcome::Failed(Failure::Retry { .. }) | TryOutcome::Trapped(_),
            ) => TryOutcome::Blocked(obstacle.reason),
            (MetObstacle { made_up: true, .. }, failed) => TryOutcome::Unknown(format!(
                "the host made up an answer or refused a connection, and then the plugin returned {}: {}. help: pass the answer of an HTTP \
                 server with --answer, or send requests that only read with --allow-http-get; a TCP connection has no answer here",
                failed.name(),
                failed.reason().unwrap_or_default()
            )),
            (_, failed) => failed,
        }
    }
}

/// Returns the answers on the command line.
fn answers(arguments: &TryArguments) -> anyhow::Result<Vec<HttpAnswer>> {
    let mut answers = Vec::new();
    for pair in arguments.answers.chunks_exact(2) {
        if let [request, body] = pair {
            let is_json = serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok();
            let body = match is_json {
                true => body.clone().into_bytes(),
                false => std::fs::read(body)
                    .with_context(|| {
                        format!("--answer '{request}': {body} is not JSON, and not a file that can be read")
                    })
                    .or_usage()?,
            };
            let answer =
                HttpAnswer::new(request, body).map_err(|reason| anyhow!("--answer: {reason}")).or_usage()?;
            let with_headers = arguments.headers_of(answers.len()).try_fold(answer, HttpAnswer::with_header);
            let answer = with_headers.map_err(|reason| anyhow!("--answer-header: {reason}")).or_usage()?;
            answers.push(answer);
        }
    }
    Ok(answers)
}

impl TryOutcome {
    fn name(&self) -> &'static str {
        match self {
            Self::Unwanted => "unwanted",
            Self::Passed => "passed",
            Self::Handled => "handled",
            Self::Failed(Failure::Retry { .. }) => "retry",
            Self::Failed(Failure::Reject { .. }) => "reject",
            Self::Trapped(_) => "trapped",
            Self::Blocked(_) => "blocked",
            Self::Unknown(_) => "unknown",
        }
    }

    fn reason(&self) -> Option<String> {
        match self {
            Self::Unwanted | Self::Passed | Self::Handled => None,
            Self::Failed(Failure::Retry { reason, after: Some(after) }) => {
                Some(format!("{reason} (after {})", humantime::format_duration(*after)))
            }
            Self::Failed(failure) => Some(failure.reason().to_owned()),
            Self::Trapped(error) => Some(WithRemedy(error).to_string()),
            Self::Blocked(reason) | Self::Unknown(reason) => Some(reason.clone()),
        }
    }
}

fn text(op: &Op, outcome: &TryOutcome, effects: &[Effect]) -> String {
    let head = format!("{} {} {}", op.id(), op.operation_type.name(), op.namespace);
    let mut text = line(&head).into_owned();
    for effect in effects {
        let what = match (effect.capability, effect.what.get("text").and_then(Value::as_str)) {
            // A letter is read as it is.
            ("mail", Some(letter)) => indented(&letter.trim_end().replace("\r\n", "\n"), 9),
            _ => line(&effect.what.to_string()).into_owned(),
        };
        text.push_str(&format!("\n  {:<6} {what}", effect.capability));
    }
    match outcome.reason() {
        Some(reason) => format!("{text}\n  {}: {}", outcome.name(), indented(&reason, 4)),
        None => format!("{text}\n  {}", outcome.name()),
    }
}

/// Returns the result as a JSON object. The op is inserted as text, because a document may be nested more deeply than a JSON tree can be.
fn object(op: &Op, outcome: &TryOutcome, effects: &[Effect]) -> Vec<u8> {
    let effects: Vec<_> = effects
        .iter()
        .map(|effect| json!({ "capability": effect.capability, "what": effect.what }))
        .collect();
    let mut line = br#"{"op":"#.to_vec();
    write_op(op, Form::Relaxed, &mut line);
    let rest = json!({ "outcome": outcome.name(), "reason": outcome.reason(), "effects": effects });
    line.push(b',');
    line.extend_from_slice(rest.to_string().trim_start_matches('{').as_bytes());
    line
}

/// The ops for the plugin: those of files, then those of the command line, then ticks.
struct TryOps {
    files: Option<FileSource>,
    typed: Option<Vec<Op>>,
    ticks: Vec<Op>,
}

impl TryOps {
    fn of(arguments: &TryArguments) -> anyhow::Result<Self> {
        let (paths, typed) = (arguments.files.clone(), typed_ops(arguments).or_usage()?);
        let ticks = ticks::ticks(&arguments.ticks).or_usage()?;
        if paths.is_empty() && typed.is_empty() && ticks.is_empty() {
            bail_usage!(
                "there is no op. help: pass one, as in --insert shop.orders '{{\"_id\":1}}', a file with --op, or a timer with --tick"
            );
        }
        let files = match paths.is_empty() {
            true => None,
            false => Some(FileSource::open(paths, Selection::everything(), FileOptions::default())?),
        };
        let typed = typed.into_iter().chain(ticks.iter().cloned()).collect();
        Ok(Self { files, typed: Some(typed), ticks })
    }

    /// Returns the next ops. None: there are no more.
    async fn next(&mut self) -> anyhow::Result<Option<Vec<Op>>> {
        let Some(files) = &mut self.files else { return Ok(self.typed.take()) };
        match files.next().await {
            Ok(Some(batch)) => Ok(Some(batch.ops)),
            Ok(None) => match files.report().totals.corrupt {
                0 => {
                    self.files = None;
                    Ok(self.typed.take())
                }
                count => {
                    let ops = counted(count, "op");
                    bail!("{ops} of the files cannot be read: the first of them is in the log above")
                }
            },
            Err(FileError::NoNamespace { file }) => bail!(
                "{file} holds no ops. help: pass --op with the output of gtm-host tail, change events, or oplog entries"
            ),
            Err(error) => Err(error.into()),
        }
    }
}

/// Returns the ops on the command line.
fn typed_ops(arguments: &TryArguments) -> anyhow::Result<Vec<Op>> {
    let mut ops = Vec::new();
    let typed = [
        (OperationType::Insert, &arguments.inserts),
        (OperationType::Replace, &arguments.replacements),
        (OperationType::Update, &arguments.updates),
        (OperationType::Delete, &arguments.deletions),
    ];
    for (operation, words) in typed {
        for pair in words.chunks_exact(2) {
            if let [namespace, document] = pair {
                ops.push(op(operation, namespace, document, ops.len())?);
            }
        }
    }
    let mut updates = ops.iter_mut().filter(|op| op.operation_type == OperationType::Update).rev();
    let updates: Vec<_> = updates.by_ref().take(arguments.updates.len() / 2).collect();
    if arguments.changes.len() > updates.len() {
        bail!("there are more --changed than --update. help: pass one --changed per --update");
    }
    for (op, changed) in updates.into_iter().rev().zip(&arguments.changes) {
        op.update_description = Some(description(changed)?);
    }
    Ok(ops)
}

/// Returns an update description. Parts that `json` leaves out are empty.
fn description(json: &str) -> anyhow::Result<bytes::Bytes> {
    let parts = [
        (cstr!("updatedFields"), Some(RawBson::Document(RawDocumentBuf::new()))),
        (cstr!("removedFields"), Some(RawBson::Array(RawArrayBuf::new()))),
        (cstr!("truncatedArrays"), Some(RawBson::Array(RawArrayBuf::new()))),
        (cstr!("disambiguatedPaths"), None),
    ];
    let given = read_document(json).with_context(|| format!("--changed: {json} is not a document"))?;
    for field in &given {
        let (name, _) = field?;
        if !parts.iter().any(|(part, _)| *part == name) {
            let all = parts.map(|(part, _)| part.as_str()).join(", ");
            bail!("--changed: {name} is not a part of an update description. help: use {all}");
        }
    }
    let mut description = RawDocumentBuf::new();
    for (part, empty) in parts {
        match (given.get(part)?, empty) {
            (Some(value), _) => description.append(part, value),
            (None, Some(empty)) => description.append(part, empty),
            (None, None) => {}
        }
    }
    Ok(description.into_bytes().into())
}

fn op(operation: OperationType, namespace: &str, json: &str, number: usize) -> anyhow::Result<Op> {
    let parts = namespace.split_once('.').filter(|(db, collection)| !db.is_empty() && !collection.is_empty());
    let (database, collection) = parts.with_context(|| {
        format!("\"{namespace}\" is not a valid namespace. help: write DATABASE.COLLECTION")
    })?;
    let document = read_document(json).with_context(|| format!("{json} is not a document"))?;
    let is_deletion = operation == OperationType::Delete;
    let mut key = RawDocumentBuf::new();
    match document.get("_id")? {
        Some(id) => key.append(cstr!("_id"), id),
        None => bail!("{json} has no _id. help: add one, since each document in MongoDB has it"),
    }
    let bytes = |document: &RawDocumentBuf| bytes::Bytes::copy_from_slice(document.as_bytes());
    Ok(Op {
        timestamp: Timestamp { time: seconds(), increment: 1 },
        place: OpPlace::Index(u32::try_from(number)?),
        origin: Origin::Replay,
        operation_type: operation,
        namespace: Arc::new(Namespace { database: database.into(), collection: collection.into() }),
        wall_time: Some(u64::from(seconds()) * 1000),
        document_key: Some(bytes(if is_deletion { &document } else { &key })),
        full_document: if is_deletion { None } else { Some(bytes(&document)) },
        full_document_before_change: None,
        update_description: None,
        command: None,
        transaction: None,
    })
}

fn seconds() -> u32 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.ok().and_then(|now| u32::try_from(now.as_secs()).ok()).unwrap_or_default()
}
