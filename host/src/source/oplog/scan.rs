//! Walks the fields of one BSON document: their types, names and values as bytes. Pure.
//!
//! Most entries of an oplog are nobody's, and are known by three of their dozen fields. So nothing is
//! decoded, checked for UTF-8 or allocated but what is asked for; lengths are checked, all of them.

use bson::spec::ElementType;
use bson::{DateTime, RawBsonRef, RawDocument, Timestamp};

/// A document goes wrong here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its field at byte {0} is broken: an unknown type, or a length that does not fit")]
pub struct Broken(pub usize);

/// The fields of a document. After a broken field there is none.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> Fields<'a> {
    /// The fields of `document`, from its first.
    pub fn of(document: &'a RawDocument) -> Self {
        let bytes = document.as_bytes();
        // Between its length and the zero that ends it.
        let rest = bytes.get(4..bytes.len().saturating_sub(1)).unwrap_or_default();
        Self { rest, length: bytes.len() }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Broken>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((field, rest)) = Field::first(self.rest) else {
            let at = self.length.saturating_sub(self.rest.len() + 1);
            self.rest = &[];
            return Some(Err(Broken(at)));
        };
        self.rest = rest;
        Some(Ok(field))
    }
}

/// One field, as it is written.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// The type of its value.
    pub kind: ElementType,
    /// Its name, without the zero that ends it. UTF-8 where the server is in order.
    pub name: &'a [u8],
    /// Its value, with the length that some types begin with.
    pub value: &'a [u8],
}

impl<'a> Field<'a> {
    /// The first field of some, and the rest.
    #[inline]
    fn first(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (kind, rest) = bytes.split_first()?;
        let kind = ElementType::from(*kind)?;
        let (name, rest) = rest.split_at_checked(zero(rest)?)?;
        let (_, rest) = rest.split_first()?;
        let (value, rest) = rest.split_at_checked(size(kind, rest)?)?;
        Some((Self { kind, name, value }, rest))
    }

    /// Its value, where it has one of the types that tell what an entry is: a number, a string that is UTF-8, a
    /// document, a boolean or a time.
    #[inline]
    pub fn value(&self) -> Option<RawBsonRef<'a>> {
        Some(match self.kind {
            ElementType::String => {
                let text = self.value.get(4..self.value.len().checked_sub(1)?)?;
                RawBsonRef::String(std::str::from_utf8(text).ok()?)
            }
            ElementType::EmbeddedDocument => RawBsonRef::Document(RawDocument::from_bytes(self.value).ok()?),
            ElementType::Timestamp => {
                let (increment, time) = self.value.split_first_chunk()?;
                let [increment, time] = [*increment, *time.first_chunk()?].map(u32::from_le_bytes);
                RawBsonRef::Timestamp(Timestamp { time, increment })
            }
            ElementType::DateTime => RawBsonRef::DateTime(DateTime::from_millis(self.integer()?)),
            ElementType::Int64 => RawBsonRef::Int64(self.integer()?),
            ElementType::Int32 => RawBsonRef::Int32(i32::from_le_bytes(*self.value.first_chunk()?)),
            ElementType::Double => RawBsonRef::Double(f64::from_le_bytes(*self.value.first_chunk()?)),
            ElementType::Boolean => RawBsonRef::Boolean(*self.value.first()? != 0),
            _ => return None,
        })
    }

    fn integer(&self) -> Option<i64> {
        self.value.first_chunk().map(|bytes| i64::from_le_bytes(*bytes))
    }
}

/// The bytes that a value takes, which is the first of `bytes`. (The BSON specification, version 1.1.)
#[inline]
fn size(kind: ElementType, bytes: &[u8]) -> Option<usize> {
    match kind {
        ElementType::Null | ElementType::Undefined | ElementType::MinKey | ElementType::MaxKey => Some(0),
        ElementType::Boolean => Some(1),
        ElementType::Int32 => Some(4),
        ElementType::Double | ElementType::Int64 | ElementType::DateTime | ElementType::Timestamp => Some(8),
        ElementType::ObjectId => Some(12),
        ElementType::Decimal128 => Some(16),
        ElementType::String | ElementType::JavaScriptCode | ElementType::Symbol => text(bytes),
        ElementType::DbPointer => text(bytes)?.checked_add(12),
        ElementType::EmbeddedDocument | ElementType::Array => ended(bytes, length(bytes)?, 5),
        ElementType::Binary => length(bytes)?.checked_add(5),
        // Its own length, a string, and a document.
        ElementType::JavaScriptCodeWithScope => ended(bytes, length(bytes)?, 14),
        ElementType::RegularExpression => {
            let pattern = zero(bytes)? + 1;
            Some(pattern + zero(bytes.get(pattern..)?)? + 1)
        }
    }
}

