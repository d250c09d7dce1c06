//! Splits the blocks of a file into BSON documents, and the marks between them in an archive. Pure.

use bytes::Bytes;
use gtm_oplog::Reply;

use super::archive::{MAGIC, TERMINATOR};
use super::kind::MAX_DOCUMENT_SIZE;

/// A place at which a file has something other than a document.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misframed {
    /// The number of bytes of the file before it.
    pub(super) offset: u64,
    /// What is there.
    pub(super) found: String,
}

/// The state of splitting a file of BSON documents.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The beginning of a document that continues in the next block.
    partial: Vec<u8>,
    /// The offset at which the next document begins.
    offset: u64,
    /// Whether the file is an archive, whose magic number and terminators are passed on like documents.
    archive: bool,
}

impl Frames {
    /// Creates the state for an archive.
    pub(super) fn of_archive() -> Self {
        Self { archive: true, ..Self::default() }
    }

    /// Passes each document that ends in `block`, the next one of the file, to `take`: the buffer that contains it, its bytes
    /// and its offset.
    pub(super) fn read<E: From<Misframed>>(
        &mut self,
        block: &Bytes,
        mut take: impl FnMut(&Reply, &[u8], u64) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest: &[u8] = block;
        if !self.partial.is_empty() {
            rest = self.complete(rest, 4);
            let Some(length) = self.length(&self.partial)? else { return Ok(()) };
            rest = self.complete(rest, length);
            if self.partial.len() < length {
                return Ok(());
            }
            let document = Bytes::from(std::mem::take(&mut self.partial));
            take(&Reply::new(document.clone()), &document, self.offset)?;
            self.offset += document.len() as u64;
        }
        let reply = Reply::new(block.clone());
        while let Some(length) = self.length(rest)? {
            let Some((document, after)) = rest.split_at_checked(length) else { break };
            take(&reply, document, self.offset)?;
            self.offset += length as u64;
            rest = after;
        }
        self.partial.extend_from_slice(rest);
        Ok(())
    }

    /// Returns the offset of a document that is not complete, and how many bytes of it were read. If that is 0, there is no
    /// such document.
    pub(super) fn left(&self) -> (u64, u64) {
        (self.offset, self.partial.len() as u64)
    }

    /// Moves bytes to the partial document until it has `length` bytes, and returns the rest.
    fn complete<'a>(&mut self, bytes: &'a [u8], length: usize) -> &'a [u8] {
        let missing = length.saturating_sub(self.partial.len());
        let (more, rest) = bytes.split_at_checked(missing).unwrap_or((bytes, &[]));
        self.partial.extend_from_slice(more);
        rest
    }

    /// Returns the length of the document that `bytes` begin with. None: there are not enough bytes yet.
    #[inline]
    fn length(&self, bytes: &[u8]) -> Result<Option<usize>, Misframed> {
        let Some(length) = bytes.first_chunk::<4>() else { return Ok(None) };
        if self.archive && (*length == TERMINATOR || (self.offset == 0 && *length == MAGIC)) {
            return Ok(Some(length.len()));
        }
        let length = i32::from_le_bytes(*length);
        match usize::try_from(length) {
            Ok(length @ 5..=MAX_DOCUMENT_SIZE) => Ok(Some(length)),
            _ => Err(Misframed { offset: self.offset, found: format!("a length of {length} bytes") }),
        }
    }
}
