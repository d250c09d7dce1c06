//! The store on the cluster: the host's own database, written with write concern `majority`.

use std::collections::BTreeSet;
use std::sync::Arc;

use bson::oid::ObjectId;
use bson::raw::cstr;
use bson::spec::BinarySubtype;
use bson::{DateTime, Document, RawBinaryRef, RawDocument, RawDocumentBuf, doc, rawdoc};
use futures_util::TryStreamExt;
use gtm_mongo::server_error::{UNAUTHORIZED, command_code, is_retryable, sentence};
use gtm_mongo::wire::timed;
use gtm_oplog::own_database::own_database;
use mongodb::error::{Error, ErrorKind, WriteFailure};
use mongodb::options::{ReadConcern, ReadPreference, SelectionCriteria, WriteConcern};
use mongodb::{Client, Collection};
use tokio::sync::OnceCell;

use super::checkpoint::CHECKPOINT_VERSION;
use super::dead_letter::LetterMatcher;
use super::fields::{StoredFields, VERSION};
use super::letter_document::{self, Count, FoundLetter, LetterParts};
use super::{
    Checkpoint, CheckpointKey, DeadLetter, DeadLetterFilter, KnownPlugin, LetterPage, StoreError,
    StoredTotal, TimerKey, TimerProgress, op_document,
};

pub(super) const NAME: &str = "the store on the cluster";
pub(super) const DUPLICATE_KEY: i32 = 11000;
/// Bytes of a part of an op. A larger op is stored in parts: a document has at most 16 MiB, with the rest of the letter.
const MAX_PART_BYTES: usize = 12 << 20;
/// Attempts to write a checkpoint. If two hosts write the first one, the later host tries again.
const MAX_ATTEMPTS: usize = 3;

#[derive(Clone, Debug)]
pub(super) struct ClusterStore {
    checkpoints: Collection<RawDocumentBuf>,
    letters: Collection<RawDocumentBuf>,
    parts: Collection<RawDocumentBuf>,
    snapshots: Collection<RawDocumentBuf>,
    timers: Collection<RawDocumentBuf>,
    pub(super) states: Collection<RawDocumentBuf>,
    /// Whether the server removes expired values.
    pub(super) has_expiry: Arc<OnceCell<()>>,
}

impl ClusterStore {
    pub(super) fn new(client: &Client) -> Self {
        let options = mongodb::options::DatabaseOptions::builder()
            .write_concern(WriteConcern::majority())
            .read_concern(ReadConcern::majority())
            // Reads must see what another host has just written.
            .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
            .build();
        let database = client.database_with_options(own_database(), options);
        Self {
            checkpoints: database.collection("checkpoints"),
            letters: database.collection("dead_letters"),
            parts: database.collection("dead_letter_parts"),
            snapshots: database.collection("snapshots"),
            timers: database.collection("timers"),
            states: database.collection("state"),
            has_expiry: Arc::default(),
        }
    }

    pub(super) async fn checkpoint(&self, key: &CheckpointKey) -> Result<Option<Checkpoint>, StoreError> {
        let found = find(&self.checkpoints, rawdoc! { "_id": key.document() }).await?;
        found.map(|document| Checkpoint::decode(&document, key, NAME)).transpose()
    }

    pub(super) async fn checkpoint_keys(
        &self,
        pipeline: &str,
        plugin: Option<&str>,
    ) -> Result<Vec<CheckpointKey>, StoreError> {
        let mut filter = doc! { "_id.pipeline": pipeline };
        plugin.into_iter().for_each(|plugin| drop(filter.insert("_id.plugin", plugin)));
        let find = self.checkpoints.find(filter).projection(doc! { "_id": 1 });
        let found: Vec<RawDocumentBuf> =
            timed(async { find.await?.try_collect().await }).await.map_err(error)?;
        found.iter().map(|document| CheckpointKey::of(document, NAME)).collect()
    }

