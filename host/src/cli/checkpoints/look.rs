//! `gtm-host checkpoints list` and `show`.

use std::process::ExitCode;

use anyhow::bail;
use gtm_host::config::Settings;
use gtm_store::{Checkpoint, CheckpointKey, Store};
use gtm_text::sanitize;
use serde_json::Value;

use super::{is_selected, object, source, start_text, time};
use crate::cli::arguments::{Format, LookArguments};
use crate::cli::known_names;
use crate::cli::output::{print_json, print_text};
use crate::cli::table::Table;

/// Returns the keys that the arguments select.
async fn keys(
    arguments: &LookArguments,
    settings: &Settings,
    store: &Store,
) -> anyhow::Result<Vec<CheckpointKey>> {
    let whose = &arguments.whose;
    let mut keys = store.checkpoint_keys(settings.name(), whose.plugin.as_deref()).await?;
    keys.retain(|key| is_selected(key, whose));
    if keys.is_empty() {
        known_names::check_plugin(store, settings, whose.plugin.as_deref()).await?;
    }
    Ok(keys)
}

pub(super) async fn list(
    arguments: &LookArguments,
    settings: &Settings,
    store: &Store,
) -> anyhow::Result<ExitCode> {
    let mut table = Table::new(["PLUGIN", "WORKER", "RESUMES AFTER", "TIME", "SOURCE"], &[]);
    let (mut count, mut damaged) = (0_u64, 0_u64);
    let text = arguments.place.output == Format::Text;
    for key in keys(arguments, settings, store).await? {
        let checkpoint = match store.checkpoint(&key).await {
            Ok(Some(checkpoint)) => checkpoint,
            // Another process removed it meanwhile.
            Ok(None) => continue,
            Err(error) => {
                tracing::error!(event = "checkpoint.read_failed", plugin = key.plugin, %error, "a checkpoint cannot be read");
                damaged += 1;
                continue;
            }
        };
        count += 1;
        let is_read = match text {
            true => table.push(row(key, &checkpoint))?,
            false => print_json(&object(&key, &checkpoint))?,
        };
        if !is_read {
            return Ok(ExitCode::SUCCESS);
        }
    }
    if text && count > 0 {
        table.flush()?;
    } else if text {
        let such = if arguments.whose.says_nothing() { "checkpoints" } else { "such checkpoints" };
        print_text(&format!("the pipeline {} has no {such}", settings.name()))?;
    }
    Ok(if damaged == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn row(key: CheckpointKey, checkpoint: &Checkpoint) -> [String; 5] {
    [
        key.plugin,
        key.worker.unwrap_or_default(),
        start_text(&checkpoint.position),
        time(checkpoint).unwrap_or_else(|| "?".to_owned()),
        source(checkpoint).to_owned(),
    ]
}

pub(super) async fn show(
    arguments: &LookArguments,
    settings: &Settings,
    store: &Store,
) -> anyhow::Result<ExitCode> {
    let keys = keys(arguments, settings, store).await?;
    let key = match keys.as_slice() {
        [key] => key,
        [] => bail!(
            "the pipeline {} has no such checkpoint. help: run gtm-host checkpoints list, or pass another pipeline with --name",
            settings.name()
        ),
        more => bail!(
            "there are several checkpoints: {}. help: pass --plugin NAME, and --worker NAME where hosts share the work",
            more.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        ),
    };
    let Some(checkpoint) = store.checkpoint(key).await? else { bail!("{key} no longer has a checkpoint") };
    let mut object = object(key, &checkpoint);
    let snapshot = store.snapshot_progress(key).await?;
    let snapshot: Option<Value> = snapshot.and_then(|progress| serde_json::from_slice(&progress).ok());
    if let Value::Object(fields) = &mut object {
        fields.insert("snapshot".to_owned(), snapshot.unwrap_or_default());
    }
    match arguments.place.output {
        Format::Json => print_json(&object)?,
        Format::Text => print_text(&fields(&object))?,
    };
    Ok(ExitCode::SUCCESS)
}

/// Returns a line for each field that has a value.
fn fields(object: &Value) -> String {
    let mut lines = Vec::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        let shown = match value {
            Value::Null => continue,
            Value::String(text) => sanitize::line(text).into_owned(),
            Value::Object(snapshot) => {
                let done = snapshot.get("complete").and_then(Value::as_bool).unwrap_or_default();
                if done { "complete".to_owned() } else { "not complete".to_owned() }
            }
            other => other.to_string(),
        };
        lines.push(format!("{name:14} {shown}"));
    }
    lines.join("\n")
}
