//! Converts a dead letter to a document and back.

use bson::oid::ObjectId;
use bson::raw::cstr;
use bson::{DateTime, RawBsonRef, RawDocument, RawDocumentBuf, rawdoc};

use super::dead_letter::{LetterHead, LetterMatcher};
use super::fields::{StoredFields, VERSION};
use super::{DeadLetter, DeadLetterKind, KnownPlugin, StoreError, StoredTotal, op_document};

const LOST: &str = "its op is never handled";

/// The parts of an op that does not fit into the document of its letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LetterParts {
    /// Distinguishes the parts of different writes.
    pub(super) write: ObjectId,
    pub(super) count: u32,
}

/// Returns the document of a letter without its op.
pub(super) fn encode(letter: &DeadLetter) -> RawDocumentBuf {
    rawdoc! {
        "_id": letter.id.as_str(),
        "version": VERSION,
        "pipeline": letter.pipeline.as_str(),
        "plugin": letter.plugin.as_str(),
        "pluginVersion": letter.version.as_str(),
        "opId": letter.op.id().to_string(),
        "operationType": letter.op.operation_type.name(),
        "database": &*letter.op.namespace.database,
        "collection": &*letter.op.namespace.collection,
        "kind": letter.kind.name(),
        "error": letter.error.as_str(),
        "attempts": i64::from(letter.attempts),
        "firstAttempt": DateTime::from_system_time(letter.first_attempt),
        "time": DateTime::from_system_time(letter.time),
        "bytes": i64::try_from(letter.size()).unwrap_or(i64::MAX),
    }
}

/// Returns the document of a letter with its op.
pub(super) fn whole(letter: &DeadLetter, op: &RawDocument) -> RawDocumentBuf {
    let mut document = encode(letter);
    document.append(cstr!("op"), op);
    document
}

/// Returns the document of a letter whose op is stored in parts.
pub(super) fn in_parts(letter: &DeadLetter, LetterParts { write, count }: LetterParts) -> RawDocumentBuf {
    let mut document = encode(letter);
    document.append(cstr!("parts"), rawdoc! { "write": write, "count": i64::from(count) });
    document
}

/// Counts the letters of a plugin. A letter that cannot be read counts with the size of its document, as it may belong to the plugin.
pub(super) struct Count<'a> {
    pipeline: &'a str,
    plugin: &'a str,
    store: &'a str,
    kept: StoredTotal,
    unreadable: Option<(u64, StoreError)>,
}

impl<'a> Count<'a> {
    pub(super) fn new(pipeline: &'a str, plugin: &'a str, store: &'a str) -> Self {
        Self { pipeline, plugin, store, kept: StoredTotal::default(), unreadable: None }
    }

    pub(super) fn add(&mut self, letter: &[u8]) {
        let Self { pipeline, plugin, store, .. } = *self;
        let read = || {
            let document = RawDocument::from_bytes(letter).map_err(|error| StoreError::Damaged {
                what: "a dead letter".to_owned(),
                store: store.to_owned(),
                reason: error.to_string(),
                lost: LOST,
            })?;
            FoundLetter::new(document, store)?.size_of(pipeline, plugin)
        };
        let bytes = match read() {
            Ok(None) => return,
            Ok(Some(bytes)) => bytes,
            Err(error) => {
                self.unreadable.get_or_insert((0, error)).0 += 1;
                u64::try_from(letter.len()).unwrap_or(u64::MAX)
            }
        };
        self.kept.entries += 1;
        self.kept.bytes = self.kept.bytes.saturating_add(bytes);
    }

    pub(super) fn kept(self) -> StoredTotal {
        if let Some((count, error)) = self.unreadable {
            tracing::warn!(
                event = "dead_letter.estimate", plugin = self.plugin, count, %error,
                "some dead letters cannot be read; they count with their stored size"
            );
        }
        self.kept
    }
}

/// Returns the document of a letter that is stored as bytes.
pub(super) fn parse<'a>(id: &str, letter: &'a [u8], store: &str) -> Result<&'a RawDocument, StoreError> {
    RawDocument::from_bytes(letter).map_err(|error| StoreError::Damaged {
        what: format!("the dead letter {id}"),
        store: store.to_owned(),
        reason: error.to_string(),
        lost: LOST,
    })
}

