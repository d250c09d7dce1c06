//! The store in a directory: one redb file, which survives any crash intact.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bson::RawDocument;
use redb::backends::{FileBackend, InMemoryBackend};
use redb::{
    CommitError, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition,
    TableError, TransactionError,
};

use super::dead_letter::LetterMatcher;
use super::letter_document::{self, Count, FoundLetter, whole};
use super::{
    Checkpoint, CheckpointKey, DeadLetter, DeadLetterFilter, KnownPlugin, LetterPage, StoreError,
    StoredTotal, TimerKey, TimerProgress, op_document, state,
};
use crate::own_files;

const FILE_NAME: &str = "gtm-host.redb";
/// The version of the file's format. A host that knows only older versions refuses the file.
const FORMAT_VERSION: u64 = 1;

type TableKey = (&'static str, &'static str, Option<&'static str>);

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const CHECKPOINTS: TableDefinition<'_, TableKey, &[u8]> = TableDefinition::new("checkpoints");
const SNAPSHOTS: TableDefinition<'_, TableKey, &[u8]> = TableDefinition::new("snapshots");
const TIMERS: TableDefinition<'_, (&str, &str, &str), &[u8]> = TableDefinition::new("timers");
const LETTERS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("dead_letters");

#[derive(Clone)]
pub(super) struct DirectoryStore {
    database: Arc<Database>,
    file: Arc<Path>,
    name: Arc<str>,
}

/// An error of redb, without the path of the file.
#[derive(Debug, thiserror::Error)]
pub(super) enum RedbFailure {
    #[error(transparent)]
    Redb(#[from] redb::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

macro_rules! from_redb {
    ($($error:ty),*) => { $(impl From<$error> for RedbFailure {
        fn from(error: $error) -> Self { Self::Redb(error.into()) }
    })* };
}
from_redb!(CommitError, DatabaseError, StorageError, TableError, TransactionError);

fn key(key: &CheckpointKey) -> (&str, &str, Option<&str>) {
    (&key.pipeline, &key.plugin, key.worker.as_deref())
}

fn parse(bytes: &[u8]) -> Result<&RawDocument, RedbFailure> {
    RawDocument::from_bytes(bytes).map_err(|error| redb::Error::Corrupted(error.to_string()).into())
}

impl DirectoryStore {
    pub(super) async fn open(directory: &Path) -> Result<Self, StoreError> {
        let directory = directory.to_owned();
        let file = directory.join(FILE_NAME);
        let name: Arc<str> = format!("the store {}", file.display()).into();
        let file: Arc<Path> = file.into();
        let opened = Arc::clone(&file);
        let open = move || {
            let unusable = |error: std::io::Error| StoreError::Directory {
                directory: directory.clone(),
                reason: error.to_string(),
            };
            own_files::directory(&directory).map_err(|error| exposed(error).unwrap_or_else(unusable))?;
            let database = match open_file(&opened) {
                Err(DatabaseError::Storage(StorageError::Io(error)))
                    if matches!(
                        error.kind(),
                        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
                    ) =>
                {
                    return Err(exposed(error).unwrap_or_else(unusable).into());
                }
                database => database?,
            };
            prepare(&database, &opened)?;
            Ok(database)
        };
        let database = Arc::new(blocking(&file, open).await?);
        Ok(Self { database, file, name })
    }

    /// Makes a store that lives in memory, as long as it has a clone.
    pub(super) async fn in_memory() -> Result<Self, StoreError> {
        let file: Arc<Path> = Path::new("").into();
        let opened = Arc::clone(&file);
        let make = move || {
            let database = Database::builder().create_with_backend(InMemoryBackend::new())?;
            prepare(&database, &opened)?;
            Ok(database)
        };
        let database = Arc::new(blocking(&file, make).await?);
        Ok(Self { database, file, name: "the store in memory".into() })
    }

    /// Returns whether there is a store in this directory.
    pub(super) fn is_in(directory: &Path) -> bool {
        directory.join(FILE_NAME).exists()
    }

    pub(super) fn directory(&self) -> Option<&Path> {
        self.file.parent()
    }

    /// Runs `work` with the database, on a thread for blocking work.
    pub(super) async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database, &str) -> Result<T, RedbFailure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (database, name) = (Arc::clone(&self.database), Arc::clone(&self.name));
        blocking(&self.file, move || work(&database, &name)).await
    }

    pub(super) async fn checkpoint(&self, of: &CheckpointKey) -> Result<Option<Checkpoint>, StoreError> {
        let of = of.clone();
        self.with(move |database, name| {
            let table = database.begin_read()?.open_table(CHECKPOINTS)?;
            let Some(found) = table.get(key(&of))? else { return Ok(None) };
            Ok(Some(Checkpoint::decode(parse(found.value())?, &of, name)?))
        })
        .await
    }

    pub(super) async fn checkpoint_keys(
        &self,
        pipeline: &str,
        plugin: Option<&str>,
    ) -> Result<Vec<CheckpointKey>, StoreError> {
        let (pipeline, plugin) = (pipeline.to_owned(), plugin.map(str::to_owned));
        self.with(move |database, _| {
            let table = database.begin_read()?.open_table(CHECKPOINTS)?;
            let mut found = Vec::new();
            for entry in table.range((&*pipeline, plugin.as_deref().unwrap_or_default(), None)..)? {
                let (stored, _) = entry?;
                let (its_pipeline, its_plugin, worker) = stored.value();
                if its_pipeline != pipeline || plugin.as_ref().is_some_and(|plugin| plugin != its_plugin) {
                    break;
                }
                found.push(CheckpointKey {
                    pipeline: pipeline.clone(),
                    plugin: its_plugin.to_owned(),
                    worker: worker.map(str::to_owned),
                });
            }
            Ok(found)
        })
        .await
    }

    pub(super) async fn known(&self) -> Result<BTreeSet<KnownPlugin>, StoreError> {
        self.with(move |database, name| {
            let read = database.begin_read()?;
            let mut known = BTreeSet::new();
            for entry in read.open_table(CHECKPOINTS)?.iter()? {
                let (stored, _) = entry?;
                let (pipeline, plugin, _) = stored.value();
                let (pipeline, plugin) = (pipeline.to_owned(), plugin.to_owned());
                known.insert(KnownPlugin { pipeline, plugin, has_letters: false });
            }
            for entry in read.open_table(LETTERS)?.iter()? {
                let (_, value) = entry?;
                known.insert(FoundLetter::new(parse(value.value())?, name)?.known()?);
            }
            Ok(known)
        })
        .await
    }

    pub(super) async fn remove_checkpoint(&self, of: &CheckpointKey) -> Result<bool, StoreError> {
        let of = of.clone();
        self.with(move |database, _| {
            let write = database.begin_write()?;
            let was_there = write.open_table(CHECKPOINTS)?.remove(key(&of))?.is_some();
            write.commit()?;
            Ok(was_there)
        })
        .await
    }

    pub(super) async fn save_checkpoint(
        &self,
        of: &CheckpointKey,
        checkpoint: &Checkpoint,
    ) -> Result<(), StoreError> {
        let (of, mine, document) = (of.clone(), checkpoint.epoch, checkpoint.encode(of)?);
        self.with(move |database, name| {
            let write = database.begin_write()?;
            {
                let mut table = write.open_table(CHECKPOINTS)?;
                if let Some(found) = table.get(key(&of))? {
                    let stored = Checkpoint::decode(parse(found.value())?, &of, name)?.epoch;
                    if stored > mine {
                        return Err(StoreError::Fenced { what: of.checkpoint(), stored, mine }.into());
                    }
                }
                table.insert(key(&of), document.as_bytes())?;
            }
            Ok(write.commit()?)
        })
        .await
    }

    pub(super) async fn add_dead_letter(&self, letter: &DeadLetter) -> Result<(), StoreError> {
        let document = whole(letter, &op_document::encode(&letter.op));
        let id = letter.id.clone();
        self.with(move |database, _| {
            let write = database.begin_write()?;
            write.open_table(LETTERS)?.insert(&*id, document.as_bytes())?;
            Ok(write.commit()?)
        })
        .await
    }

    pub(super) async fn dead_letters_kept(
        &self,
        pipeline: &str,
        plugin: &str,
    ) -> Result<StoredTotal, StoreError> {
        let (pipeline, plugin) = (pipeline.to_owned(), plugin.to_owned());
        self.with(move |database, name| {
            let table = database.begin_read()?.open_table(LETTERS)?;
            let mut count = Count::new(&pipeline, &plugin, name);
            for entry in table.iter()? {
                let (_, value) = entry?;
                count.add(value.value());
            }
            Ok(count.kept())
        })
        .await
    }

    pub(super) async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<LetterPage, StoreError> {
        let mut matcher = LetterMatcher::new(filter)?;
        let after = after.unwrap_or_default().to_owned();
        self.with(move |database, name| {
            let table = database.begin_read()?.open_table(LETTERS)?;
            let mut page = LetterPage::default();
            for entry in table.range(&*after..)? {
                if page.len() >= limit {
                    break;
                }
                let (id, value) = entry?;
                if id.value() == after {
                    continue;
                }
                let read = letter_document::parse(id.value(), value.value(), name).and_then(|document| {
                    let found = FoundLetter::new(document, name)?;
                    Ok(if found.is_wanted(&mut matcher)? { Some(found.decode(None)?) } else { None })
                });
                page.take(id.value().to_owned(), read)?;
            }
            Ok(page)
        })
        .await
    }

    pub(super) async fn dead_letter(&self, id: &str) -> Result<Option<DeadLetter>, StoreError> {
        let id = id.to_owned();
        self.with(move |database, name| {
            let table = database.begin_read()?.open_table(LETTERS)?;
            let Some(found) = table.get(&*id)? else { return Ok(None) };
            let document = letter_document::parse(&id, found.value(), name)?;
            Ok(Some(FoundLetter::new(document, name)?.decode(None)?))
        })
        .await
    }

    pub(super) async fn drop_dead_letter(&self, id: &str) -> Result<bool, StoreError> {
        let id = id.to_owned();
        self.with(move |database, _| {
            let write = database.begin_write()?;
            let was_there = write.open_table(LETTERS)?.remove(&*id)?.is_some();
            write.commit()?;
            Ok(was_there)
        })
        .await
    }

    pub(super) async fn snapshot_progress(&self, of: &CheckpointKey) -> Result<Option<Vec<u8>>, StoreError> {
        let of = of.clone();
        self.with(move |database, _| {
            let table = database.begin_read()?.open_table(SNAPSHOTS)?;
            Ok(table.get(key(&of))?.map(|found| found.value().to_vec()))
        })
        .await
    }

    pub(super) async fn save_snapshot_progress(
        &self,
        of: &CheckpointKey,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let (of, bytes) = (of.clone(), bytes.to_vec());
        self.with(move |database, _| {
            let write = database.begin_write()?;
            write.open_table(SNAPSHOTS)?.insert(key(&of), &*bytes)?;
            Ok(write.commit()?)
        })
        .await
    }

    pub(super) async fn remove_snapshot_progress(&self, of: &CheckpointKey) -> Result<(), StoreError> {
        let of = of.clone();
        self.with(move |database, _| {
            let write = database.begin_write()?;
            write.open_table(SNAPSHOTS)?.remove(key(&of))?;
            Ok(write.commit()?)
        })
        .await
    }

    pub(super) async fn timer(&self, of: &TimerKey) -> Result<Option<TimerProgress>, StoreError> {
        let of = of.clone();
        self.with(move |database, name| {
            let table = database.begin_read()?.open_table(TIMERS)?;
            let TimerKey { pipeline, plugin, timer } = &of;
            let Some(found) = table.get((&**pipeline, &**plugin, &**timer))? else { return Ok(None) };
            Ok(Some(TimerProgress::decode(parse(found.value())?, &of, name)?))
        })
        .await
    }

    pub(super) async fn save_timer(&self, of: &TimerKey, progress: &TimerProgress) -> Result<(), StoreError> {
        let (of, document) = (of.clone(), progress.encode(of));
        self.with(move |database, _| {
            let write = database.begin_write()?;
            let TimerKey { pipeline, plugin, timer } = &of;
            write.open_table(TIMERS)?.insert((&**pipeline, &**plugin, &**timer), document.as_bytes())?;
            Ok(write.commit()?)
        })
        .await
    }
}

/// Returns the error that others may change the store, if it is the cause.
fn exposed(error: std::io::Error) -> Result<StoreError, std::io::Error> {
    error.downcast::<own_files::ExposedFile>().map(StoreError::from)
}

/// Opens the file, or creates one that nobody else may read, as dead letters hold whole documents.
fn open_file(path: &Path) -> Result<Database, DatabaseError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(path).map_err(StorageError::from)?;
    let is_exposed = |exposed| StorageError::Io(std::io::Error::new(ErrorKind::PermissionDenied, exposed));
    own_files::check(path, &file.metadata().map_err(StorageError::from)?).map_err(is_exposed)?;
    Database::builder().create_with_backend(FileBackend::new(file)?)
}

