//! A collection that is renamed, also over another: `$out` and `mapReduce` end so.
//!
//! The op has no documents, and those of the former name may never have been indexed. So the documents of both names are removed from the
//! index, and what the cluster has under them is read.

use std::time::{Duration, Instant};

use gtm_plugin::bson::{Bson, Document, doc};
use gtm_plugin::mongodb::{self, FindOptions};
use gtm_plugin::{DecodeError, Error, Failure, Op, OperationType, Origin, Outcome, log, metrics};

use crate::action::{Collection, One};
use crate::settings::Settings;

/// Documents that are read at once, at first.
const PAGE: u32 = 1000;
/// How long documents are read: less than the host gives a call by default.
const LONGEST: Duration = Duration::from_secs(20);

pub(crate) struct Rename {
    from: Collection,
    to: Collection,
    /// The cluster has what the collections are now, which is not what a file tells of.
    is_replayed: bool,
}

/// The name that a collection is given. None: the op is not a rename.
pub(crate) fn target(op: &Op) -> Option<Collection> {
    if op.operation_type() != OperationType::Rename {
        return None;
    }
    Collection::parse(op.raw_command().ok()?.get_str("to").ok()?)
}

impl Rename {
    pub(crate) fn of(op: &Op, from: Collection) -> Result<Self, Failure> {
        let to = target(op).ok_or(DecodeError::Missing("new name of the collection"))?;
        Ok(Self { from, to, is_replayed: op.origin() == Origin::Replay })
    }

    pub(crate) fn follow(&self, settings: &Settings) -> Outcome {
        let Self { from, to, is_replayed } = self;
        if from.is_selected(settings) {
            crate::drop_collection(settings, from)?;
        }
        if to.is_selected(settings) {
            crate::clear(settings, to)?;
        }
        for collection in [to, from] {
            if !collection.is_selected(settings) {
                continue;
            }
            if !is_replayed {
                self.read(settings, collection)?;
            } else if collection == to {
                return Err(self.incomplete(to, "files do not tell which documents it has then"));
            }
        }
        Ok(())
    }

    /// Indexes what the cluster has in a collection.
    fn read(&self, settings: &Settings, collection: &Collection) -> Outcome {
        let started = Instant::now();
        let (mut page, mut last, mut indexed, mut refusals) = (PAGE, None, 0, Vec::new());
        loop {
            let documents = match documents(collection, last.as_ref(), page) {
                Ok(documents) => documents,
                // They are too large together.
                Err(Error::TooLarge(_)) if page > 1 => {
                    page = (page / 4).max(1);
                    continue;
                }
                Err(error) if !error.is_transient() || matches!(error, Error::NotGranted(_)) => {
                    return Err(self.incomplete(collection, error));
                }
                Err(error) => return Err(error.into()),
            };
            let is_last = documents.len() < usize::try_from(page).unwrap_or(usize::MAX);
            last = documents.last().and_then(|document| document.get("_id")).cloned();
            let ones: Vec<_> = documents
                .into_iter()
                .map(|document| One::of(collection.clone(), document, settings))
                .collect();
            for outcome in crate::send(settings, &ones) {
                match outcome {
                    Ok(()) => indexed += 1,
                    Err(retry) if retry.is_retry() => return Err(retry),
                    Err(rejection) => refusals.push(rejection.reason().to_owned()),
                }
            }
            if is_last {
                break;
            }
            if started.elapsed() > LONGEST {
                let reason = format!("reading it takes longer than {} s", LONGEST.as_secs());
                return Err(self.incomplete(collection, reason));
            }
        }
        metrics::count("indexed", indexed);
        if let Some(first) = refusals.first() {
            let reason =
                format!("the index refuses {} of its documents, the first because: {first}", refusals.len());
            return Err(self.incomplete(collection, reason));
        }
        log::info!("{} was renamed to {}: indexed {indexed} documents of {}", self.from, self.to, collection);
        Ok(())
    }

    fn incomplete(&self, collection: &Collection, reason: impl std::fmt::Display) -> Failure {
        let Self { from, to, .. } = self;
        Failure::Reject(format!(
            "{from} was renamed to {to}, and {collection} is not complete in the index: {reason}. help: grant mongodb-read={collection} \
             for the next time, and index this collection anew, as the plugin's README says"
        ))
    }
}

/// Some documents in the order of their ids, which may be of several types.
fn documents(collection: &Collection, after: Option<&Bson>, page: u32) -> Result<Vec<Document>, Error> {
    let filter =
        after.map_or_else(|| doc! {}, |id| doc! { "$expr": { "$gt": ["$_id", { "$literal": id.clone() }] } });
    let options = FindOptions { sort: Some(doc! { "_id": 1 }), limit: Some(page), ..FindOptions::default() };
    mongodb::Collection::new(collection.namespace()).find(&filter, options)
}
