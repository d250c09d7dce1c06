//! Dead letters: ops that a plugin did not handle, stored for later.

use std::time::SystemTime;

use gtm_oplog::{Op, OperationType, Pattern, PatternError};
use sha2::{Digest, Sha256};

use super::StoreError;

/// An op that a plugin did not handle. Times are stored in milliseconds.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The id, as from [`DeadLetter::id_of`].
    pub id: String,
    /// The name of the pipeline.
    pub pipeline: String,
    /// The name of the plugin.
    pub plugin: String,
    /// The version of the plugin that failed last.
    pub version: String,
    /// The op.
    pub op: Op,
    /// Why it was given up.
    pub kind: DeadLetterKind,
    /// The error of the plugin or the host.
    pub error: String,
    /// The number of attempts.
    pub attempts: u32,
    /// When the first attempt began.
    pub first_attempt: SystemTime,
    /// When it was given up.
    pub time: SystemTime,
}

/// A page of dead letters, in the order of their ids.
#[derive(Debug, Default)]
pub struct LetterPage {
    /// The letters.
    pub letters: Vec<DeadLetter>,
    /// The errors of letters that cannot be read, and may match the filter. Each error names its letter.
    pub unreadable: Vec<StoreError>,
    /// The id of the last letter that was read. None: there are no more.
    pub last: Option<String>,
}

impl LetterPage {
    /// Returns the number of its letters.
    pub(super) fn len(&self) -> usize {
        self.letters.len() + self.unreadable.len()
    }

    /// Adds the result of reading the letter with this id. A letter that was removed or does not match is left out.
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
    /// The plugin rejected it.
    Rejected,
    /// All attempts failed.
    Failed,
}

impl DeadLetterKind {
    /// Returns its name, as stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        }
    }
}

/// Selects dead letters: those that match all given fields.
#[derive(Clone, Debug, Default)]
pub struct DeadLetterFilter {
    /// The name of the pipeline.
    pub pipeline: Option<String>,
    /// The name of the plugin.
    pub plugin: Option<String>,
    /// A pattern of namespaces, for [`Pattern::new`].
    pub namespace: Option<String>,
    /// The type of the operation.
    pub operation: Option<OperationType>,
    /// Why the op was given up.
    pub kind: Option<DeadLetterKind>,
    /// Given up at this time or later.
    pub since: Option<SystemTime>,
    /// Given up before this time.
    pub until: Option<SystemTime>,
    /// A part of the error.
    pub error: Option<String>,
    /// The id of the op.
    pub op: Option<String>,
}

impl DeadLetter {
    /// Returns its size in bytes: the documents of its op, and its error.
    pub fn size(&self) -> u64 {
        let Op {
            document_key, full_document, full_document_before_change, update_description, command, ..
        } = &self.op;
        let parts = [document_key, full_document, full_document_before_change, update_description, command];
        let bytes = parts.into_iter().flatten().map(bytes::Bytes::len).sum::<usize>() + self.error.len();
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// Returns the id of the dead letter of this op for a plugin, which is the same each time it fails: the timestamp in hexadecimal, then a
    /// digest. So ids are in the order of the changes: a retry follows that order, and a page continues after an id even if that letter was
    /// removed.
    pub fn id_of(pipeline: &str, plugin: &str, op: &Op) -> String {
        // With lengths, as names may contain any character.
        let said = format!("{} {pipeline}{} {plugin}{}", pipeline.len(), plugin.len(), op.id());
        let digest = hex::encode(Sha256::digest(said).get(..8).unwrap_or_default());
        format!("{:08x}{:08x}-{digest}", op.timestamp.time, op.timestamp.increment)
    }
}

/// The fields of a letter that a filter compares.
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

/// A filter, prepared for comparison with letters.
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