/// A letter that was read from the store.
pub(super) struct FoundLetter<'a>(StoredFields<'a>);

impl<'a> FoundLetter<'a> {
    /// Returns its plugin.
    pub(super) fn known(&self) -> Result<KnownPlugin, StoreError> {
        let text = |key| self.0.text(key).map(str::to_owned);
        Ok(KnownPlugin { pipeline: text("pipeline")?, plugin: text("plugin")?, has_letters: true })
    }

    pub(super) fn new(document: &'a RawDocument, store: &'a str) -> Result<Self, StoreError> {
        let id = document.get_str("_id").unwrap_or("without an id");
        let fields = StoredFields { document, what: format!("the dead letter {id}"), store, lost: LOST };
        fields.check_version(VERSION)?;
        Ok(Self(fields))
    }

    pub(super) fn is_wanted(&self, matcher: &mut LetterMatcher) -> Result<bool, StoreError> {
        let Self(fields) = self;
        Ok(matcher.matches(&LetterHead {
            pipeline: fields.text("pipeline")?,
            plugin: fields.text("plugin")?,
            database: fields.text("database")?,
            collection: fields.text("collection")?,
            operation: op_document::operation_of(fields)?,
            kind: self.kind()?,
            time: fields.date("time")?.to_system_time(),
            error: fields.text("error")?,
            op: fields.text("opId")?,
        }))
    }

    /// Returns its size in bytes, if it belongs to this plugin. A letter without a stored size counts as empty.
    fn size_of(&self, pipeline: &str, plugin: &str) -> Result<Option<u64>, StoreError> {
        let Self(fields) = self;
        if (fields.text("pipeline")?, fields.text("plugin")?) != (pipeline, plugin) {
            return Ok(None);
        }
        let bytes = fields.find("bytes")?.is_some().then(|| fields.unsigned("bytes")).transpose()?;
        Ok(Some(bytes.unwrap_or_default()))
    }

    /// Returns the parts of its op, if the document does not hold it.
    pub(super) fn parts(&self) -> Result<Option<LetterParts>, StoreError> {
        let Self(fields) = self;
        let Some(value) = fields.find("parts")? else { return Ok(None) };
        let document = value.as_document().ok_or_else(|| fields.wrong("parts", "a document"))?;
        let fields = StoredFields { document, what: fields.what.clone(), ..*fields };
        let write = fields.value("write")?.as_object_id();
        let write = write.ok_or_else(|| fields.wrong("write", "an ObjectId"))?;
        Ok(Some(LetterParts { write, count: op_document::u32_of(&fields, "count")? }))
    }

    /// Decodes the letter. `parts`: the document of its op, if the letter does not hold it.
    pub(super) fn decode(&self, parts: Option<&[u8]>) -> Result<DeadLetter, StoreError> {
        let Self(fields) = self;
        let op = match parts {
            Some(bytes) => RawDocument::from_bytes(bytes).map_err(|error| fields.damaged(error))?,
            None => match fields.value("op")? {
                RawBsonRef::Document(op) => op,
                _ => return Err(fields.wrong("op", "a document")),
            },
        };
        let op = op_document::decode(&StoredFields { document: op, what: fields.what.clone(), ..*fields })?;
        Ok(DeadLetter {
            id: fields.text("_id")?.to_owned(),
            pipeline: fields.text("pipeline")?.to_owned(),
            plugin: fields.text("plugin")?.to_owned(),
            version: fields.text("pluginVersion")?.to_owned(),
            op,
            kind: self.kind()?,
            error: fields.text("error")?.to_owned(),
            attempts: op_document::u32_of(fields, "attempts")?,
            first_attempt: fields.date("firstAttempt")?.to_system_time(),
            time: fields.date("time")?.to_system_time(),
        })
    }

    pub(super) fn damaged(&self, reason: impl ToString) -> StoreError {
        self.0.damaged(reason)
    }

    fn kind(&self) -> Result<DeadLetterKind, StoreError> {
        let name = self.0.text("kind")?;
        let kinds = [DeadLetterKind::Rejected, DeadLetterKind::Failed];
        kinds
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| self.0.wrong("kind", "rejected or failed"))
    }
}
