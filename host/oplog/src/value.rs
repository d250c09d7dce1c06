//! Converts BSON values to the type that they should have. A value of another type counts as missing.

use bson::{RawBsonRef, RawDocument};

pub(super) fn string(value: RawBsonRef<'_>) -> Option<&str> {
    match value {
        RawBsonRef::String(string) => Some(string),
        _ => None,
    }
}

pub(super) fn subdocument(value: RawBsonRef<'_>) -> Option<&RawDocument> {
    match value {
        RawBsonRef::Document(document) => Some(document),
        _ => None,
    }
}

/// Returns a whole number of any numeric type but decimal. Servers and tools differ in the width of their numbers.
pub fn integer(value: RawBsonRef<'_>) -> Option<i64> {
    match value {
        RawBsonRef::Int32(number) => Some(number.into()),
        RawBsonRef::Int64(number) => Some(number),
        #[expect(clippy::cast_possible_truncation, reason = "a whole number by then")]
        RawBsonRef::Double(number) if number.fract() == 0.0 => Some(number as i64),
        _ => None,
    }
}

/// Returns a date in milliseconds since 1970-01-01 UTC. None: the value is not a date, or is before 1970.
pub fn milliseconds(value: RawBsonRef<'_>) -> Option<u64> {
    u64::try_from(value.as_datetime()?.timestamp_millis()).ok()
}