/// A string with its length before it, which counts the zero after it.
fn text(bytes: &[u8]) -> Option<usize> {
    ended(bytes, length(bytes)?.checked_add(4)?, 5)
}

/// A length, where it is at least `least` and a zero stands at its end.
fn ended(bytes: &[u8], length: usize, least: usize) -> Option<usize> {
    (length >= least && *bytes.get(length - 1)? == 0).then_some(length)
}

fn length(bytes: &[u8]) -> Option<usize> {
    usize::try_from(i32::from_le_bytes(*bytes.first_chunk()?)).ok()
}

/// Where the first zero stands. Names are short, so eight bytes at once are most often all. (Of a zero byte,
/// and of none before it, the subtraction sets the highest bit anew.)
#[inline]
fn zero(bytes: &[u8]) -> Option<usize> {
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

    /// A field of each type, with names of many lengths.
    fn of_all_types() -> RawDocumentBuf {
        let regex = bson::Regex {
            pattern: bson::raw::cstr!("a.b").to_owned(),
            options: bson::raw::cstr!("i").to_owned(),
        };
        let code = bson::JavaScriptCodeWithScope { code: "f()".to_owned(), scope: doc! { "x": 1 } };
        RawDocumentBuf::try_from(doc! {
            "": 1.5, "1": "text", "22": { "a": 1 }, "333": [1, "two"], "4444": bson::Uuid::from_bytes([7; 16]),
            "55555": Bson::Undefined, "666666": bson::oid::ObjectId::from_bytes([1; 12]), "7777777": true,
            "88888888": bson::DateTime::from_millis(5), "999999999": Bson::Null,
            "aaaaaaaaaa": regex, "bbbbbbbbbbb": Bson::JavaScriptCode("g".into()),
            "cccccccccccc": Bson::Symbol("s".into()), "ddddddddddddd": code, "eeeeeeeeeeeeee": 7,
            "fffffffffffffff": Timestamp { time: 3, increment: 4 }, "gggggggggggggggg": 8_i64,
            "hhhhhhhhhhhhhhhhh": bson::Decimal128::from_bytes([2; 16]), "min": Bson::MinKey, "max": Bson::MaxKey,
        })
        .unwrap()
    }

    #[test]
    fn it_sees_what_the_bson_crate_sees() {
        let document = of_all_types();
        let mut count = 0;
        for (field, element) in Fields::of(&document).zip(document.iter_elements()) {
            let (field, element) = (field.unwrap(), element.unwrap());
            assert_eq!(field.name, element.key().as_str().as_bytes());
            assert_eq!(field.kind, element.element_type());
            assert_eq!(field.value.len(), element.size());
            if let Some(value) = field.value() {
                assert_eq!(value, element.value().unwrap());
            }
            count += 1;
        }
        assert_eq!(count, 20);
        assert_eq!(Fields::of(&document).count(), 20);
    }

    /// Whether all fields can be walked, by this and by the bson crate.
    fn whole(bytes: &[u8]) -> Option<(bool, bool)> {
        let document = RawDocument::from_bytes(bytes).ok()?;
        let ours = Fields::of(document).all(|field| field.is_ok());
        Some((ours, document.iter_elements().all(|element| element.is_ok())))
    }

    #[test]
    fn what_it_walks_the_bson_crate_walks_too() {
        let bytes = of_all_types().into_bytes();
        let mut broken = 0;
        for at in 0..bytes.len() {
            for value in [0, 1, 4, 5, 0x7f, 0x80, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] = value;
                let Some((ours, theirs)) = whole(&bytes) else { continue };
                // A name that is not UTF-8 is theirs to refuse.
                assert!(!ours || theirs || value >= 0x80, "byte {at} as {value}");
                broken += usize::from(!ours);
            }
        }
        assert!(broken > 100, "{broken} were found broken");
    }

    #[test]
    fn a_broken_field_is_the_last_and_says_where_it_stands() {
        let mut bytes = RawDocumentBuf::try_from(doc! { "a": 1, "b": "text", "c": 2 }).unwrap().into_bytes();
        bytes[14] = 100;
        let fields: Vec<_> = Fields::of(RawDocument::from_bytes(&bytes).unwrap()).collect();
        assert!(matches!(fields[..], [Ok(Field { name: b"a", .. }), Err(Broken(11))]), "{fields:?}");
    }
}