    pub(super) async fn known(&self) -> Result<BTreeSet<KnownPlugin>, StoreError> {
        let mut known = BTreeSet::new();
        let find = self.checkpoints.find(doc! {}).projection(doc! { "_id": 1 });
        let mut cursor = timed(async { find.await }).await.map_err(error)?;
        while let Some(document) = timed(cursor.try_next()).await.map_err(error)? {
            let CheckpointKey { pipeline, plugin, .. } = CheckpointKey::of(&document, NAME)?;
            known.insert(KnownPlugin { pipeline, plugin, has_letters: false });
        }
        let find = self.letters.find(doc! {}).projection(doc! { "version": 1, "pipeline": 1, "plugin": 1 });
        let mut cursor = timed(async { find.await }).await.map_err(error)?;
        while let Some(document) = timed(cursor.try_next()).await.map_err(error)? {
            known.insert(FoundLetter::new(&document, NAME)?.known()?);
        }
        Ok(known)
    }

    pub(super) async fn remove_checkpoint(&self, key: &CheckpointKey) -> Result<bool, StoreError> {
        let filter = by_id(key)?;
        let removed = timed(async { self.checkpoints.delete_one(filter).await }).await.map_err(error)?;
        Ok(removed.deleted_count > 0)
    }

    /// Stores a checkpoint with one atomic write. A duplicate key means that the stored one has a newer epoch, or cannot be read.
    pub(super) async fn save_checkpoint(
        &self,
        key: &CheckpointKey,
        checkpoint: &Checkpoint,
    ) -> Result<(), StoreError> {
        let document = checkpoint.encode(key)?;
        let epoch = i64::try_from(checkpoint.epoch).unwrap_or(i64::MAX);
        let filter = doc! {
            "_id": Document::try_from(&*key.document()).map_err(|error| StoreError::Defect(error.to_string()))?,
            "version": { "$lte": CHECKPOINT_VERSION },
            "epoch": { "$lte": epoch },
        };
        let mut attempt = 1;
        loop {
            let replace = self.checkpoints.replace_one(filter.clone(), &document).upsert(true);
            match timed(async { replace.await }).await {
                Ok(_) => return Ok(()),
                Err(failed) if code(&failed) == Some(DUPLICATE_KEY) => {
                    if let Some(stored) = self.checkpoint(key).await?
                        && stored.epoch > checkpoint.epoch
                    {
                        let (stored, mine) = (stored.epoch, checkpoint.epoch);
                        return Err(StoreError::Fenced { what: key.checkpoint(), stored, mine });
                    }
                    if attempt == MAX_ATTEMPTS {
                        return Err(error(failed));
                    }
                    attempt += 1;
                }
                Err(failed) => return Err(error(failed)),
            }
        }
    }

    pub(super) async fn add_dead_letter(&self, letter: &DeadLetter) -> Result<(), StoreError> {
        let op = op_document::encode(&letter.op);
        if op.as_bytes().len() > MAX_PART_BYTES {
            return self.add_in_parts(letter, &op).await;
        }
        match self.replace_letter(letter, &letter_document::whole(letter, &op)).await {
            Ok(()) => self.drop_parts(&letter.id, None).await,
            // For example, a document that nests too deeply within another.
            Err(StoreError::Refused { .. }) => self.add_in_parts(letter, &op).await,
            failed => failed,
        }
    }

    /// Writes the parts before the letter, and removes the parts of an older write after it, so that a crash leaves one of the two complete.
    async fn add_in_parts(&self, letter: &DeadLetter, op: &RawDocument) -> Result<(), StoreError> {
        let write = ObjectId::new();
        let mut count = 0;
        for bytes in op.as_bytes().chunks(MAX_PART_BYTES) {
            let bytes = RawBinaryRef { subtype: BinarySubtype::Generic, bytes };
            let id = part_id(&letter.id, LetterParts { write, count });
            let mut part = rawdoc! { "_id": id };
            part.append(cstr!("bytes"), bytes);
            timed(async { self.parts.insert_one(&part).await }).await.map_err(error)?;
            count += 1;
        }
        let parts = LetterParts { write, count };
        self.replace_letter(letter, &letter_document::in_parts(letter, parts)).await?;
        self.drop_parts(&letter.id, Some(parts)).await
    }

    async fn replace_letter(&self, letter: &DeadLetter, document: &RawDocumentBuf) -> Result<(), StoreError> {
        let replace = self.letters.replace_one(doc! { "_id": &letter.id }, document).upsert(true);
        timed(async { replace.await }).await.map_err(error)?;
        Ok(())
    }

