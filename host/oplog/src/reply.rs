//! One reply of the server, from which documents are sliced without copying them.

use bson::{RawArray, RawBsonRef, RawDocument, RawDocumentBuf};
use bytes::Bytes;

use crate::fields::{BrokenField, Fields};

/// The reason why a document cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// The document is not valid BSON.
    #[error("{0}")]
    Bson(#[from] bson::error::Error),
    /// The document is not valid BSON from some field on.
    #[error(transparent)]
    Broken(#[from] BrokenField),
    /// A required field does not exist, or has another type.
    #[error("it has no {0}")]
    Missing(&'static str),
}

/// The reply to a `find`, `aggregate` or `getMore`, from which documents are sliced without copying them.
#[derive(Clone, Debug)]
pub struct Reply(Bytes);

impl Reply {
    /// Creates a reply from its bytes.
    pub fn new(reply: Bytes) -> Self {
        Self(reply)
    }

    /// Returns the whole reply as a document.
    ///
    /// # Errors
    /// The bytes are not valid BSON.
    pub fn as_document(&self) -> Result<&RawDocument, Malformed> {
        Ok(RawDocument::from_bytes(&self.0)?)
    }

    /// Returns the documents in the reply.
    ///
    /// # Errors
    /// The bytes are not the reply of a cursor.
    pub fn documents(&self) -> Result<&RawArray, Malformed> {
        let cursor = self
            .as_document()?
            .get("cursor")?
            .and_then(RawBsonRef::as_document)
            .ok_or(Malformed::Missing("cursor"))?;
        ["nextBatch", "firstBatch"]
            .into_iter()
            .find_map(|name| cursor.get(name).ok().flatten()?.as_array())
            .ok_or(Malformed::Missing("cursor.nextBatch"))
    }

    /// Iterates over the documents in the reply. It reads only their lengths.
    ///
    /// # Errors
    /// The bytes are not the reply of a cursor.
    pub fn entries(&self) -> Result<impl Iterator<Item = Result<&RawDocument, Malformed>>, Malformed> {
        // An array is a document whose names are numbers.
        let array = RawDocument::from_bytes(self.documents()?.as_bytes())?;
        Ok(Fields::new(array).map(|field| field?.document().ok_or(NOT_A_DOCUMENT)))
    }

    /// Returns the size of the reply in bytes.
    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// Returns a document of this reply as a slice, which keeps the reply alive.
    pub fn cut(&self, document: &RawDocument) -> Bytes {
        let (start, whole) = (document.as_bytes().as_ptr().addr(), self.0.as_ptr().addr());
        match start.checked_sub(whole) {
            Some(offset) if offset + document.as_bytes().len() <= self.0.len() => {
                self.0.slice(offset..offset + document.as_bytes().len())
            }
            // The document is not part of this reply, so keeping the reply alive would not keep the document.
            _ => Bytes::copy_from_slice(document.as_bytes()),
        }
    }
}

const NOT_A_DOCUMENT: Malformed = Malformed::Missing("fields, as it is not a document");

/// Returns an element of an array as a document.
///
/// # Errors
/// The element is not a document.
pub fn document(value: RawBsonRef<'_>) -> Result<&RawDocument, Malformed> {
    value.as_document().ok_or(NOT_A_DOCUMENT)
}

/// Returns the `{_id}` of a document. None: it has no `_id`.
pub fn id_of(document: &RawDocument) -> Option<RawDocumentBuf> {
    let id = document.get("_id").ok()??;
    let mut key = RawDocumentBuf::new();
    key.append(bson::raw::cstr!("_id"), id);
    Some(key)
}
