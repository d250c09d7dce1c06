//! Walks the fields of one BSON document: their types, names and values as bytes.
//!
//! Plugins do not want most entries of an oplog, and three of an entry's dozen fields show that. So nothing is decoded, checked for
//! UTF-8 or allocated unless it is asked for. All lengths are checked.

use bson::spec::ElementType;
use bson::{RawBsonRef, RawDocument};

use crate::op::Timestamp;

/// The position in bytes at which a document is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its field at byte {0} is broken: an unknown type, or a length that does not fit")]
pub struct BrokenField(pub usize);

/// An iterator over the fields of a document. It ends after a broken field.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> Fields<'a> {
    /// Iterates over the fields of `document`, from the first one.
    pub fn new(document: &'a RawDocument) -> Self {
        let bytes = document.as_bytes();
        // The fields are between the length of the document and the zero that ends it.
        let rest = bytes.get(4..bytes.len().saturating_sub(1)).unwrap_or_default();
        Self { rest, length: bytes.len() }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, BrokenField>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((field, rest)) = Field::first(self.rest) else {
            let at = self.length.saturating_sub(self.rest.len() + 1);
            self.rest = &[];
            return Some(Err(BrokenField(at)));
        };
        self.rest = rest;
        Some(Ok(field))
    }
}

/// One field, as raw bytes.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// The type of the value, which is one that BSON has.
    pub kind: u8,
    /// The name, without the zero that ends it. It is UTF-8 unless the writer is defective.
    pub name: &'a [u8],
    /// The value, including the length that some types begin with.
    pub value: &'a [u8],
}

impl<'a> Field<'a> {
    /// Splits off the first field. None: it is broken.
    #[inline(always)]
    fn first(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (kind, rest) = bytes.split_first()?;
        let (name, rest) = rest.split_at_checked(find_zero(rest)?)?;
        let (_, rest) = rest.split_first()?;
        let size = match value_size(*kind) {
            Size::Fixed(size) => usize::from(size),
            Size::Prefixed => prefixed_size(*kind, rest)?,
            Size::Unknown => return None,
        };
        let (value, rest) = rest.split_at_checked(size)?;
        Some((Self { kind: *kind, name, value }, rest))
    }

    /// Returns the string. None: the field is not a string, or not UTF-8.
    #[inline]
    pub fn text(&self) -> Option<&'a str> {
        let text = self.value.get(4..self.value.len().checked_sub(1)?)?;
        (self.kind == STRING).then(|| std::str::from_utf8(text).ok())?
    }

    /// Returns the document. None: the field is not a document. An array is not one.
    #[inline]
    pub fn document(&self) -> Option<&'a RawDocument> {
        (self.kind == DOCUMENT).then(|| RawDocument::from_bytes(self.value).ok())?
    }

    /// Returns the timestamp. None: the field is not a timestamp.
    #[inline]
    pub fn timestamp(&self) -> Option<Timestamp> {
        let (increment, time) = self.value.split_first_chunk()?;
        let [increment, time] = [*increment, *time.first_chunk()?].map(u32::from_le_bytes);
        (self.kind == TIMESTAMP).then_some(Timestamp { time, increment })
    }

    /// Returns the date in milliseconds since 1970-01-01 UTC. None: the field is not a date.
    #[inline]
    pub fn milliseconds(&self) -> Option<i64> {
        (self.kind == DATE).then(|| self.value.first_chunk().map(|bytes| i64::from_le_bytes(*bytes)))?
    }

    /// Returns the number, of any width. None: the field is not a number, or a decimal.
    #[inline]
    pub fn number(&self) -> Option<RawBsonRef<'a>> {
        Some(match self.kind {
            INT64 => RawBsonRef::Int64(i64::from_le_bytes(*self.value.first_chunk()?)),
            INT32 => RawBsonRef::Int32(i32::from_le_bytes(*self.value.first_chunk()?)),
            DOUBLE => RawBsonRef::Double(f64::from_le_bytes(*self.value.first_chunk()?)),
            _ => return None,
        })
    }

    /// Returns whether the field is the boolean true.
    #[inline]
    pub fn is_true(&self) -> bool {
        self.kind == BOOLEAN && self.value != [0]
    }
}

/// Checks a document to its innermost values. A document that passes can be decoded, and written as text. Names must be
/// UTF-8; texts need not be, because readers put replacement characters there.
///
/// # Errors
/// The position of the first broken field, at any depth.
pub fn check(document: &RawDocument) -> Result<(), BrokenField> {
    let start = document.as_bytes().as_ptr().addr();
    // Documents can nest more than a hundred levels deep, so the open ones are kept in a list instead of on the stack.
    let mut around = Vec::new();
    let (mut fields, mut base) = (Fields::new(document), 0);
    loop {
        let Some(field) = fields.next() else {
            let Some(outer) = around.pop() else { return Ok(()) };
            (fields, base) = outer;
            continue;
        };
        let field = field.map_err(|BrokenField(at)| BrokenField(base + at))?;
        let at = || field.name.as_ptr().addr() - start - 1;
        if let Some(inner) = field.inner().ok_or_else(|| BrokenField(at()))? {
            around.push((fields, base));
            (fields, base) = (Fields::new(inner), inner.as_bytes().as_ptr().addr() - start);
        }
    }
}