    /// Removes the parts of a letter, except those of one write.
    async fn drop_parts(&self, id: &str, but: Option<LetterParts>) -> Result<(), StoreError> {
        let mut filter = doc! { "_id.letter": id };
        if let Some(LetterParts { write, .. }) = but {
            filter.insert("_id.write", doc! { "$ne": write });
        }
        timed(async { self.parts.delete_many(filter).await }).await.map_err(error)?;
        Ok(())
    }

    pub(super) async fn dead_letters_kept(
        &self,
        pipeline: &str,
        plugin: &str,
    ) -> Result<StoredTotal, StoreError> {
        let find = self.letters.find(doc! { "pipeline": pipeline, "plugin": plugin });
        // Fetches only the sizes.
        let find = find.projection(doc! { "version": 1, "pipeline": 1, "plugin": 1, "bytes": 1 });
        let mut cursor = timed(async { find.await }).await.map_err(error)?;
        let mut count = Count::new(pipeline, plugin, NAME);
        while let Some(document) = timed(cursor.try_next()).await.map_err(error)? {
            count.add(document.as_bytes());
        }
        Ok(count.kept())
    }

    pub(super) async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<LetterPage, StoreError> {
        let mut matcher = LetterMatcher::new(filter)?;
        let find = self.letters.find(query(filter, after)).sort(doc! { "_id": 1 });
        let find = find.batch_size(u32::try_from(limit).unwrap_or(u32::MAX));
        let mut cursor = timed(async { find.await }).await.map_err(error)?;
        let mut page = LetterPage::default();
        while page.len() < limit
            && let Some(document) = timed(cursor.try_next()).await.map_err(error)?
        {
            // A document with another `_id` is not a letter of a host, and has no place in their order.
            let Ok(id) = document.get_str("_id") else {
                let fault = FoundLetter::new(&document, NAME)?.damaged("its _id is not a string");
                return Err(fault);
            };
            let wanted = FoundLetter::new(&document, NAME).and_then(|found| found.is_wanted(&mut matcher));
            let read = match wanted {
                Ok(true) => self.letter(&document).await,
                Ok(false) => Ok(None),
                Err(error) => Err(error),
            };
            page.take(id.to_owned(), read)?;
        }
        Ok(page)
    }

    pub(super) async fn dead_letter(&self, id: &str) -> Result<Option<DeadLetter>, StoreError> {
        match find(&self.letters, rawdoc! { "_id": id }).await? {
            Some(document) => self.letter(&document).await,
            None => Ok(None),
        }
    }

    /// Reads a letter with its parts. None: it was removed meanwhile.
    async fn letter(&self, document: &RawDocument) -> Result<Option<DeadLetter>, StoreError> {
        let found = FoundLetter::new(document, NAME)?;
        let Some(parts) = found.parts()? else { return found.decode(None).map(Some) };
        let id = document.get_str("_id").map_err(|error| found.damaged(error))?;
        let mut op = Vec::new();
        for count in 0..parts.count {
            let part =
                find(&self.parts, rawdoc! { "_id": part_id(id, LetterParts { count, ..parts }) }).await?;
            let Some(part) = part else {
                let current = find(&self.letters, rawdoc! { "_id": id }).await?;
                return match current {
                    Some(current) if FoundLetter::new(&current, NAME)?.parts()? == Some(parts) => {
                        Err(found.damaged(format!("part {count} of its op is missing in dead_letter_parts")))
                    }
                    Some(_) => Err(StoreError::Unreachable {
                        reason: format!("the dead letter {id} was just replaced"),
                    }),
                    None => Ok(None),
                };
            };
            op.extend_from_slice(part.get_binary("bytes").map_err(|error| found.damaged(error))?.bytes);
        }
        found.decode(Some(&op)).map(Some)
    }

    pub(super) async fn drop_dead_letter(&self, id: &str) -> Result<bool, StoreError> {
        let dropped =
            timed(async { self.letters.delete_one(doc! { "_id": id }).await }).await.map_err(error)?;
        self.drop_parts(id, None).await?;
        Ok(dropped.deleted_count > 0)
    }

    pub(super) async fn snapshot_progress(&self, key: &CheckpointKey) -> Result<Option<Vec<u8>>, StoreError> {
        let found = find(&self.snapshots, rawdoc! { "_id": key.document() }).await?;
        let Some(document) = found else { return Ok(None) };
        let fields = StoredFields {
            document: &document,
            what: format!("the progress of the snapshot of {key}"),
            store: NAME,
            lost: "all documents are read again",
        };
        fields.check_version(VERSION)?;
        Ok(Some(fields.text("progress")?.as_bytes().to_vec()))
    }

