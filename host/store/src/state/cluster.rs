//! The values that plugins keep, on the cluster: each is a document, and the server's clock decides whether it has expired.
//!
//! A value with a time to live has the date `expires`, which older hosts ignore. The value of `increment` is a BSON number, which one
//! write of the server changes. Older hosts do not know those, so they have a version of their own.

use std::time::Duration;

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, Document, RawBsonRef, RawDocument, RawDocumentBuf, doc};
use futures_util::TryStreamExt;
use gtm_mongo::wire::timed;
use mongodb::IndexModel;
use mongodb::options::{IndexOptions, ReturnDocument};
use mongodb::results::UpdateResult;

use super::{FoundEntries, MAX_ATTEMPTS, StateEntry, StateKey, StateQuery, millis};
use crate::cluster::{ClusterStore, DUPLICATE_KEY, NAME, code, error, id_is};
use crate::fields::{StoredFields, VERSION, integer};
use crate::{StoreError, StoredTotal};

/// The version of a document whose value is a number.
const NUMBER_VERSION: i64 = 2;
/// Bytes that a number counts for: as many as the longest one has digits.
const NUMBER_BYTES: usize = 20;

impl ClusterStore {
    pub(crate) async fn state(&self, key: &StateKey) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.find_state(key).await?;
        found.map(|document| text(&fields(&document, key.to_string()))).transpose()
    }

    async fn find_state(&self, key: &StateKey) -> Result<Option<RawDocumentBuf>, StoreError> {
        let filter = unexpired(id_is(key.document())?);
        timed(async { self.states.find_one(filter).await }).await.map_err(error)
    }

    pub(crate) async fn state_kept(&self, pipeline: &str, plugin: &str) -> Result<StoredTotal, StoreError> {
        let all = doc! { "_id": {
            "$gte": { "pipeline": pipeline, "plugin": plugin, "key": "" },
            "$lt": { "pipeline": pipeline, "plugin": plugin, "key": after_texts() },
        } };
        let mut expired = all.clone();
        expired.insert("$expr", is_expired());
        timed(async { self.states.delete_many(expired).await }).await.map_err(error)?;
        // A value without a stored size counts as empty.
        let sums = doc! { "_id": null, "entries": { "$sum": 1 }, "bytes": { "$sum": "$bytes" } };
        let counted = self.states_of(vec![doc! { "$match": all }, doc! { "$group": sums }]).await?;
        let Some(counted) = counted.first() else { return Ok(StoredTotal::default()) };
        let fields = fields(counted, "the state of a plugin".to_owned());
        Ok(StoredTotal { entries: fields.unsigned("entries")?, bytes: fields.unsigned("bytes")? })
    }

    /// Reads the sizes first, as the values together may be much larger than what is asked for.
    pub(crate) async fn state_entries(&self, query: &StateQuery) -> Result<Vec<StateEntry>, StoreError> {
        let key = |key: &str| id(&query.key(key));
        let (first, may_equal) = query.first();
        let end = match query.end() {
            Some(end) => key(&end)?,
            None => doc! { "pipeline": &query.pipeline, "plugin": &query.plugin, "key": after_texts() },
        };
        let mut range = doc! { if may_equal { "$gte" } else { "$gt" }: key(first)?, "$lt": end };
        let page = |range: &Document, project: Document| {
            vec![
                doc! { "$match": unexpired(doc! { "_id": range.clone() }) },
                doc! { "$sort": { "_id": 1 } },
                doc! { "$limit": i64::from(query.max_entries.max(1)) },
                doc! { "$project": project },
            ]
        };
        for _ in 0..MAX_ATTEMPTS {
            let mut sum = 0_u64;
            let mut last = None;
            for found in self.states_of(page(&range, doc! { "bytes": 1 })).await? {
                sum = sum.saturating_add(bytes(&found));
                if last.is_some() && sum > u64::try_from(query.max_bytes).unwrap_or(u64::MAX) {
                    break;
                }
                last = Some(found);
            }
            let Some(last) = last else { return Ok(Vec::new()) };
            let id = last.get_document("_id").map_err(|error| fields(&last, name(query)).damaged(error))?;
            range.remove("$lt");
            range.insert("$lte", document(id)?);
            let left = doc! { "$subtract": [{ "$toLong": "$expires" }, { "$toLong": "$$NOW" }] };
            let left = doc! { "$cond": [{ "$eq": [{ "$type": "$expires" }, "date"] }, left, "$$REMOVE"] };
            let mut found = FoundEntries::new(query);
            for document in
                self.states_of(page(&range, doc! { "version": 1, "value": 1, "left": left })).await?
            {
                if !found.push(entry(&document, query)?) {
                    break;
                }
            }
            if !found.entries.is_empty() {
                return Ok(found.entries);
            }
            // All of them expired or were removed meanwhile. There may be others.
        }
        Err(changing(&name(query)))
    }

    async fn states_of(&self, pipeline: Vec<Document>) -> Result<Vec<RawDocumentBuf>, StoreError> {
        let aggregate = self.states.aggregate(pipeline).with_type::<RawDocumentBuf>();
        timed(async { aggregate.await?.try_collect().await }).await.map_err(error)
    }

    pub(crate) async fn set_state(
        &self,
        key: &StateKey,
        value: &[u8],
        time_to_live: Option<Duration>,
    ) -> Result<(), StoreError> {
        let content = self.content(key, &StoredValue::Bytes(value), time_to_live).await?;
        for _ in 0..MAX_ATTEMPTS {
            match self.update_state(id_is(key.document())?, content.clone(), true).await {
                // Another host has just made it.
                Err(failed) if code(&failed) == Some(DUPLICATE_KEY) => {}
                done => return done.map(drop).map_err(error),
            }
        }
        Err(changing(&key.to_string()))
    }

    pub(crate) async fn delete_state(&self, key: &StateKey) -> Result<Option<u64>, StoreError> {
        let delete = self.states.find_one_and_delete(id_is(key.document())?).projection(doc! { "bytes": 1 });
        let deleted = timed(async { delete.await }).await.map_err(error)?;
        Ok(deleted.map(|deleted| bytes(&deleted)))
    }

    pub(crate) async fn swap_state(
        &self,
        key: &StateKey,
        expected: Option<&[u8]>,
        value: &[u8],
        time_to_live: Option<Duration>,
    ) -> Result<bool, StoreError> {
        let content = self.content(key, &StoredValue::Bytes(value), time_to_live).await?;
        let Some(expected) = expected else { return self.create_state(key, content).await };
        let mut values = vec![binary(expected)];
        values.extend(number(expected).map(Bson::Int64));
        let mut filter = unexpired(id_is(key.document())?);
        filter.insert("value", doc! { "$in": values });
        Ok(self.update_state(filter, content, false).await.map_err(error)?.matched_count > 0)
    }

    /// Stores a value if there is none, or an expired one. Returns whether it did.
    async fn create_state(&self, key: &StateKey, content: Document) -> Result<bool, StoreError> {
        let is_absent = doc! { "$eq": [{ "$type": "$value" }, "missing"] };
        // Not in the filter: if it does not match, the server inserts a document.
        let content = doc! { "$cond": [{ "$or": [is_absent, is_expired()] }, content, "$$ROOT"] };
        match self.update_state(id_is(key.document())?, content, true).await {
            Ok(done) => Ok(done.upserted_id.is_some() || done.modified_count > 0),
            Err(failed) if code(&failed) == Some(DUPLICATE_KEY) => Ok(false),
            Err(failed) => Err(error(failed)),
        }
    }

    pub(crate) async fn increment_state(
        &self,
        key: &StateKey,
        by: i64,
        time_to_live: Option<Duration>,
    ) -> Result<i64, StoreError> {
        for _ in 0..MAX_ATTEMPTS {
            if let Some(sum) = self.add_to_number(key, by, time_to_live).await? {
                return Ok(sum);
            }
            let content = self.content(key, &StoredValue::Number(by), time_to_live).await?;
            if self.create_state(key, content).await? {
                return Ok(by);
            }
            let Some(found) = self.find_state(key).await? else { continue };
            let fields = fields(&found, key.to_string());
            let sum = key.sum(Some(&text(&fields)?), by)?;
            // A text, or a double of mongosh. It becomes a number.
            let mut filter = unexpired(id_is(key.document())?);
            filter.insert(
                "value",
                Bson::try_from(fields.value("value")?).map_err(|error| fields.damaged(error))?,
            );
            let mut content = self.content(key, &StoredValue::Number(sum), time_to_live).await?;
            if time_to_live.is_none() {
                content.insert("expires", "$expires");
            }
            if self.update_state(filter, content, false).await.map_err(error)?.matched_count > 0 {
                return Ok(sum);
            }
        }
        Err(changing(&key.to_string()))
    }

    /// Adds to a stored number. None: there is none, or the sum does not fit.
    async fn add_to_number(
        &self,
        key: &StateKey,
        by: i64,
        time_to_live: Option<Duration>,
    ) -> Result<Option<i64>, StoreError> {
        let mut fits = doc! { "$type": ["int", "long"] };
        match by {
            0.. => fits.insert("$lte", i64::MAX.saturating_sub(by)),
            ..0 => fits.insert("$gte", i64::MIN.saturating_sub(by)),
        };
        let mut filter = unexpired(id_is(key.document())?);
        filter.insert("value", fits);
        filter.insert("version", doc! { "$lte": NUMBER_VERSION });
        let mut set = doc! { "value": { "$add": [{ "$toLong": "$value" }, by] }, "version": NUMBER_VERSION };
        if let Some(time_to_live) = time_to_live {
            self.expire_values().await?;
            set.insert("expires", from_now(time_to_live));
        }
        let added = self.states.find_one_and_update(filter, vec![doc! { "$set": set }]);
        let added = added.return_document(ReturnDocument::After).projection(doc! { "value": 1 });
        let Some(added) = timed(async { added.await }).await.map_err(error)? else { return Ok(None) };
        fields(&added, key.to_string()).integer("value").map(Some)
    }

    /// Returns the expression of a document.
    async fn content(
        &self,
        key: &StateKey,
        value: &StoredValue<'_>,
        time_to_live: Option<Duration>,
    ) -> Result<Document, StoreError> {
        let (version, value, bytes) = match value {
            StoredValue::Bytes(value) => (VERSION, binary(value), value.len()),
            StoredValue::Number(number) => (NUMBER_VERSION, Bson::Int64(*number), NUMBER_BYTES),
        };
        let bytes = i64::try_from(bytes + key.key.len()).unwrap_or(i64::MAX);
        let mut content = doc! { "_id": "$_id", "version": version, "value": value, "bytes": bytes };
        if let Some(time_to_live) = time_to_live {
            self.expire_values().await?;
            content.insert("expires", from_now(time_to_live));
        }
        Ok(content)
    }

    /// Replaces a document by this expression.
    async fn update_state(
        &self,
        filter: Document,
        content: Document,
        upsert: bool,
    ) -> mongodb::error::Result<UpdateResult> {
        let replace = vec![doc! { "$replaceWith": content }];
        timed(async { self.states.update_one(filter, replace).upsert(upsert).await }).await
    }

    /// Has the server remove expired values.
    async fn expire_values(&self) -> Result<(), StoreError> {
        let create = async || {
            let options = IndexOptions::builder().expire_after(Duration::ZERO).build();
            let index = IndexModel::builder().keys(doc! { "expires": 1 }).options(options).build();
            timed(async { self.states.create_index(index).await }).await.map_err(error).map(drop)
        };
        self.has_expiry.get_or_try_init(create).await.map(drop)
    }
}