impl<'a> Field<'a> {
    /// Returns the document inside the value, if it has one. None: the name or value is broken.
    #[inline]
    fn inner(&self) -> Option<Option<&'a RawDocument>> {
        if !self.name.is_ascii() {
            std::str::from_utf8(self.name).ok()?;
        }
        let inner = match self.kind {
            DOCUMENT | ARRAY => self.value,
            BOOLEAN if self.value.first().is_some_and(|value| *value > 1) => return None,
            // The old kind of binary value contains its length twice.
            BINARY if self.value.get(4) == Some(&2) => {
                let within = self.value.get(5..)?;
                return (length(within)?.checked_add(4)? == within.len()).then_some(None);
            }
            REGEX => return std::str::from_utf8(self.value).ok().map(|_| None),
            CODE_WITH_SCOPE => {
                let code = self.value.get(4..)?;
                let (code, scope) = code.split_at_checked(string_size(code)?)?;
                std::str::from_utf8(code.get(4..)?).ok()?;
                scope
            }
            _ => return Some(None),
        };
        RawDocument::from_bytes(inner).ok().map(Some)
    }
}

const DOUBLE: u8 = ElementType::Double as u8;
const STRING: u8 = ElementType::String as u8;
const DOCUMENT: u8 = ElementType::EmbeddedDocument as u8;
const ARRAY: u8 = ElementType::Array as u8;
const BINARY: u8 = ElementType::Binary as u8;
const REGEX: u8 = ElementType::RegularExpression as u8;
const CODE_WITH_SCOPE: u8 = ElementType::JavaScriptCodeWithScope as u8;
const BOOLEAN: u8 = ElementType::Boolean as u8;
const DATE: u8 = ElementType::DateTime as u8;
const INT32: u8 = ElementType::Int32 as u8;
const TIMESTAMP: u8 = ElementType::Timestamp as u8;
const INT64: u8 = ElementType::Int64 as u8;

/// The size of a value of some type, in bytes.
#[derive(Clone, Copy)]
enum Size {
    Fixed(u8),
    /// The value begins with its size, or ends with a zero.
    Prefixed,
    /// BSON has no such type.
    Unknown,
}

/// Returns the size of a value by its type (BSON specification, version 1.1).
#[inline]
fn value_size(kind: u8) -> Size {
    match kind {
        // Undefined, null, and the least and the greatest key.
        0x06 | 0x0a | 0x7f | 0xff => Size::Fixed(0),
        // A boolean.
        0x08 => Size::Fixed(1),
        // An integer of 32 bits.
        0x10 => Size::Fixed(4),
        // A double, a date, a timestamp, an integer of 64 bits.
        0x01 | 0x09 | 0x11 | 0x12 => Size::Fixed(8),
        // An object id.
        0x07 => Size::Fixed(12),
        // A decimal.
        0x13 => Size::Fixed(16),
        // String, document, array, binary; regular expression, pointer, code, symbol, code with scope.
        0x02..=0x05 | 0x0b..=0x0f => Size::Prefixed,
        _ => Size::Unknown,
    }
}

/// Returns the size in bytes of a value that contains its size. `bytes` begins with the value.
#[inline]
fn prefixed_size(kind: u8, bytes: &[u8]) -> Option<usize> {
    match kind {
        0x02 | 0x0d | 0x0e => string_size(bytes),
        0x03 | 0x04 => terminated_length(bytes, length(bytes)?, 5),
        0x05 => length(bytes)?.checked_add(5),
        0x0b => {
            let pattern = find_zero(bytes)? + 1;
            Some(pattern + find_zero(bytes.get(pattern..)?)? + 1)
        }
        0x0c => string_size(bytes)?.checked_add(12),
        // Code with its scope: its length, a string, and a document.
        _ => terminated_length(bytes, length(bytes)?, 14),
    }
}

/// Returns the size in bytes of a string with its length before it, which counts the zero after it.
fn string_size(bytes: &[u8]) -> Option<usize> {
    terminated_length(bytes, length(bytes)?.checked_add(4)?, 5)
}

/// Returns a length if it is at least `least` and the last of that many bytes is a zero.
fn terminated_length(bytes: &[u8], length: usize, least: usize) -> Option<usize> {
    (length >= least && *bytes.get(length - 1)? == 0).then_some(length)
}

fn length(bytes: &[u8]) -> Option<usize> {
    usize::try_from(i32::from_le_bytes(*bytes.first_chunk()?)).ok()
}

