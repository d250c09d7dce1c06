//! Parses Extended JSON into BSON.
//!
//! The text is read once, without recursion, and written as BSON meanwhile. No tree is built, so the sizes of the text and of the
//! document bound memory and time. The library parses strings and numbers.

use std::borrow::Cow;

use bson::spec::ElementType;
use bson::{RawDocument, RawDocumentBuf};

use super::wrapper::{CODE, DOCUMENT, SCOPE, is_wrapper, value};

/// The maximum size of a text and of its document outside of files, in bytes.
pub const MAX_SIZE: usize = 16 << 20;
/// The maximum number of nested objects and arrays. A server accepts 200.
const MAX_NESTING: usize = 1 << 17;

/// The reason why a text cannot be parsed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub(super) String);

/// Parses a document of Extended JSON, in either form. All fields with the same name are kept.
///
/// # Errors
/// The text is not a document of Extended JSON, or the text or the document is larger than [`MAX_SIZE`].
pub fn read_document(json: &str) -> Result<RawDocumentBuf, Unreadable> {
    if json.len() > MAX_SIZE {
        return Err(Unreadable(format!("the text has {} bytes, more than {MAX_SIZE}", json.len())));
    }
    let bytes = read(json, MAX_SIZE)?;
    RawDocumentBuf::from_bytes(bytes).map_err(|error| Unreadable(error.to_string()))
}

/// Parses a document of up to `max_size` bytes.
pub(crate) fn read(json: &str, max_size: usize) -> Result<Vec<u8>, Unreadable> {
    let mut reader = JsonReader { text: json, at: 0, out: Vec::new(), open: Vec::new(), max_size };
    reader.space();
    if reader.peek() != Some(b'{') {
        return Err(match serde_json::from_str::<serde::de::IgnoredAny>(json) {
            Ok(_) => Unreadable("not a document: a document begins with { and has fields".to_owned()),
            Err(_) => reader.invalid("a document begins with {"),
        });
    }
    reader.begin(None, ContainerKind::Document)?;
    while !reader.open.is_empty() {
        reader.step()?;
    }
    reader.space();
    match reader.peek() {
        None => Ok(reader.out),
        Some(_) => Err(reader.invalid("more text after the document")),
    }
}

struct JsonReader<'a> {
    text: &'a str,
    /// The number of bytes that were read.
    at: usize,
    out: Vec<u8>,
    open: Vec<OpenContainer>,
    max_size: usize,
}

/// An object or array that is being read.
struct OpenContainer {
    kind: ContainerKind,
    /// The offset of its bytes in the output.
    start: usize,
    /// The offset of its type in the output. None: it must be a document.
    type_at: Option<usize>,
    /// The number of its elements so far.
    count: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ContainerKind {
    /// An object that may be a wrapper, which its first field decides.
    Document,
    /// An object that is not a wrapper.
    Plain,
    Array,
    /// A wrapper.
    Wrapper,
    /// `{"$document": …}`
    Around,
    /// `{"$code": …}`
    Code,
    /// `{"$code": …, "$scope": …}`
    CodeWithScope,
}

impl<'a> JsonReader<'a> {
    /// Parses an element, or the end, of the innermost object or array.
    fn step(&mut self) -> Result<(), Unreadable> {
        let Some(OpenContainer { kind, count, .. }) = self.open.last().map(|open| OpenContainer { ..*open })
        else {
            return Ok(());
        };
        self.space();
        if self.peek() == Some(if kind == ContainerKind::Array { b']' } else { b'}' }) {
            self.at += 1;
            return self.end();
        }
        if count > 0 {
            self.expect(b',', "a comma or the end is expected here")?;
            self.space();
        }
        if let Some(open) = self.open.last_mut() {
            open.count = count.saturating_add(1);
        }
        if kind == ContainerKind::Array {
            let type_at = self.name(itoa::Buffer::new().format(count))?;
            return self.value(type_at);
        }
        let name = self.string("the name of a field is expected here")?;
        self.space();
        self.expect(b':', "a colon is expected here")?;
        self.space();
        match (kind, &*name) {
            (ContainerKind::Document, DOCUMENT) if count == 0 => self.begin_around(),
            (ContainerKind::Document, CODE) if count == 0 => {
                self.become_kind(ContainerKind::Code);
                let code = self.string("the value of $code should be a string")?;
                self.write_string(&code)
            }
            (ContainerKind::Code, SCOPE) => {
                self.become_kind(ContainerKind::CodeWithScope);
                self.begin(None, ContainerKind::Document)
            }
            (ContainerKind::Around | ContainerKind::Code | ContainerKind::CodeWithScope, _) => {
                Err(self.not_extended(&name))
            }
            (ContainerKind::Document, wrapper) if is_wrapper(wrapper.as_bytes()) => {
                if count > 0 {
                    return Err(self.not_extended(&name));
                }
                self.become_kind(ContainerKind::Wrapper);
                let type_at = self.name(&name)?;
                self.value(type_at)
            }
            _ => {
                let type_at = self.name(&name)?;
                self.value(type_at)
            }
        }
    }