    pub(super) async fn save_snapshot_progress(
        &self,
        key: &CheckpointKey,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let progress = std::str::from_utf8(bytes).map_err(|error| StoreError::Defect(error.to_string()))?;
        let document = rawdoc! { "_id": key.document(), "version": VERSION, "progress": progress };
        let replace = self.snapshots.replace_one(by_id(key)?, &document).upsert(true);
        timed(async { replace.await }).await.map_err(error)?;
        Ok(())
    }

    pub(super) async fn remove_snapshot_progress(&self, key: &CheckpointKey) -> Result<(), StoreError> {
        let filter = by_id(key)?;
        timed(async { self.snapshots.delete_one(filter).await }).await.map_err(error)?;
        Ok(())
    }

    pub(super) async fn timer(&self, key: &TimerKey) -> Result<Option<TimerProgress>, StoreError> {
        let found = find(&self.timers, rawdoc! { "_id": key.document() }).await?;
        found.map(|document| TimerProgress::decode(&document, key, NAME)).transpose()
    }

    pub(super) async fn save_timer(
        &self,
        key: &TimerKey,
        progress: &TimerProgress,
    ) -> Result<(), StoreError> {
        let document = progress.encode(key);
        let replace = self.timers.replace_one(id_is(key.document())?, &document).upsert(true);
        timed(async { replace.await }).await.map_err(error)?;
        Ok(())
    }
}

fn by_id(key: &CheckpointKey) -> Result<Document, StoreError> {
    id_is(key.document())
}

pub(super) fn id_is(id: RawDocumentBuf) -> Result<Document, StoreError> {
    let id = Document::try_from(&*id).map_err(|error| StoreError::Defect(error.to_string()))?;
    Ok(doc! { "_id": id })
}

fn part_id(letter: &str, LetterParts { write, count }: LetterParts) -> RawDocumentBuf {
    rawdoc! { "letter": letter, "write": write, "part": i64::from(count) }
}

async fn find(
    collection: &Collection<RawDocumentBuf>,
    filter: RawDocumentBuf,
) -> Result<Option<RawDocumentBuf>, StoreError> {
    let filter = Document::try_from(&*filter).map_err(|error| StoreError::Defect(error.to_string()))?;
    timed(async { collection.find_one(filter).await }).await.map_err(error)
}

/// Returns the part of a filter that the server can apply, so that other letters stay there.
fn query(filter: &DeadLetterFilter, after: Option<&str>) -> Document {
    let DeadLetterFilter { pipeline, plugin, operation, kind, since, until, op, .. } = filter;
    let mut query = doc! {};
    let texts = [("pipeline", pipeline.as_deref()), ("plugin", plugin.as_deref()), ("opId", op.as_deref())];
    let names = [("operationType", operation.map(|one| one.name())), ("kind", kind.map(|kind| kind.name()))];
    for (name, value) in texts.into_iter().chain(names) {
        value.into_iter().for_each(|value| drop(query.insert(name, value)));
    }
    let mut time = doc! {};
    let bounds = [("$gte", since), ("$lt", until)];
    for (bound, at) in bounds {
        at.iter().for_each(|at| drop(time.insert(bound, DateTime::from_system_time(*at))));
    }
    if !time.is_empty() {
        query.insert("time", time);
    }
    after.into_iter().for_each(|after| drop(query.insert("_id", doc! { "$gt": after })));
    query
}

pub(super) fn code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Write(WriteFailure::WriteError(error)) => Some(error.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(error)) => Some(error.code),
        _ => command_code(error),
    }
}

pub(super) fn error(error: Error) -> StoreError {
    let reason = sentence(&error);
    // The write has not reached a majority, which may be missing now.
    let unsure = matches!(&*error.kind, ErrorKind::Write(WriteFailure::WriteConcernError(_)));
    match code(&error) {
        Some(UNAUTHORIZED) => StoreError::Unauthorized { reason },
        _ if unsure || is_retryable(&error) || error.contains_label("RetryableWriteError") => {
            StoreError::Unreachable { reason }
        }
        _ => StoreError::Refused { reason },
    }
}