/// A value to be stored.
enum StoredValue<'a> {
    Bytes(&'a [u8]),
    Number(i64),
}

/// Returns a value that the server sorts after all texts.
fn after_texts() -> Document {
    Document::new()
}

/// Returns the expression of whether a document has expired by the server's clock.
fn is_expired() -> Document {
    doc! { "$and": [
        { "$eq": [{ "$type": "$expires" }, "date"] },
        { "$lte": [{ "$toLong": "$expires" }, { "$toLong": "$$NOW" }] },
    ] }
}

/// Adds to a filter that the document has not expired.
fn unexpired(mut filter: Document) -> Document {
    filter.insert("$expr", doc! { "$not": [is_expired()] });
    filter
}

fn from_now(time_to_live: Duration) -> Document {
    doc! { "$add": ["$$NOW", millis(time_to_live)] }
}

fn binary(bytes: &[u8]) -> Bson {
    Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() }.into()
}

/// Returns the number whose digits are these bytes, if there is one.
fn number(bytes: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == bytes).then_some(number)
}

fn fields(document: &RawDocument, what: String) -> StoredFields<'_> {
    StoredFields { document, what, store: NAME, lost: "what the plugin kept there is lost" }
}

/// Returns the stored size of a value. One without it counts as empty.
fn bytes(document: &RawDocument) -> u64 {
    let bytes = document.get("bytes").ok().flatten().and_then(integer);
    bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default()
}

