//! Messages of the wire protocol: `OP_MSG`, and the older query with which drivers send `hello`.

use std::io::{self, Read, Write};

use anyhow::{Context, bail};
use bson::{RawDocument, RawDocumentBuf};

const OP_REPLY: i32 = 1;
const OP_QUERY: i32 = 2004;
const OP_MSG: i32 = 2013;
/// The maximum size of a message in bytes, which is the server's `maxMessageSizeBytes`.
const MAX_MESSAGE_BYTES: usize = 48_000_000;
const HEADER: usize = 16;
/// The size of an `OP_MSG`'s flags and its section's kind, in bytes.
const BEFORE_DOCUMENT: usize = 5;

/// A command, and how to reply to it.
pub(super) struct Request {
    pub(super) command: RawDocumentBuf,
    id: i32,
    is_query: bool,
}

impl Request {
    /// Reads the next request. None: the client has disconnected.
    pub(super) fn read(from: &mut impl Read) -> anyhow::Result<Option<Self>> {
        let mut header = [0; HEADER];
        match from.read_exact(&mut header) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let (length, id, code) = (int(&header, 0)?, int(&header, 4)?, int(&header, 12)?);
        let length = usize::try_from(length)?;
        if !(HEADER..=MAX_MESSAGE_BYTES).contains(&length) {
            bail!("a message has {length} bytes, which is not a valid length");
        }
        let mut body = vec![0; length - HEADER];
        from.read_exact(&mut body)?;
        let document = match code {
            OP_MSG => body.get(BEFORE_DOCUMENT..).context("a message has no document")?,
            OP_QUERY => {
                let name = body.get(4..).and_then(|rest| rest.iter().position(|byte| *byte == 0));
                let start = 4 + name.context("a query has no collection")? + 1 + 8;
                body.get(start..).context("a query has no document")?
            }
            other => bail!("this server does not know messages of kind {other}"),
        };
        let length = usize::try_from(int(document, 0)?)?;
        let document = document.get(..length).context("a document is incomplete")?;
        Ok(Some(Self {
            command: RawDocument::from_bytes(document)?.to_owned(),
            id,
            is_query: code == OP_QUERY,
        }))
    }

    /// Replies with a document.
    pub(super) fn reply(&self, to: &mut impl Write, document: &RawDocument) -> anyhow::Result<()> {
        let mut message = Vec::with_capacity(document.as_bytes().len() + 64);
        if self.is_query {
            message.extend(self.header(HEADER + 20 + document.as_bytes().len(), OP_REPLY)?);
            // The flag that the server can await; no cursor; one document from the first on.
            message.extend([8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
        } else {
            message.extend(self.message_header(document.as_bytes().len())?);
        }
        message.extend(document.as_bytes());
        Ok(to.write_all(&message)?)
    }

    /// Returns the bytes before a document of `length` bytes.
    pub(super) fn message_header(&self, length: usize) -> anyhow::Result<[u8; HEADER + BEFORE_DOCUMENT]> {
        let mut bytes = [0; HEADER + BEFORE_DOCUMENT];
        let header = self.header(bytes.len() + length, OP_MSG)?;
        bytes.iter_mut().zip(header).for_each(|(byte, header)| *byte = header);
        Ok(bytes)
    }

    fn header(&self, length: usize, code: i32) -> anyhow::Result<[u8; HEADER]> {
        let mut header = [0; HEADER];
        let numbers = [i32::try_from(length)?, self.id, self.id, code];
        for (four, number) in header.chunks_exact_mut(4).zip(numbers) {
            four.copy_from_slice(&number.to_le_bytes());
        }
        Ok(header)
    }
}

fn int(bytes: &[u8], at: usize) -> anyhow::Result<i32> {
    let four = bytes.get(at..).and_then(|rest| rest.first_chunk()).context("a message is incomplete")?;
    Ok(i32::from_le_bytes(*four))
}
