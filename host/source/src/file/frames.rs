//! Cuts BSON documents out of the blocks in which a file is read, and what stands between them in an archive. Pure.

use bytes::Bytes;
use gtm_oplog::Reply;

use super::archive::{MAGIC, TERMINATOR};
use super::kind::LARGEST;

/// Where a file ceases to be one document after another.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misframed {
    /// Bytes of the file before it.
    pub(super) offset: u64,
    /// What stands there.
    pub(super) found: String,
}

/// A file of BSON documents, as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The beginning of a document that goes on in the next block.
    begun: Vec<u8>,
    /// Where the next document begins.
    offset: u64,
    /// It is an archive: with its mark and the ends of its blocks, which are given as if they were documents.
    archive: bool,
}

impl Frames {
    /// The frames of an archive.
    pub(super) fn of_archive() -> Self {
        Self { archive: true, ..Self::default() }
    }

    /// Gives each document that ends in `block`, the file's next, to `take`: what it is a slice of, its bytes and
    /// where it stands.
    pub(super) fn read<E: From<Misframed>>(
        &mut self,
        block: &Bytes,
        mut take: impl FnMut(&Reply, &[u8], u64) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest: &[u8] = block;
        if !self.begun.is_empty() {
            rest = self.go_on(rest, 4);
            let Some(length) = self.length(&self.begun)? else { return Ok(()) };
            rest = self.go_on(rest, length);
            if self.begun.len() < length {
                return Ok(());
            }
            let document = Bytes::from(std::mem::take(&mut self.begun));
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
        self.begun.extend_from_slice(rest);
        Ok(())
    }

    /// What is left over: where a document begins that is not all there, and how much of it is. None of it: there is
    /// no such document.
    pub(super) fn left(&self) -> (u64, u64) {
        (self.offset, self.begun.len() as u64)
    }

    /// Moves bytes to the document that is begun, until it has `length`, and gives back the rest.
    fn go_on<'a>(&mut self, bytes: &'a [u8], length: usize) -> &'a [u8] {
        let missing = length.saturating_sub(self.begun.len());
        let (more, rest) = bytes.split_at_checked(missing).unwrap_or((bytes, &[]));
        self.begun.extend_from_slice(more);
        rest
    }

    /// How long the document is that `bytes` begin with. None: they do not say it yet.
    #[inline]
    fn length(&self, bytes: &[u8]) -> Result<Option<usize>, Misframed> {
        let Some(length) = bytes.first_chunk::<4>() else { return Ok(None) };
        if self.archive && (*length == TERMINATOR || (self.offset == 0 && *length == MAGIC)) {
            return Ok(Some(length.len()));
        }
        let length = i32::from_le_bytes(*length);
        match usize::try_from(length) {
            Ok(length @ 5..=LARGEST) => Ok(Some(length)),
            _ => Err(Misframed { offset: self.offset, found: format!("a length of {length} bytes") }),
        }
    }
}
