//! One reply of the server, from which documents are cut without copying them. Pure.

use bson::{RawArray, RawBsonRef, RawDocument, RawDocumentBuf};
use bytes::Bytes;

use crate::fields::{Broken, Fields};

/// A document of which not even what it is can be read.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// Not BSON.
    #[error("{0}")]
    Bson(#[from] bson::error::Error),
    /// Not BSON from some field on.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// A field without which nothing can be said is not there, or of another type.
    #[error("it has no {0}")]
    Missing(&'static str),
}

/// The reply to a `find` or `getMore`, from which documents are cut without copying them.
#[derive(Clone, Debug)]
pub struct Reply(Bytes);

impl Reply {
    /// Takes the bytes of a whole reply.
    pub fn new(reply: Bytes) -> Self {
        Self(reply)
    }

    /// All of it.
    ///
    /// # Errors
    /// It is not BSON.
    pub fn as_document(&self) -> Result<&RawDocument, Malformed> {
        Ok(RawDocument::from_bytes(&self.0)?)
    }

    /// The documents in it.
    ///
    /// # Errors
    /// It is not the reply of a cursor.
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

    /// The documents in it, of which nothing but their lengths is looked at.
    ///
    /// # Errors
    /// It is not the reply of a cursor.
    pub fn entries(&self) -> Result<impl Iterator<Item = Result<&RawDocument, Malformed>>, Malformed> {
        // An array is a document whose names are numbers.
        let array = RawDocument::from_bytes(self.documents()?.as_bytes())?;
        Ok(Fields::of(array).map(|field| field?.document().ok_or(NO_DOCUMENT)))
    }

    /// Its bytes.
    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// A document of this reply, which it keeps alive.
    pub fn cut(&self, document: &RawDocument) -> Bytes {
        let (start, whole) = (document.as_bytes().as_ptr().addr(), self.0.as_ptr().addr());
        match start.checked_sub(whole) {
            Some(offset) if offset + document.as_bytes().len() <= self.0.len() => {
                self.0.slice(offset..offset + document.as_bytes().len())
            }
            // Not a part of this reply, so that keeping it alive would not keep the document.
            _ => Bytes::copy_from_slice(document.as_bytes()),
        }
    }
}

const NO_DOCUMENT: Malformed = Malformed::Missing("fields: it is no document");

/// The document that a value of an array is.
pub fn document(value: RawBsonRef<'_>) -> Result<&RawDocument, Malformed> {
    value.as_document().ok_or(NO_DOCUMENT)
}

/// `{_id}` of a document.
pub fn id_of(document: &RawDocument) -> Option<RawDocumentBuf> {
    let id = document.get("_id").ok()??;
    let mut key = RawDocumentBuf::new();
    key.append(bson::raw::cstr!("_id"), id);
    Some(key)
}
