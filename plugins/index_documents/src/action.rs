//! What a change means to an index.

use gtm_plugin::bson::{Bson, Document};
use gtm_plugin::{DecodeError, Failure, Op, OperationType};

use crate::id;
use crate::rename::Rename;
use crate::settings::Settings;

/// What is to be done.
pub(crate) enum Action {
    One(One),
    /// All that is of this collection goes.
    Drop(Collection),
    Rename(Rename),
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
    /// Its `_id`, as text.
    pub(crate) id: String,
    /// None: it is removed.
    pub(crate) document: Option<Document>,
}

impl Collection {
    /// None: it is not `DATABASE.COLLECTION`.
    pub(crate) fn parse(namespace: &str) -> Option<Self> {
        let (database, name) = namespace.split_once('.')?;
        Some(Self { database: database.to_owned(), name: name.to_owned() })
    }

    pub(crate) fn namespace(&self) -> String {
        self.to_string()
    }

    /// Returns whether it is indexed.
    pub(crate) fn is_selected(&self, settings: &Settings) -> bool {
        settings.selects(&self.database, &self.name)
    }
}

impl std::fmt::Display for Collection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.database, self.name)
    }
}

impl One {
    /// What its id is among those of other collections. The namespace has no slash of its own there, so that the first one ends it.
    pub(crate) fn id_among_collections(&self) -> String {
        let namespace = self.collection.namespace().replace('%', "%25").replace('/', "%2F");
        format!("{namespace}/{}", self.id)
    }

    /// `document` is a whole one, with its `_id`.
    pub(crate) fn of(collection: Collection, mut document: Document, settings: &Settings) -> Self {
        let id = id::text(&document.remove("_id").unwrap_or(Bson::Null));
        Self { collection, id, document: Some(wanted(document, settings)) }
    }
}

fn wanted(document: Document, settings: &Settings) -> Document {
    document.into_iter().filter(|(field, _)| settings.wants(field)).collect()
}

impl Action {
    /// Whether a document is removed. None: it is of no document.
    pub(crate) fn is_removal(&self) -> Option<bool> {
        match self {
            Self::One(one) => Some(one.document.is_none()),
            Self::Drop(_) | Self::Rename(_) => None,
        }
    }

    pub(crate) fn of(op: &Op, settings: &Settings) -> Result<Self, Failure> {
        let namespace = op.namespace();
        let collection =
            Collection { database: namespace.database.to_owned(), name: namespace.collection.to_owned() };
        if op.operation_type() == OperationType::Rename {
            return Rename::of(op, collection).map(Self::Rename);
        }
        if op.is_command() {
            return Ok(Self::Drop(collection));
        }
        let key: Document = op.document_key()?;
        let id = id::text(key.get("_id").unwrap_or(&Bson::Null));
        let document = match op.document::<Document>() {
            Ok(mut document) => {
                document.remove("_id");
                Some(wanted(document, settings))
            }
            // A deletion has none; nor has an update of what is gone by now.
            Err(DecodeError::Missing(_)) => None,
            Err(malformed) => return Err(malformed.into()),
        };
        Ok(Self::One(One { collection, id, document }))
    }
}