/// Creates the missing tables, and checks the format.
fn prepare(database: &Database, file: &Path) -> Result<(), RedbFailure> {
    // A commit is on the disk when it returns: that is redb's default durability.
    let write = database.begin_write()?;
    {
        let mut meta = write.open_table(META)?;
        let format = meta.get("format")?.map(|format| format.value());
        match format {
            Some(FORMAT_VERSION) => {}
            Some(version) => return Err(StoreError::OtherFormat { file: file.to_owned(), version }.into()),
            None => drop(meta.insert("format", FORMAT_VERSION)?),
        }
        write.open_table(CHECKPOINTS)?;
        write.open_table(SNAPSHOTS)?;
        write.open_table(TIMERS)?;
        write.open_table(LETTERS)?;
        state::prepare(&write)?;
    }
    Ok(write.commit()?)
}

async fn blocking<T: Send + 'static>(
    file: &Path,
    work: impl FnOnce() -> Result<T, RedbFailure> + Send + 'static,
) -> Result<T, StoreError> {
    let file: PathBuf = file.to_owned();
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(RedbFailure::Store(error))) => Err(error),
        Ok(Err(RedbFailure::Redb(error))) => Err(told(file, &error)),
        // redb trusts the content of its file, and may panic if something else is in it.
        Err(error) if error.is_panic() => {
            Err(StoreError::DamagedFile { file, reason: "redb cannot read it".to_owned() })
        }
        Err(error) => Err(StoreError::Defect(error.to_string())),
    }
}

fn told(file: PathBuf, error: &redb::Error) -> StoreError {
    let reason = error.to_string();
    match error {
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => StoreError::InUse { file },
        redb::Error::UpgradeRequired(version) => {
            StoreError::OtherFormat { file, version: u64::from(*version) }
        }
        redb::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            StoreError::DamagedFile { file, reason }
        }
        redb::Error::Io(_) | redb::Error::PreviousIo => StoreError::File { file, reason },
        _ => StoreError::DamagedFile { file, reason },
    }
}
