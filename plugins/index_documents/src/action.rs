//! What a change means to an index.

use gtm_plugin::bson::{Bson, Document};
use gtm_plugin::{DecodeError, Failure, Op};

use crate::settings::Settings;

/// What is to be done.
pub(crate) enum Action {
    One(One),
    /// All that is of this collection goes.
    Drop(Collection),
}

/// A collection, by its two names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Collection {
    pub(crate) database: String,
    pub(crate) name: String,
}

/// A document to be indexed or removed.
pub(crate) struct One {
    pub(crate) collection: Collection,
    pub(crate) id: String,
    /// None: it is removed.
    pub(crate) document: Option<Document>,
}

impl Collection {
    pub(crate) fn namespace(&self) -> String {
        format!("{}.{}", self.database, self.name)
    }
}

impl Action {
    /// Whether a document is removed. None: it is of no document.
    pub(crate) fn is_removal(&self) -> Option<bool> {
        match self {
            Self::One(one) => Some(one.document.is_none()),
            Self::Drop(_) => None,
        }
    }

    pub(crate) fn of(op: &Op, settings: &Settings) -> Result<Self, Failure> {
        let namespace = op.namespace();
        let collection =
            Collection { database: namespace.database.to_owned(), name: namespace.collection.to_owned() };
        if op.is_command() {
            return Ok(Self::Drop(collection));
        }
        let key: Document = op.document_key()?;
        let id = id(key.get("_id").unwrap_or(&Bson::Null));
        let document = match op.document::<Document>() {
            Ok(mut document) => {
                document.remove("_id");
                let fields = document.into_iter().filter(|(field, _)| settings.wants(field));
                Some(fields.collect())
            }
            // A deletion has none; nor has an update of what is gone by now.
            Err(DecodeError::Missing(_)) => None,
            Err(malformed) => return Err(malformed.into()),
        };
        Ok(Self::One(One { collection, id, document }))
    }
}

/// The same text for the same `_id`.
pub(crate) fn id(id: &Bson) -> String {
    match id {
        Bson::ObjectId(id) => id.to_hex(),
        Bson::String(id) => id.clone(),
        Bson::Int32(id) => id.to_string(),
        Bson::Int64(id) => id.to_string(),
        other => other.clone().into_canonical_extjson().to_string(),
    }
}