    /// Parses a scalar, or the beginning of an object or array.
    fn value(&mut self, type_at: usize) -> Result<(), Unreadable> {
        let kind = match self.peek() {
            Some(b'{') => return self.begin(Some(type_at), ContainerKind::Document),
            Some(b'[') => return self.begin(Some(type_at), ContainerKind::Array),
            Some(b'"') => {
                let string = self.string("")?;
                self.write_string(&string)?;
                ElementType::String
            }
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.word()?,
        };
        self.set_type(type_at, kind as u8);
        self.check_size()
    }

    fn word(&mut self) -> Result<ElementType, Unreadable> {
        let words =
            [("null", ElementType::Null), ("true", ElementType::Boolean), ("false", ElementType::Boolean)];
        let rest = self.text.get(self.at..).unwrap_or_default();
        let Some((word, kind)) = words.into_iter().find(|(word, _)| rest.starts_with(word)) else {
            return Err(self.invalid("a value is expected here"));
        };
        self.at += word.len();
        if kind == ElementType::Boolean {
            self.out.push(u8::from(word == "true"));
        }
        Ok(kind)
    }

    /// Parses a number as the library does: an integer of the smallest type if possible, otherwise a double.
    fn number(&mut self) -> Result<ElementType, Unreadable> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let is_part = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.bytes().take_while(is_part).count();
        let number = rest.get(..length).and_then(|digits| digits.parse::<serde_json::Number>().ok());
        let invalid = "a number is not well-formed, or too large";
        let number = number.ok_or_else(|| self.invalid(invalid))?;
        self.at += length;
        Ok(match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => match i32::try_from(whole) {
                Ok(narrow) => {
                    self.out.extend_from_slice(&narrow.to_le_bytes());
                    ElementType::Int32
                }
                Err(_) => {
                    self.out.extend_from_slice(&whole.to_le_bytes());
                    ElementType::Int64
                }
            },
            (None, Some(double)) => {
                self.out.extend_from_slice(&double.to_le_bytes());
                ElementType::Double
            }
            (None, None) => return Err(self.invalid(invalid)),
        })
    }

    /// Parses a string without its quotes and escapes.
    fn string(&mut self, missing: &str) -> Result<Cow<'a, str>, Unreadable> {
        if self.peek() != Some(b'"') {
            return Err(self.invalid(missing));
        }
        let rest = self.text.get(self.at..).unwrap_or_default();
        let (mut end, mut plain) = (1, true);
        let mut bytes = rest.bytes().skip(1);
        loop {
            end += 1;
            match bytes.next() {
                Some(b'"') => break,
                Some(b'\\') => {
                    plain = false;
                    end += 1;
                    bytes.next();
                }
                Some(byte) => plain &= byte >= b' ',
                None => return Err(self.invalid("a string has no end")),
            }
        }
        let string = match rest.get(1..end - 1) {
            Some(string) if plain => Cow::Borrowed(string),
            _ => {
                let token = rest.get(..end).unwrap_or_default();
                let string = serde_json::from_str(token);
                Cow::Owned(string.map_err(|error| self.invalid(&format!("a string is not valid: {error}")))?)
            }
        };
        self.at += end;
        Ok(string)
    }

    /// Writes the name of an element, and returns the offset of its type.
    fn name(&mut self, name: &str) -> Result<usize, Unreadable> {
        if name.contains('\0') {
            return Err(
                self.invalid("the name of a field has the character U+0000, which BSON does not allow")
            );
        }
        let type_at = self.out.len();
        self.out.push(ElementType::Null as u8);
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(0);
        Ok(type_at)
    }

    fn write_string(&mut self, string: &str) -> Result<(), Unreadable> {
        let length = i32::try_from(string.len() + 1).map_err(|_| self.too_large())?;
        self.out.extend_from_slice(&length.to_le_bytes());
        self.out.extend_from_slice(string.as_bytes());
        self.out.push(0);
        self.check_size()
    }

    /// Begins an object or array, whose first character is next.
    fn begin(&mut self, type_at: Option<usize>, kind: ContainerKind) -> Result<(), Unreadable> {
        let start = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        self.begin_at(start, type_at, kind)
    }

    fn begin_at(
        &mut self,
        start: usize,
        type_at: Option<usize>,
        kind: ContainerKind,
    ) -> Result<(), Unreadable> {
        if self.open.len() >= MAX_NESTING {
            return Err(self.invalid(&format!("more than {MAX_NESTING} nested objects and arrays")));
        }
        if kind == ContainerKind::Array {
            self.expect(b'[', "an array is expected here")?;
        } else {
            self.expect(b'{', "an object is expected here")?;
        }
        self.open.push(OpenContainer { kind, start, type_at, count: 0 });
        self.check_size()
    }

    /// Begins the object in `{"$document": …}`, which replaces the innermost object.
    fn begin_around(&mut self) -> Result<(), Unreadable> {
        self.become_kind(ContainerKind::Around);
        let (start, type_at) = match self.open.last() {
            Some(open) => (open.start, open.type_at),
            None => (0, None),
        };
        self.begin_at(start, type_at, ContainerKind::Plain)
    }

    fn become_kind(&mut self, kind: ContainerKind) {
        if let Some(open) = self.open.last_mut() {
            open.kind = kind;
        }
    }

    /// Ends the innermost object or array.
    fn end(&mut self) -> Result<(), Unreadable> {
        let Some(OpenContainer { kind, start, type_at, .. }) = self.open.pop() else { return Ok(()) };
        let kind = match kind {
            // The object in it has ended already.
            ContainerKind::Around => return Ok(()),
            ContainerKind::Code => {
                self.out.drain(start..start + 4);
                ElementType::JavaScriptCode as u8
            }
            ContainerKind::CodeWithScope => {
                self.set_length(start)?;
                ElementType::JavaScriptCodeWithScope as u8
            }
            ContainerKind::Document
            | ContainerKind::Plain
            | ContainerKind::Array
            | ContainerKind::Wrapper => {
                self.out.push(0);
                self.set_length(start)?;
                match kind {
                    ContainerKind::Wrapper => self.unwrap(start)?,
                    ContainerKind::Array => ElementType::Array as u8,
                    _ => ElementType::EmbeddedDocument as u8,
                }
            }
        };
        match type_at {
            Some(type_at) => self.set_type(type_at, kind),
            None if kind == ElementType::EmbeddedDocument as u8 => {}
            None => {
                return Err(Unreadable(format!(
                    "not a document: the object that ends at byte {} stands for a value of another type",
                    self.at
                )));
            }
        }
        self.check_size()
    }

    /// Replaces a wrapper by its value. Returns the type.
    fn unwrap(&mut self, start: usize) -> Result<u8, Unreadable> {
        let object = self.out.get(start..).unwrap_or_default();
        let object = RawDocument::from_bytes(object).map_err(|error| Unreadable(error.to_string()))?;
        let Some((kind, bytes)) = value(object) else {
            let name = object.iter_elements().next().and_then(Result::ok);
            let name = name.map(|first| first.key().as_str().to_owned()).unwrap_or_default();
            return Err(self.not_extended(&name));
        };
        self.out.truncate(start);
        self.out.extend_from_slice(&bytes);
        Ok(kind)
    }

    fn set_type(&mut self, type_at: usize, kind: u8) {
        if let Some(byte) = self.out.get_mut(type_at) {
            *byte = kind;
        }
    }

    fn set_length(&mut self, start: usize) -> Result<(), Unreadable> {
        let length = i32::try_from(self.out.len() - start).map_err(|_| self.too_large())?;
        if let Some(place) = self.out.get_mut(start..start + 4) {
            place.copy_from_slice(&length.to_le_bytes());
        }
        Ok(())
    }

    fn check_size(&self) -> Result<(), Unreadable> {
        if self.out.len() > self.max_size { Err(self.too_large()) } else { Ok(()) }
    }

    fn space(&mut self) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        self.at += rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn expect(&mut self, byte: u8, missing: &str) -> Result<(), Unreadable> {
        if self.peek() != Some(byte) {
            return Err(self.invalid(missing));
        }
        self.at += 1;
        Ok(())
    }

    fn invalid(&self, reason: &str) -> Unreadable {
        Unreadable(format!("not valid JSON at byte {}: {reason}", self.at))
    }

    fn not_extended(&self, name: &str) -> Unreadable {
        Unreadable(format!(
            "not valid Extended JSON before byte {}: {name} has a value that is not valid, or other fields next to it",
            self.at
        ))
    }

    fn too_large(&self) -> Unreadable {
        Unreadable(format!("the document is larger than {} bytes", self.max_size))
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