fn name(query: &StateQuery) -> String {
    format!("the state of the plugin {} of the pipeline {}", query.plugin, query.pipeline)
}

/// Reads a value.
fn text(fields: &StoredFields<'_>) -> Result<Vec<u8>, StoreError> {
    fields.check_version(NUMBER_VERSION)?;
    match fields.value("value")? {
        RawBsonRef::Binary(binary) => Ok(binary.bytes.to_vec()),
        other => match integer(other) {
            Some(number) => Ok(number.to_string().into_bytes()),
            None => Err(fields.wrong("value", "binary data or a whole number")),
        },
    }
}

fn entry(document: &RawDocument, query: &StateQuery) -> Result<StateEntry, StoreError> {
    let found = fields(document, name(query));
    let id = fields(
        found.value("_id")?.as_document().ok_or_else(|| found.wrong("_id", "a document"))?,
        name(query),
    );
    let key = query.key(id.text("key")?);
    let found = fields(document, key.to_string());
    let value = text(&found)?;
    let left = found.find("left")?.and_then(integer);
    let time_to_live = left.map(|left| Duration::from_millis(u64::try_from(left).unwrap_or_default()));
    Ok(StateEntry { key: key.key, value, time_to_live })
}

fn id(key: &StateKey) -> Result<Document, StoreError> {
    document(&key.document())
}

fn document(raw: &RawDocument) -> Result<Document, StoreError> {
    Document::try_from(raw).map_err(|error| StoreError::Defect(error.to_string()))
}

fn changing(what: &str) -> StoreError {
    StoreError::Unreachable {
        reason: format!("{what} was changed by others at each of {MAX_ATTEMPTS} attempts"),
    }
}
