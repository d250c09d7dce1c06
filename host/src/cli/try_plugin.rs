//! `gtm-host try`: hands ops to a plugin, and shows what it makes of them. Nothing that it wants done is done.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, anyhow, bail};
use gtm_host::config::Settings;
use gtm_host::extended_json::{Form, read_document, read_op, write_op};
use gtm_host::op::{Namespace, Op, OperationType, Origin, Place, Timestamp};
use gtm_host::plugin::{
    CallError, Effect, Engine, Failure, Filter, Grants, Handler, HttpAnswer, Met, Plugin, Recorder, Services,
    Slot,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::arguments::{Format, TryArguments};
use super::output::{print, print_json};
use super::server::cluster;
use super::{INTERRUPTED, directories};

pub(super) async fn run(
    arguments: &TryArguments,
    settings: Settings,
    shutdown: CancellationToken,
) -> anyhow::Result<ExitCode> {
    let ops = ops(arguments)?;
    let mut tried = Tried::load(arguments, &settings).await?;
    let mut all_went_well = true;
    for op in ops {
        if shutdown.is_cancelled() {
            return Ok(ExitCode::from(INTERRUPTED));
        }
        let (outcome, effects) = tried.call(&op).await;
        all_went_well &= matches!(outcome, Outcome::Unwanted | Outcome::Handled);
        match arguments.output {
            Format::Text => print(text(&op, &outcome, &effects).as_bytes())?,
            Format::Json => print_json(&object(&op, &outcome, &effects)?)?,
        };
        if let Outcome::Blocked(reason) = outcome {
            bail!("the plugin {} can handle nothing: {reason}", tried.slot.name());
        }
    }
    Ok(if all_went_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The plugin that is tried.
struct Tried {
    slot: Slot,
    handler: Handler,
    effects: Arc<Mutex<Vec<Effect>>>,
}

/// What came of an op.
enum Outcome {
    Unwanted,
    Handled,
    Failed(Failure),
    Trapped(CallError),
    /// Something is in the way, whatever the op.
    Blocked(String),
    /// It failed after an answer that was made up.
    Unknown(String),
}

impl Tried {
    async fn load(arguments: &TryArguments, settings: &Settings) -> anyhow::Result<Self> {
        let engine = Engine::new(&directories::cache(settings)?)?;
        let name = arguments.name();
        let own = settings.plugins.get(&name).cloned().unwrap_or_default();
        let mut setup = own.setup(&name, settings.limits());
        if !arguments.says_grants() && setup.grants == Grants::default() {
            setup.grants = Grants::everything();
        }
        let path = arguments.path.clone();
        let plugin = tokio::task::spawn_blocking(move || Plugin::load(&engine, &path, &setup)).await??;
        let effects: Arc<Mutex<Vec<_>>> = Arc::default();
        let taken = Arc::clone(&effects);
        let answers = answers(&arguments.answers)?;
        let take = move |effect| taken.lock().unwrap_or_else(PoisonError::into_inner).push(effect);
        let client = match arguments.uri() {
            Some(uri) => Some(cluster(uri).await?),
            None => None,
        };
        let recorder = Some(Recorder::new(take).answering(answers, arguments.allow_http_get));
        let slot = Slot::new(plugin, Services { client, recorder, ..Services::default() });
        Ok(Self { handler: Handler::new(&slot), slot, effects })
    }

    async fn call(&mut self, op: &Op) -> (Outcome, Vec<Effect>) {
        let outcome = self.outcome(op).await;
        let effects = std::mem::take(&mut *self.effects.lock().unwrap_or_else(PoisonError::into_inner));
        (outcome, effects)
    }

    async fn outcome(&mut self, op: &Op) -> Outcome {
        let mut selection = self.slot.current().selection().clone();
        if !selection.wants(op) {
            return Outcome::Unwanted;
        }
        match Filter::new(&self.slot).call(op, 1).await {
            Ok(true) => {}
            Ok(false) => return Outcome::Unwanted,
            Err(error) => return Outcome::Trapped(error),
        }
        let handled = match self.handler.handles_batches() {
            true => {
                self.handler.call_batch(&[(op, 1)]).await.map(|all| all.into_iter().next().unwrap_or(Ok(())))
            }
            false => self.handler.call(op, 1).await,
        };
        let failed = match handled {
            Ok(Ok(())) => return Outcome::Handled,
            Ok(Err(failure)) => Outcome::Failed(failure),
            Err(error) => Outcome::Trapped(error),
        };
        match (self.handler.met(), failed) {
            (
                Met { obstacle: Some(obstacle), .. },
                Outcome::Failed(Failure::Retry(_)) | Outcome::Trapped(_),
            ) => Outcome::Blocked(obstacle.reason),
            (Met { made_up: true, .. }, failed) => Outcome::Unknown(format!(
                "an answer was made up, and after it the plugin says {}: {}. Say what is answered by --answer, or let requests that read \
                 through by --allow-http-get",
                failed.name(),
                failed.reason().unwrap_or_default()
            )),
            (_, failed) => failed,
        }
    }
}

/// The answers that are said.
fn answers(words: &[String]) -> anyhow::Result<Vec<HttpAnswer>> {
    let mut answers = Vec::new();
    for pair in words.chunks_exact(2) {
        if let [request, body] = pair {
            let is_json = serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok();
            let body = match is_json {
                true => body.clone().into_bytes(),
                false => std::fs::read(body).with_context(|| {
                    format!("--answer '{request}': {body} is not JSON, and not a file that can be read")
                })?,
            };
            let answer = HttpAnswer::new(request, body).map_err(|reason| anyhow!("--answer: {reason}"))?;
            answers.push(answer);
        }
    }
    Ok(answers)
}

impl Outcome {
    fn name(&self) -> &'static str {
        match self {
            Self::Unwanted => "unwanted",
            Self::Handled => "handled",
            Self::Failed(Failure::Retry(_)) => "retry",
            Self::Failed(Failure::Reject(_)) => "reject",
            Self::Trapped(_) => "trapped",
            Self::Blocked(_) => "blocked",
            Self::Unknown(_) => "unknown",
        }
    }

    fn reason(&self) -> Option<String> {
        match self {
            Self::Unwanted | Self::Handled => None,
            Self::Failed(Failure::Retry(reason) | Failure::Reject(reason)) => Some(reason.clone()),
            Self::Trapped(error) => Some(error.to_string()),
            Self::Blocked(reason) | Self::Unknown(reason) => Some(reason.clone()),
        }
    }
}

fn text(op: &Op, outcome: &Outcome, effects: &[Effect]) -> String {
    let mut text = format!("{} {} {}", op.id(), op.operation_type.name(), op.namespace);
    for effect in effects {
        let what = match (effect.capability, effect.what.get("text").and_then(Value::as_str)) {
            // A letter is read as it is.
            ("mail", Some(letter)) => letter.trim_end().replace("\r\n", "\n").replace('\n', "\n         "),
            _ => effect.what.to_string(),
        };
        text.push_str(&format!("\n  {:<6} {what}", effect.capability));
    }
    match outcome.reason() {
        Some(reason) => format!("{text}\n  {}: {reason}", outcome.name()),
        None => format!("{text}\n  {}", outcome.name()),
    }
}

fn object(op: &Op, outcome: &Outcome, effects: &[Effect]) -> anyhow::Result<Value> {
    let mut line = Vec::new();
    write_op(op, Form::Relaxed, &mut line);
    let op: Value = serde_json::from_slice(&line)?;
    let effects: Vec<_> = effects
        .iter()
        .map(|effect| json!({ "capability": effect.capability, "what": effect.what }))
        .collect();
    Ok(json!({ "op": op, "outcome": outcome.name(), "reason": outcome.reason(), "effects": effects }))
}

/// The ops that are handed over: those of files, then those that are said.
fn ops(arguments: &TryArguments) -> anyhow::Result<Vec<Op>> {
    let mut ops = Vec::new();
    for file in &arguments.files {
        let text = read(file)?;
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let at =
                || format!("{}, line {}, is no op as gtm-host tail prints them", file.display(), number + 1);
            ops.push(read_op(line).with_context(at)?);
        }
    }
    let said = [
        (OperationType::Insert, &arguments.inserts),
        (OperationType::Replace, &arguments.replacements),
        (OperationType::Update, &arguments.updates),
        (OperationType::Delete, &arguments.deletions),
    ];
    for (operation, words) in said {
        for pair in words.chunks_exact(2) {
            if let [namespace, document] = pair {
                ops.push(op(operation, namespace, document, ops.len())?);
            }
        }
    }
    let mut updates = ops.iter_mut().filter(|op| op.operation_type == OperationType::Update).rev();
    let updates: Vec<_> = updates.by_ref().take(arguments.updates.len() / 2).collect();
    if arguments.changes.len() > updates.len() {
        bail!("there are more --changed than --update: each says what changed in one of them");
    }
    for (op, changed) in updates.into_iter().rev().zip(&arguments.changes) {
        op.update_description = Some(description(changed)?);
    }
    if ops.is_empty() {
        bail!(
            "there is no op to hand over: say one, as in --insert shop.orders '{{\"_id\":1}}', or name a file by --op"
        );
    }
    Ok(ops)
}

/// An update description, with the parts that are left out.
fn description(json: &str) -> anyhow::Result<bytes::Bytes> {
    const PARTS: [&str; 4] = ["updatedFields", "removedFields", "truncatedArrays", "disambiguatedPaths"];
    let said = read_document(json).with_context(|| format!("--changed: {json} is not a document"))?;
    if let Some(other) = said.keys().find(|key| !PARTS.contains(&key.as_str())) {
        bail!("--changed: {other} is not a part of an update description, which are {}", PARTS.join(", "));
    }
    let mut description = bson::doc! { "updatedFields": {}, "removedFields": [], "truncatedArrays": [] };
    description.extend(said);
    Ok(bson::serialize_to_vec(&description)?.into())
}

fn read(file: &Path) -> anyhow::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("the standard input cannot be read")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
}

fn op(operation: OperationType, namespace: &str, json: &str, number: usize) -> anyhow::Result<Op> {
    let parts = namespace.split_once('.').filter(|(db, collection)| !db.is_empty() && !collection.is_empty());
    let (database, collection) =
        parts.with_context(|| format!("\"{namespace}\" is no namespace: that is DATABASE.COLLECTION"))?;
    let document = read_document(json).with_context(|| format!("{json} is no document"))?;
    let is_deletion = operation == OperationType::Delete;
    let key = match document.get("_id") {
        Some(id) => bson::doc! { "_id": id.clone() },
        None => bail!("{json} has no _id, which each document has"),
    };
    let bytes = |document: &bson::Document| bson::serialize_to_vec(document).map(bytes::Bytes::from);
    Ok(Op {
        timestamp: Timestamp { time: seconds(), increment: 1 },
        place: Place::Index(u32::try_from(number)?),
        origin: Origin::Replay,
        operation_type: operation,
        namespace: Arc::new(Namespace { database: database.into(), collection: collection.into() }),
        wall_time: Some(u64::from(seconds()) * 1000),
        document_key: Some(bytes(if is_deletion { &document } else { &key })?),
        full_document: if is_deletion { None } else { Some(bytes(&document)?) },
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
