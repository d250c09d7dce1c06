//! Reads an archive of `mongodump --archive`: decides what each of its documents is. Pure.
//!
//! An archive begins with a magic number, a header, and a description of each collection. Then come blocks, each with documents
//! of one collection. A block begins with a document that names the collection, and the blocks of several collections may
//! alternate. The last block of a collection contains the checksum of its documents. A terminator follows the descriptions and
//! each block.

use std::collections::HashMap;
use std::sync::Arc;

use bson::{RawBsonRef, RawDocument};
use crc::{CRC_64_XZ, Crc, Digest, Table};
use gtm_oplog::Namespace;

/// The magic number at the beginning of an archive.
pub(super) const MAGIC: [u8; 4] = 0x8199_e26d_u32.to_le_bytes();
/// The end of a block, in place of the length of a document.
pub(super) const TERMINATOR: [u8; 4] = [0xff; 4];

/// The maximum number of collections whose blocks alternate. `mongodump` dumps four together by default.
const MAX_OPEN: usize = 10_000;
/// The maximum length of the name of a database or collection, in bytes. A server accepts 255 for both together.
const MAX_NAME_LENGTH: usize = 1 << 10;

static CHECKSUM: Crc<u64, Table<1>> = Crc::<u64, Table<1>>::new(&CRC_64_XZ);

/// The kind of a document in an archive.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ArchivePart {
    /// It describes the archive.
    Frame,
    /// An entry of an oplog.
    Entry,
    /// A document of a collection.
    Document(Arc<Namespace>),
}

/// The state of reading an archive.
pub(super) struct Archive {
    place: ArchivePlace,
    /// The number of collections that are described and not ended. The end of one that is not described counts, too.
    missing: u64,
    /// The checksums so far of the collections that have begun and not ended.
    open: HashMap<Arc<Namespace>, Digest<'static, u64, Table<1>>>,
}

enum ArchivePlace {
    /// Before the header.
    Start,
    /// Among the descriptions.
    Descriptions,
    /// Between two blocks.
    Between,
    /// In a block of this collection.
    Block(Arc<Namespace>),
    /// In the last block of a collection, which has no documents.
    Last,
}

impl Default for Archive {
    fn default() -> Self {
        Self { place: ArchivePlace::Start, missing: 0, open: HashMap::new() }
    }
}

impl Archive {
    /// Reads the next document.
    ///
    /// # Errors
    /// An archive cannot contain such a document here. The error describes it.
    pub(super) fn document(&mut self, document: &[u8]) -> Result<ArchivePart, String> {
        match &self.place {
            ArchivePlace::Start => {
                self.place = ArchivePlace::Descriptions;
                Ok(ArchivePart::Frame)
            }
            ArchivePlace::Descriptions => {
                self.missing += 1;
                Ok(ArchivePart::Frame)
            }
            ArchivePlace::Between => self.header(document),
            ArchivePlace::Block(namespace) => {
                if let Some(checksum) = self.open.get_mut(namespace) {
                    checksum.update(document);
                }
                Ok(match is_oplog(namespace) {
                    true => ArchivePart::Entry,
                    false => ArchivePart::Document(Arc::clone(namespace)),
                })
            }
            ArchivePlace::Last => Err("a document after the end of its collection".to_owned()),
        }
    }

    /// Reads a terminator.
    ///
    /// # Errors
    /// No block can end here.
    pub(super) fn terminator(&mut self) -> Result<(), String> {
        match self.place {
            ArchivePlace::Start | ArchivePlace::Between => {
                Err("the end of a block that has no beginning".to_owned())
            }
            _ => {
                self.place = ArchivePlace::Between;
                Ok(())
            }
        }
    }

    /// Returns what is missing at the end of the file. None: the archive is complete.
    pub(super) fn missing(&self) -> Option<String> {
        let is_between = matches!(self.place, ArchivePlace::Between);
        match self.open.keys().min() {
            Some(namespace) => Some(format!("the rest of {namespace}")),
            None if !is_between => Some("the end of a block".to_owned()),
            None if self.missing > 0 => {
                Some(format!("{} of the collections that it describes", self.missing))
            }
            None => None,
        }
    }

    /// Reads the first document of a block: `{db, collection, EOF, CRC}`.
    fn header(&mut self, document: &[u8]) -> Result<ArchivePart, String> {
        let document = RawDocument::from_bytes(document).map_err(|error| error.to_string())?;
        let field = |name: &str| document.get(name).ok().flatten();
        let text = |name: &str| field(name).and_then(|value| value.as_str());
        let (Some(database), Some(collection)) = (text("db"), text("collection")) else {
            return Err("the beginning of a block that does not name its collection".to_owned());
        };
        if database.len() > MAX_NAME_LENGTH || collection.len() > MAX_NAME_LENGTH {
            return Err(format!("the beginning of a block with a name of more than {MAX_NAME_LENGTH} bytes"));
        }
        let namespace = Arc::new(Namespace { database: database.into(), collection: collection.into() });
        if field("EOF") != Some(RawBsonRef::Boolean(true)) {
            if self.open.len() >= MAX_OPEN && !self.open.contains_key(&namespace) {
                return Err(format!(
                    "a block of {namespace}, while {MAX_OPEN} other collections are not ended"
                ));
            }
            self.open.entry(Arc::clone(&namespace)).or_insert_with(|| CHECKSUM.digest());
            self.place = ArchivePlace::Block(namespace);
            return Ok(ArchivePart::Frame);
        }
        let found = self.open.remove(&namespace).unwrap_or_else(|| CHECKSUM.digest()).finalize();
        self.missing = self.missing.saturating_sub(1);
        self.place = ArchivePlace::Last;
        match field("CRC").and_then(|value| value.as_i64()) {
            Some(expected) if expected.to_le_bytes() != found.to_le_bytes() => {
                Err(format!("a checksum that the documents of {namespace} before it do not have"))
            }
            _ => Ok(ArchivePart::Frame),
        }
    }
}

/// Returns whether a collection of the archive is an oplog: the one that `mongodump --oplog` adds, or the server's.
fn is_oplog(namespace: &Namespace) -> bool {
    match &*namespace.database {
        "" => true,
        "local" => namespace.collection.starts_with("oplog."),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn a_collection_that_is_not_described_may_end() {
        let mut archive = Archive::default();
        let document = |archive: &mut Archive, document: bson::RawDocumentBuf| {
            archive.document(document.as_bytes()).unwrap();
        };
        document(&mut archive, rawdoc! { "version": "0.1" });
        document(&mut archive, rawdoc! { "db": "a", "collection": "b" });
        archive.terminator().unwrap();
        assert_eq!(archive.missing().as_deref(), Some("1 of the collections that it describes"));
        for name in ["b", "c", "d", "e"] {
            document(&mut archive, rawdoc! { "db": "a", "collection": name, "EOF": true });
            archive.terminator().unwrap();
            assert_eq!((archive.missing, archive.missing()), (0, None));
        }
    }
}
