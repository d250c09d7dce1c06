//! Splits the blocks of a file into documents of Extended JSON: one after another, each on one line or on many, or in an array.
//! A document may also be the contents of a string. Pure.

use bytes::Bytes;

use super::frames::Misframed;
use super::kind::BYTE_ORDER_MARK;
use crate::extended_json::{MAX_OP_SIZE, read};

/// The maximum size of the text of a document, in bytes. Each byte of a document takes up to six of its text.
const MAX_TEXT_SIZE: usize = 128 << 20;

/// The state of splitting a file of Extended JSON.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// The partial document.
    text: Vec<u8>,
    /// The number of its open braces.
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// The number of bytes that were read.
    offset: u64,
}

impl Texts {
    /// Passes each document that ends in `block`, the next one of the file, to `take`: the document, or the reason why it is
    /// not valid, and its offset.
    pub(super) fn read<E: From<Misframed>>(
        &mut self,
        block: &[u8],
        mut take: impl FnMut(Result<Bytes, String>, u64) -> Result<(), E>,
    ) -> Result<(), E> {
        for byte in block {
            self.offset += 1;
            if !self.text.is_empty() || matches!(byte, b'{' | b'"') {
                self.text.push(*byte);
                if self.is_last(*byte) {
                    take(document(&self.text), self.left().0)?;
                    self.text.clear();
                } else if self.text.len() > MAX_TEXT_SIZE {
                    let found = "text without an end".to_owned();
                    return Err(Misframed { offset: self.left().0, found }.into());
                }
            } else if !is_between(*byte, self.offset - 1) {
                let found = format!("{:?} between two documents", char::from(*byte));
                return Err(Misframed { offset: self.offset - 1, found }.into());
            }
        }
        Ok(())
    }

    /// Returns the offset of a document that is not complete, and how many bytes of it were read. If that is 0, there is no
    /// such document.
    pub(super) fn left(&self) -> (u64, u64) {
        let read = self.text.len() as u64;
        (self.offset.saturating_sub(read), read)
    }

    /// Reads a byte of a document. Returns whether it is the last one.
    fn is_last(&mut self, byte: u8) -> bool {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_string => self.escaped = true,
            b'"' => self.in_string = !self.in_string,
            _ if self.in_string => {}
            b'{' => self.depth += 1,
            b'}' => self.depth -= 1,
            _ => {}
        }
        self.depth == 0 && !self.in_string
    }
}

/// Returns whether a byte may be between documents: white space, or the punctuation of an array.
fn is_between(byte: u8, offset: u64) -> bool {
    byte.is_ascii_whitespace()
        || matches!(byte, b'[' | b',' | b']')
        || usize::try_from(offset).ok().and_then(|at| BYTE_ORDER_MARK.get(at)) == Some(&byte)
}

/// Parses the text of a document.
fn document(text: &[u8]) -> Result<Bytes, String> {
    let text = std::str::from_utf8(text).map_err(|error| format!("not UTF-8: {error}"))?;
    let unescaped: String;
    let text = match text.starts_with('"') {
        true => {
            unescaped = serde_json::from_str(text).map_err(|error| format!("not valid JSON: {error}"))?;
            &unescaped
        }
        false => text,
    };
    read(text, MAX_OP_SIZE).map(Bytes::from).map_err(|error| error.to_string())
}
