//! Reads and writes on the cluster that the host follows, in the namespaces that the plugin is granted. In `handle` only.
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

/// Which documents [`Collection::find`] gives, and in which order. By default all, up to 10,000.
#[derive(Clone, Debug, Default)]
pub struct FindOptions {
    /// Which fields are wanted.
    pub projection: Option<Document>,
    /// In which order.
    pub sort: Option<Document>,
    /// How many are passed over.
    pub skip: Option<u64>,
    /// At most so many.
    pub limit: Option<u32>,
}

/// What became of an update or a replacement.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpdateResult {
    /// The number of documents that matched.
    pub matched_count: u64,
    /// The number of documents that were changed.
    pub modified_count: u64,
    /// The `_id` of a document that was inserted.
    pub upserted_id: Option<Bson>,
}

impl Collection {
    /// `namespace` is `database.collection`.
    pub fn new(namespace: impl Into<String>) -> Self {
        Self { namespace: namespace.into() }
    }

    /// The documents that match, at most 16 MiB of them.
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

    /// The first document that matches.
    ///
    /// # Errors
    /// As of [`find`](Self::find).
    pub fn find_one<T: DeserializeOwned>(&self, filter: &Document) -> Result<Option<T>, Error> {
        let options = FindOptions { limit: Some(1), ..FindOptions::default() };
        Ok(self.find(filter, options)?.into_iter().next())
    }

    /// What a pipeline gives, at most 10,000 documents and 16 MiB.
    ///
    /// # Errors
    /// As of [`find`](Self::find).
    pub fn aggregate<T: DeserializeOwned>(&self, pipeline: &[Document]) -> Result<Vec<T>, Error> {
        let pipeline = pipeline.iter().map(bytes).collect::<Result<Vec<_>, _>>()?;
        decoded(host::aggregate(&self.namespace, &pipeline)?)
    }

    /// Inserts a document.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn insert_one(&self, document: &Document) -> Result<(), Error> {
        self.insert_many(std::slice::from_ref(document))
    }

    /// Inserts at most 1,000 documents, in order, up to the first that fails.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn insert_many(&self, documents: &[Document]) -> Result<(), Error> {
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

    /// Replaces the first document that matches or, if `upsert`, inserts it.
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

fn bytes(document: &Document) -> Result<Vec<u8>, Error> {
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
