//! Ops that a plugin did not handle, kept for later.

use std::time::SystemTime;

use gtm_oplog::{Op, OperationType, Pattern, PatternError};
use sha2::{Digest, Sha256};

use super::StoreError;

/// An op that a plugin did not handle. Times are kept to the millisecond.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// As [`DeadLetter::id_of`] makes it.
    pub id: String,
    /// Whose plugin.
    pub pipeline: String,
    /// The plugin.
    pub plugin: String,
    /// Of the plugin, as it last failed.
    pub version: String,
    /// The whole op.
    pub op: Op,
    /// Why it is here.
    pub kind: DeadLetterKind,
    /// What the plugin or the host said.
    pub error: String,
    /// How often it was tried in all.
    pub attempts: u32,
    /// When it was first tried.
    pub first_attempt: SystemTime,
    /// When it was given up.
    pub time: SystemTime,
}

/// Some dead letters, in the order of their ids.
#[derive(Debug, Default)]
pub struct LetterPage {
    /// Those that were found.
    pub letters: Vec<DeadLetter>,
    /// Why others cannot be read, which may be among those that are asked for: each error names its letter.
    pub unreadable: Vec<StoreError>,
    /// The id of the last that was looked at. None: there are no more.
    pub last: Option<String>,
}

impl LetterPage {
    /// Returns how many letters there are on it.
    pub(super) fn len(&self) -> usize {
        self.letters.len() + self.unreadable.len()
    }

    /// Takes what became of reading the letter of this id. One that is no more is left out, and so is one that is not asked for.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) fn take(
        &mut self,
        id: String,
        read: Result<Option<DeadLetter>, StoreError>,
    ) -> Result<(), StoreError> {
        match read {
            Ok(letter) => self.letters.extend(letter),
            Err(error @ (StoreError::Damaged { .. } | StoreError::Newer { .. })) => {
                self.unreadable.push(error)
            }
            Err(error) => return Err(error),
        }
        self.last = Some(id);
        Ok(())
    }
}

/// Why an op was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadLetterKind {
    /// The plugin said that it will never handle it.
    Rejected,
    /// No attempt succeeded.
    Failed,
}

impl DeadLetterKind {
    /// Returns its name, as it is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        }
    }
}

/// Which dead letters; none of them said: all.
#[derive(Clone, Debug, Default)]
pub struct DeadLetterFilter {
    /// Of this pipeline.
    pub pipeline: Option<String>,
    /// Of this plugin.
    pub plugin: Option<String>,
    /// Of changes in namespaces like this pattern, as [`Pattern::new`] takes it.
    pub namespace: Option<String>,
    /// Of such changes.
    pub operation: Option<OperationType>,
    /// Given up for this reason.
    pub kind: Option<DeadLetterKind>,
    /// Given up then or later.
    pub since: Option<SystemTime>,
    /// Given up before.
    pub until: Option<SystemTime>,
    /// With this in their error.
    pub error: Option<String>,
    /// Of the op with this id.
    pub op: Option<String>,
}

impl DeadLetter {
    /// Returns what it holds, in bytes: the documents of its op, and its error.
    pub fn size(&self) -> u64 {
        let Op {
            document_key, full_document, full_document_before_change, update_description, command, ..
        } = &self.op;
        let parts = [document_key, full_document, full_document_before_change, update_description, command];
        let bytes = parts.into_iter().flatten().map(bytes::Bytes::len).sum::<usize>() + self.error.len();
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// Returns the id of the dead letter of this op for a plugin: the same whenever and wherever it fails. Ids are in the order of the
    /// changes, so that a page goes on after an id even where that letter is gone, and a retry goes by the order of
    /// the changes: the timestamp in hexadecimal, then a digest.
    pub fn id_of(pipeline: &str, plugin: &str, op: &Op) -> String {
        // By length, as names have any signs in them.
        let said = format!("{} {pipeline}{} {plugin}{}", pipeline.len(), plugin.len(), op.id());
        let digest = hex::encode(Sha256::digest(said).get(..8).unwrap_or_default());
        format!("{:08x}{:08x}-{digest}", op.timestamp.time, op.timestamp.increment)
    }
}

/// What a letter is asked for.
pub(super) struct LetterHead<'a> {
    pub(super) pipeline: &'a str,
    pub(super) plugin: &'a str,
    pub(super) database: &'a str,
    pub(super) collection: &'a str,
    pub(super) operation: OperationType,
    pub(super) kind: DeadLetterKind,
    pub(super) time: SystemTime,
    pub(super) error: &'a str,
    pub(super) op: &'a str,
}

/// A filter that letters can be compared with.
pub(super) struct LetterMatcher {
    filter: DeadLetterFilter,
    pattern: Option<Pattern>,
}

impl LetterMatcher {
    pub(super) fn new(filter: &DeadLetterFilter) -> Result<Self, PatternError> {
        let pattern = filter.namespace.as_deref().map(Pattern::new).transpose()?;
        Ok(Self { filter: filter.clone(), pattern })
    }

    pub(super) fn matches(&self, letter: &LetterHead<'_>) -> bool {
        let DeadLetterFilter { pipeline, plugin, namespace: _, operation, kind, since, until, error, op } =
            &self.filter;
        let in_namespace = self
            .pattern
            .as_ref()
            .is_none_or(|pattern| pattern.is_match(&format!("{}.{}", letter.database, letter.collection)));
        in_namespace
            && pipeline.as_ref().is_none_or(|pipeline| pipeline == letter.pipeline)
            && plugin.as_ref().is_none_or(|plugin| plugin == letter.plugin)
            && operation.is_none_or(|operation| operation == letter.operation)
            && kind.is_none_or(|kind| kind == letter.kind)
            && since.is_none_or(|since| letter.time >= since)
            && until.is_none_or(|until| letter.time < until)
            && error.as_ref().is_none_or(|error| letter.error.contains(error))
            && op.as_ref().is_none_or(|op| op == letter.op)
    }
}
