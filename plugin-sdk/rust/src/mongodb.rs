//! Reads and writes on the cluster that the host follows, in the granted namespaces. Available in `handle` and `tick` only.
//!
//! ```no_run
//! # fn f(op: &gtm_plugin::Op) -> gtm_plugin::Outcome {
//! use gtm_plugin::bson::doc;
//! use gtm_plugin::mongodb::Collection;
//!
//! let totals = Collection::new("shop.totals");
//! totals.update_one(&doc! { "_id": "orders" }, &doc! { "$max": { "last": op.id() } })?;
//! # Ok(())
//! # }
//! ```

use bson::{Bson, Document};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::bindings::gtm::plugin::mongodb as contract;
#[cfg(target_family = "wasm")]
use crate::bindings::gtm::plugin::mongodb as host;
#[cfg(not(target_family = "wasm"))]
use crate::testing::host::mongodb as host;

/// A collection, as `database.collection`.
#[derive(Clone, Debug)]
pub struct Collection {
    namespace: String,
}

/// The documents that [`Collection::find`] returns, and their order. By default all of them, up to 10,000.
#[derive(Clone, Debug, Default)]
pub struct FindOptions {
    /// The fields to return.
    pub projection: Option<Document>,
    /// The order.
    pub sort: Option<Document>,
    /// The number of documents to skip.
    pub skip: Option<u64>,
    /// The maximum number of documents.
    pub limit: Option<u32>,
}

/// The result of an update or a replacement.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct UpdateResult {
    /// The number of documents that matched.
    pub matched_count: u64,
    /// The number of documents that were changed.
    pub modified_count: u64,
    /// The `_id` of a document that was inserted.
    pub upserted_id: Option<Bson>,
}

impl Collection {
    /// Makes the collection of a namespace, `database.collection`.
    pub fn new(namespace: impl Into<String>) -> Self {
        Self { namespace: namespace.into() }
    }

    /// Returns the matching documents, at most 16 MiB.
    ///
    /// # Errors
    /// See [`Error`]; a document that does not fit `T` is [`Error::Invalid`].
    pub fn find<T: DeserializeOwned>(
        &self,
        filter: &Document,
        options: FindOptions,
    ) -> Result<Vec<T>, Error> {
        let FindOptions { projection, sort, skip, limit } = options;
        let options = contract::FindOptions {
            projection: projection.as_ref().map(bytes).transpose()?,
            sort: sort.as_ref().map(bytes).transpose()?,
            skip,
            limit,
        };
        decoded(host::find(&self.namespace, &bytes(filter)?, &options)?)
    }

    /// Returns the first matching document.
    ///
    /// # Errors
    /// As in [`find`](Self::find).
    pub fn find_one<T: DeserializeOwned>(&self, filter: &Document) -> Result<Option<T>, Error> {
        let options = FindOptions { limit: Some(1), ..FindOptions::default() };
        Ok(self.find(filter, options)?.into_iter().next())
    }

    /// Runs a pipeline and returns its documents, at most 10,000 and 16 MiB.
    ///
    /// # Errors
    /// As in [`find`](Self::find).
    pub fn aggregate<T: DeserializeOwned>(&self, pipeline: &[Document]) -> Result<Vec<T>, Error> {
        let pipeline = pipeline.iter().map(bytes).collect::<Result<Vec<_>, _>>()?;
        decoded(host::aggregate(&self.namespace, &pipeline)?)
    }

    /// Inserts a document: a `Document`, a `RawDocumentBuf`, or a type of yours.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn insert_one<T: Serialize>(&self, document: &T) -> Result<(), Error> {
        self.insert_many(std::slice::from_ref(document))
    }

    /// Inserts at most 1,000 documents, in order. It stops at the first one that fails.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn insert_many<T: Serialize>(&self, documents: &[T]) -> Result<(), Error> {
        let documents = documents.iter().map(bytes).collect::<Result<Vec<_>, _>>()?;
        Ok(host::insert(&self.namespace, &documents)?)
    }

    /// Updates the first document that matches.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn update_one(&self, filter: &Document, update: &Document) -> Result<UpdateResult, Error> {
        self.update(filter, update, false, false)
    }

    /// Updates all documents that match.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn update_many(&self, filter: &Document, update: &Document) -> Result<UpdateResult, Error> {
        self.update(filter, update, true, false)
    }

    /// Updates the first document that matches, or inserts one.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn upsert_one(&self, filter: &Document, update: &Document) -> Result<UpdateResult, Error> {
        self.update(filter, update, false, true)
    }

    fn update(
        &self,
        filter: &Document,
        update: &Document,
        many: bool,
        upsert: bool,
    ) -> Result<UpdateResult, Error> {
        let options = contract::UpdateOptions { many, upsert };
        result(host::update(&self.namespace, &bytes(filter)?, &bytes(update)?, options)?)
    }

    /// Replaces the first matching document. If none matches and `upsert` is true, it inserts the replacement.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn replace_one(
        &self,
        filter: &Document,
        document: &Document,
        upsert: bool,
    ) -> Result<UpdateResult, Error> {
        result(host::replace(&self.namespace, &bytes(filter)?, &bytes(document)?, upsert)?)
    }

    /// Deletes the first document that matches. Returns the number of deleted documents.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn delete_one(&self, filter: &Document) -> Result<u64, Error> {
        Ok(host::delete(&self.namespace, &bytes(filter)?, false)?)
    }

    /// Deletes all documents that match. Returns the number of deleted documents.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn delete_many(&self, filter: &Document) -> Result<u64, Error> {
        Ok(host::delete(&self.namespace, &bytes(filter)?, true)?)
    }
}

fn bytes<T: Serialize>(document: &T) -> Result<Vec<u8>, Error> {
    bson::serialize_to_vec(document).map_err(|error| Error::Invalid(error.to_string()))
}

fn decoded<T: DeserializeOwned>(documents: Vec<Vec<u8>>) -> Result<Vec<T>, Error> {
    let decode = |document: &Vec<u8>| bson::deserialize_from_slice(document);
    documents.iter().map(decode).collect::<Result<_, _>>().map_err(|error| Error::Invalid(error.to_string()))
}

fn result(result: contract::UpdateResult) -> Result<UpdateResult, Error> {
    let contract::UpdateResult { matched_count, modified_count, upserted_id } = result;
    let upserted =
        upserted_id.map(|upserted| bson::deserialize_from_slice::<Document>(&upserted)).transpose();
    let upserted = upserted.map_err(|error| Error::Invalid(error.to_string()))?;
    let upserted_id = upserted.and_then(|mut upserted| upserted.remove("_id"));
    Ok(UpdateResult { matched_count, modified_count, upserted_id })
}