/// Returns the position of the first zero byte. Names are short, so testing eight bytes together is usually enough.
/// (The subtraction sets the highest bit of a zero byte, and of no byte before it.)
#[inline]
fn find_zero(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut rest = bytes;
    while let Some((eight, after)) = rest.split_first_chunk() {
        let word = u64::from_le_bytes(*eight);
        let zeros = word.wrapping_sub(0x0101_0101_0101_0101) & !word & 0x8080_8080_8080_8080;
        if zeros != 0 {
            return Some(at + (zeros.trailing_zeros() / 8) as usize);
        }
        at += eight.len();
        rest = after;
    }
    Some(at + rest.iter().position(|byte| *byte == 0)?)
}

#[cfg(test)]
mod tests {
    use bson::{Bson, RawDocumentBuf, doc};

    use super::*;
    use crate::value::integer;

    /// Returns a document with a field of each type, and names of many lengths.
    fn of_all_types() -> RawDocumentBuf {
        let regex = bson::Regex {
            pattern: bson::raw::cstr!("a.b").to_owned(),
            options: bson::raw::cstr!("i").to_owned(),
        };
        let code = bson::JavaScriptCodeWithScope { code: "f()".to_owned(), scope: doc! { "x": 1 } };
        RawDocumentBuf::try_from(doc! {
            "": 1.0, "1": "text", "22": { "a": 1 }, "333": [1, "two"], "4444": bson::Uuid::from_bytes([7; 16]),
            "55555": Bson::Undefined, "666666": bson::oid::ObjectId::from_bytes([1; 12]), "7777777": true,
            "88888888": bson::DateTime::from_millis(5), "999999999": Bson::Null,
            "aaaaaaaaaa": regex, "bbbbbbbbbbb": Bson::JavaScriptCode("g".into()),
            "cccccccccccc": Bson::Symbol("s".into()), "ddddddddddddd": code, "eeeeeeeeeeeeee": 7,
            "fffffffffffffff": bson::Timestamp { time: 3, increment: 4 }, "gggggggggggggggg": 8_i64,
            "hhhhhhhhhhhhhhhhh": bson::Decimal128::from_bytes([2; 16]), "min": Bson::MinKey, "max": Bson::MaxKey,
        })
        .unwrap()
    }

    #[test]
    fn fields_are_those_that_the_bson_crate_finds() {
        let document = of_all_types();
        let mut count = 0;
        for (field, element) in Fields::new(&document).zip(document.iter_elements()) {
            let (field, element) = (field.unwrap(), element.unwrap());
            assert_eq!(field.name, element.key().as_str().as_bytes());
            assert_eq!(ElementType::from(field.kind), Some(element.element_type()));
            assert_eq!(field.value.len(), element.size());
            let value = element.value().unwrap();
            let text = if let RawBsonRef::String(text) = value { Some(text) } else { None };
            assert_eq!(field.text(), text);
            assert_eq!(field.document(), value.as_document());
            assert_eq!(field.timestamp(), value.as_timestamp().map(Timestamp::from));
            assert_eq!(field.milliseconds(), value.as_datetime().map(|date| date.timestamp_millis()));
            assert_eq!(field.number(), integer(value).and(Some(value)));
            assert_eq!(field.is_true(), value.as_bool() == Some(true));
            count += 1;
        }
        assert_eq!(count, 20);
        assert_eq!(Fields::new(&document).count(), 20);
    }

    /// Returns whether all fields can be walked, by this module and by the bson crate.
    fn whole(bytes: &[u8]) -> Option<(bool, bool)> {
        let document = RawDocument::from_bytes(bytes).ok()?;
        let ours = Fields::new(document).all(|field| field.is_ok());
        Some((ours, document.iter_elements().all(|element| element.is_ok())))
    }

    #[test]
    fn a_document_that_is_walked_is_valid_for_the_bson_crate() {
        let bytes = of_all_types().into_bytes();
        let mut broken = 0;
        for at in 0..bytes.len() {
            for value in [0, 1, 4, 5, 0x7f, 0x80, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] = value;
                let Some((ours, theirs)) = whole(&bytes) else { continue };
                // The bson crate also refuses names that are not UTF-8.
                assert!(!ours || theirs || value >= 0x80, "byte {at} as {value}");
                broken += usize::from(!ours);
            }
        }
        assert!(broken > 100, "{broken} were found broken");
    }

    #[test]
    fn a_broken_field_is_found_at_any_depth() {
        let document = RawDocumentBuf::try_from(doc! { "a": { "b": [{ "c": true }] } }).unwrap();
        let mut bytes = document.into_bytes();
        let at = bytes.iter().position(|byte| *byte == b'c').unwrap();
        bytes[at + 2] = 2;
        assert_eq!(check(RawDocument::from_bytes(&bytes).unwrap()), Err(BrokenField(at - 1)));
    }

    #[test]
    fn a_broken_field_is_the_last_and_has_its_offset() {
        let mut bytes = RawDocumentBuf::try_from(doc! { "a": 1, "b": "text", "c": 2 }).unwrap().into_bytes();
        bytes[14] = 100;
        let fields: Vec<_> = Fields::new(RawDocument::from_bytes(&bytes).unwrap()).collect();
        assert!(matches!(fields[..], [Ok(Field { name: b"a", .. }), Err(BrokenField(11))]), "{fields:?}");
    }
}
