//! The summary of the ops that a command read, as text and as JSON.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use gtm_delivery::{EmittedOps, Summary};
use gtm_oplog::Skipped;
use gtm_oplog::skip::skipped_by_name;
use gtm_source::{FileContents, FileSourceReport};
use gtm_text::SingularPlural;
use gtm_text::sanitize::{counted, line, listed};
use serde_json::{Map, Value, json};

/// The summary of a command.
#[derive(Default)]
pub(super) struct ReadSummary {
    /// The number of ops per operation.
    pub(super) emitted: EmittedOps,
    /// The entries of a server that were skipped.
    pub(super) skipped: Skipped,
    /// The report about the files that were read.
    pub(super) report: Option<FileSourceReport>,
    pub(super) elapsed: Duration,
    /// The position up to which ops were read: a start to resume from.
    pub(super) position: Option<String>,
}

impl ReadSummary {
    /// Returns whether a part of a file was damaged. The damaged part is counted and skipped; the exit status tells scripts.
    pub(super) fn is_damaged(&self) -> bool {
        self.report.as_ref().is_some_and(|report| report.totals.is_damaged())
    }

    /// Returns whether the files held any document.
    pub(super) fn has_documents(&self) -> bool {
        self.report.iter().flat_map(|report| &report.files).any(|file| file.documents > 0)
    }

    fn passed_over(&self) -> Vec<(SingularPlural, u64)> {
        let server = skipped_by_name(&self.skipped);
        let files = self.report.iter().flat_map(|report| report.totals.named());
        server.chain(files).collect()
    }

    pub(super) fn json(&self) -> Map<String, Value> {
        let mut object = Map::new();
        if let Some(report) = &self.report {
            let files = report.files.iter().map(|file| {
                json!({
                    "path": file.path.to_string_lossy(),
                    "contents": contents(&file.contents),
                    "documents": file.documents,
                    "bytes": file.bytes,
                })
            });
            object.insert("files".to_owned(), files.collect());
        }
        if let Some(position) = &self.position {
            object.insert("position".to_owned(), position.as_str().into());
        }
        object.insert("seconds".to_owned(), self.elapsed.as_secs_f64().into());
        object.insert("emitted".to_owned(), counts(self.emitted.counts()));
        let skipped = self.passed_over().into_iter().map(|((_, several), count)| (several, count));
        object.insert("skipped".to_owned(), counts(skipped));
        object
    }
}

impl fmt::Display for ReadSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for file in self.report.iter().flat_map(|report| &report.files) {
            let what = format!("{}: {}", path(&file.path), contents(&file.contents));
            let (documents, bytes) = (counted(file.documents, "document"), counted(file.bytes, "byte"));
            writeln!(f, "{}, {documents}, {bytes}", line(&what))?;
        }
        if let Some(position) = &self.position {
            writeln!(f, "read up to {position}")?;
        }
        let emitted: Vec<_> =
            self.emitted.counts().map(|(operation, count)| format!("{count} {operation}")).collect();
        let emitted = if emitted.is_empty() { "none".to_owned() } else { emitted.join(", ") };
        writeln!(f, "ops: {emitted}, in {:.1} s", self.elapsed.as_secs_f64())?;
        let passed_over = self.passed_over();
        if !passed_over.is_empty() {
            writeln!(f, "passed over, or delivered in part: {}", listed(passed_over.into_iter()))?;
        }
        Ok(())
    }
}

/// Returns the counts of each plugin as JSON.
pub(super) fn plugins_json(plugins: &[(String, Summary)]) -> Value {
    let plugins = plugins.iter().map(|(name, summary)| {
        let Summary { read, unwanted, handled, rejected, failed, unknown, retries, unfinished, .. } =
            *summary;
        let mut summary = json!({
            "read": read, "unwanted": unwanted, "handled": handled, "rejected": rejected, "failed": failed,
            "retries": retries, "unfinished": unfinished,
        });
        if unknown > 0
            && let Some(fields) = summary.as_object_mut()
        {
            fields.insert("unknown".to_owned(), unknown.into());
        }
        (name.clone(), summary)
    });
    Value::Object(plugins.collect())
}

/// Returns a path as people call it.
fn path(path: &Path) -> Cow<'_, str> {
    if path.as_os_str() == "-" { "the standard input".into() } else { path.to_string_lossy() }
}

fn contents(contents: &FileContents) -> String {
    match contents {
        FileContents::Nothing => "nothing".to_owned(),
        FileContents::Metadata => "metadata".to_owned(),
        FileContents::Oplog => "oplog".to_owned(),
        FileContents::Collection(namespace) => format!("collection {namespace}"),
        FileContents::Events => "change events".to_owned(),
        FileContents::Archive => "archive".to_owned(),
    }
}

fn counts(counts: impl Iterator<Item = (&'static str, u64)>) -> Value {
    Value::Object(counts.map(|(name, count)| (name.to_owned(), count.into())).collect())
}
