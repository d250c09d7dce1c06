//! Checkpoints, and their documents.

use bson::raw::cstr;
use bson::{RawArrayBuf, RawDocument, RawDocumentBuf, rawdoc};
use gtm_oplog::Timestamp;
use gtm_source::Position;

use super::StoreError;
use super::fields::StoredFields;

/// The version of a checkpoint. In version 1, the position was a text. A host that knows only older versions refuses the checkpoint.
pub(super) const CHECKPOINT_VERSION: i64 = 2;

/// The key of a checkpoint, or of the progress of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckpointKey {
    /// The name of the pipeline.
    pub pipeline: String,
    /// The name of the plugin.
    pub plugin: String,
    /// The worker, if the work is shared.
    pub worker: Option<String>,
}

/// The position up to which a plugin has handled all changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// The name of the deployment.
    pub deployment: String,
    /// All changes up to here are handled.
    pub position: Position,
    /// The cluster time of the position, if it is known: all changes before it are handled.
    pub timestamp: Option<Timestamp>,
    /// The workers when it was made.
    pub workers: Option<Vec<String>>,
    /// The fencing token of the lease under which it was made. Stored as a signed number.
    pub epoch: u64,
    /// The start that was last requested in place of a checkpoint, as the user wrote it.
    pub restarted: Option<String>,
}

const LOST: &str = "the plugin starts without a checkpoint";

impl std::fmt::Display for CheckpointKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the plugin {} of {}", self.plugin, self.pipeline)?;
        self.worker.iter().try_for_each(|worker| write!(f, ", worker {worker}"))
    }
}

impl CheckpointKey {
    /// Returns the `_id`.
    pub(super) fn document(&self) -> RawDocumentBuf {
        let mut id = rawdoc! { "pipeline": self.pipeline.as_str(), "plugin": self.plugin.as_str() };
        if let Some(worker) = &self.worker {
            id.append(cstr!("worker"), worker.as_str());
        }
        id
    }

    pub(super) fn checkpoint(&self) -> String {
        format!("the checkpoint of {self}")
    }

    /// Reads the key of a stored checkpoint.
    pub(super) fn of(document: &RawDocument, store: &str) -> Result<Self, StoreError> {
        let what = || "a checkpoint".to_owned();
        let id = StoredFields { document, what: what(), store, lost: LOST };
        let id = id.value("_id")?.as_document().ok_or_else(|| id.wrong("_id", "a document"))?;
        let id = StoredFields { document: id, what: what(), store, lost: LOST };
        let worker = id.find("worker")?.is_some().then(|| id.text("worker")).transpose()?;
        Ok(Self {
            pipeline: id.text("pipeline")?.to_owned(),
            plugin: id.text("plugin")?.to_owned(),
            worker: worker.map(str::to_owned),
        })
    }
}

impl Checkpoint {
    pub(super) fn encode(&self, key: &CheckpointKey) -> Result<RawDocumentBuf, StoreError> {
        let unstorable =
            |reason: &str| StoreError::Unstorable { what: key.checkpoint(), reason: reason.into() };
        let epoch = i64::try_from(self.epoch).map_err(|_| unstorable("its epoch is too large"))?;
        let mut document = rawdoc! {
            "_id": key.document(),
            "version": CHECKPOINT_VERSION,
            "deployment": self.deployment.as_str(),
            "position": self.position.to_document(),
        };
        if let Some(timestamp) = self.timestamp {
            document.append(cstr!("timestamp"), bson::Timestamp::from(timestamp));
        }
        if let Some(workers) = &self.workers {
            let mut array = RawArrayBuf::new();
            workers.iter().for_each(|worker| array.push(worker.as_str()));
            document.append(cstr!("workers"), array);
        }
        document.append(cstr!("epoch"), epoch);
        if let Some(restarted) = &self.restarted {
            document.append(cstr!("restartedFrom"), restarted.as_str());
        }
        Ok(document)
    }

    pub(super) fn decode(
        document: &RawDocument,
        key: &CheckpointKey,
        store: &str,
    ) -> Result<Self, StoreError> {
        let fields = StoredFields { document, what: key.checkpoint(), store, lost: LOST };
        fields.check_version(CHECKPOINT_VERSION)?;
        let position = fields.value("position")?;
        let timestamp = fields.find("timestamp")?.map(|value| value.as_timestamp());
        let timestamp = timestamp.map(|value| value.ok_or_else(|| fields.wrong("timestamp", "a timestamp")));
        let not_workers = || fields.wrong("workers", "a list of strings");
        let workers = fields.find("workers")?.map(|value| {
            let workers = value.as_array().ok_or_else(not_workers)?.into_iter();
            let text = |worker: bson::error::Result<_>| match worker {
                Ok(bson::RawBsonRef::String(worker)) => Ok(worker.to_owned()),
                _ => Err(not_workers()),
            };
            workers.map(text).collect::<Result<Vec<_>, _>>()
        });
        Ok(Self {
            deployment: fields.text("deployment")?.to_owned(),
            position: Position::from_stored(position).map_err(|error| fields.damaged(error))?,
            timestamp: timestamp.transpose()?.map(Timestamp::from),
            workers: workers.transpose()?,
            epoch: fields.unsigned("epoch")?,
            restarted: fields
                .find("restartedFrom")?
                .is_some()
                .then(|| fields.text("restartedFrom").map(str::to_owned))
                .transpose()?,
        })
    }
}
