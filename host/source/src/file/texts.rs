//! Cuts documents of Extended JSON out of the blocks in which a file is read: one after another, as a line each or
//! over many, or in an array; a document may also be the contents of a string. Pure.

use bytes::Bytes;

use super::frames::Misframed;
use super::kind::BYTE_ORDER_MARK;
use crate::extended_json::{LARGEST_OP, read};

/// The most that the text of a document may take: each byte of the largest is six of its text at worst.
const LARGEST_TEXT: usize = 128 << 20;

/// A file of Extended JSON, as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// The document that is begun.
    text: Vec<u8>,
    /// How many of its braces are open.
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Bytes read.
    offset: u64,
}

impl Texts {
    /// Gives each document that ends in `block`, the file's next, to `take`: what it is, or why it is none, and
    /// where it stands.
    pub(super) fn read<E: From<Misframed>>(
        &mut self,
        block: &[u8],
        mut take: impl FnMut(Result<Bytes, String>, u64) -> Result<(), E>,
    ) -> Result<(), E> {
        for byte in block {
            self.offset += 1;
            if !self.text.is_empty() || matches!(byte, b'{' | b'"') {
                self.text.push(*byte);
                if self.inside(*byte) {
                    take(document(&self.text), self.left().0)?;
                    self.text.clear();
                } else if self.text.len() > LARGEST_TEXT {
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

    /// What is left over: where a document begins that is not all there, and how much of it is. None of it: there is
    /// no such document.
    pub(super) fn left(&self) -> (u64, u64) {
        let read = self.text.len() as u64;
        (self.offset.saturating_sub(read), read)
    }

    /// Takes a byte of a document. Gives back whether it is its last.
    fn inside(&mut self, byte: u8) -> bool {
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

/// White space, or what an array has.
fn is_between(byte: u8, offset: u64) -> bool {
    byte.is_ascii_whitespace()
        || matches!(byte, b'[' | b',' | b']')
        || usize::try_from(offset).ok().and_then(|at| BYTE_ORDER_MARK.get(at)) == Some(&byte)
}

/// The document that a text says.
fn document(text: &[u8]) -> Result<Bytes, String> {
    let text = std::str::from_utf8(text).map_err(|error| format!("not UTF-8: {error}"))?;
    let within: String;
    let text = match text.starts_with('"') {
        true => {
            within = serde_json::from_str(text).map_err(|error| format!("not valid JSON: {error}"))?;
            &within
        }
        false => text,
    };
    read(text, LARGEST_OP).map(Bytes::from).map_err(|error| error.to_string())
}
