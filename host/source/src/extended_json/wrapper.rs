//! Wrappers: objects of Extended JSON that stand for a value of one type, such as `{"$oid": "…"}`.
//!
//! A user's document may look like a wrapper. It is then written as `{"$document": {…}}`, and parsed as a document again: the
//! fields of the inner object are fields, whatever their names are.

use bson::oid::ObjectId;
use bson::raw::cstr;
use bson::spec::BinarySubtype;
use bson::{Binary, DateTime, RawBson, RawBsonRef, RawDocument, RawDocumentBuf, Regex, Timestamp, Uuid};
use gtm_oplog::Fields;
use gtm_oplog::value::integer;

/// The name of the field whose value is a document, whatever its fields are.
pub(super) const DOCUMENT: &str = "$document";
/// The names of the fields with code, and with the scope that may follow it.
pub(super) const CODE: &str = "$code";
pub(super) const SCOPE: &str = "$scope";

/// The names of fields that make an object a wrapper.
const WRAPPER_NAMES: [&str; 17] = [
    "$oid",
    "$date",
    "$numberLong",
    "$numberInt",
    "$numberDouble",
    "$numberDecimal",
    "$binary",
    "$uuid",
    "$timestamp",
    "$regularExpression",
    CODE,
    "$symbol",
    "$undefined",
    "$minKey",
    "$maxKey",
    "$dbPointer",
    DOCUMENT,
];

/// Returns whether a field of this name makes an object a wrapper.
pub(super) fn is_wrapper(name: &[u8]) -> bool {
    name.first() == Some(&b'$') && WRAPPER_NAMES.iter().any(|wrapper| wrapper.as_bytes() == name)
}

/// Returns whether a document would be parsed as another value, or not at all, if it were written without `$document`.
pub(super) fn is_ambiguous(document: &RawDocument) -> bool {
    Fields::new(document).map_while(Result::ok).any(|field| is_wrapper(field.name))
}

/// Returns the type and the bytes of the value that a wrapper stands for. `object` has the fields of the wrapper. None: it lacks the
/// fields or values that its first field requires.
pub(super) fn value(object: &RawDocument) -> Option<(u8, Vec<u8>)> {
    let mut fields = object.iter().map_while(Result::ok);
    let (name, value) = fields.next()?;
    let (other, more) = (fields.next(), fields.next());
    let value = match (name.as_str(), value, other, more) {
        // The first version of Extended JSON.
        ("$binary", RawBsonRef::String(base64), Some((subtype, RawBsonRef::String(digits))), None)
            if subtype == "$type" =>
        {
            binary(base64, digits)?
        }
        ("$dbPointer", value, None, None) => return pointer(value.as_document()?),
        (name, value, None, None) => single(name, value)?,
        _ => return None,
    };
    // The value is cut out of a document with one field.
    let mut one = RawDocumentBuf::new();
    one.append(cstr!(""), value);
    let bytes = one.as_bytes();
    Some((*bytes.get(4)?, bytes.get(6..bytes.len().checked_sub(1)?)?.to_vec()))
}

fn single(name: &str, value: RawBsonRef<'_>) -> Option<RawBson> {
    let text = || value.as_str();
    Some(match (name, value) {
        ("$oid", RawBsonRef::String(digits)) => RawBson::ObjectId(ObjectId::parse_str(digits).ok()?),
        ("$date", RawBsonRef::String(text)) => RawBson::DateTime(date(text)?),
        ("$date", RawBsonRef::Int32(_) | RawBsonRef::Int64(_)) => {
            RawBson::DateTime(DateTime::from_millis(integer(value)?))
        }
        // Some tools write the number itself.
        ("$numberLong", RawBsonRef::Int32(_) | RawBsonRef::Int64(_)) => RawBson::Int64(integer(value)?),
        ("$numberLong", _) => RawBson::Int64(text()?.parse().ok()?),
        ("$numberInt", RawBsonRef::Int32(number)) => RawBson::Int32(number),
        ("$numberInt", _) => RawBson::Int32(text()?.parse().ok()?),
        ("$numberDouble", RawBsonRef::Double(number)) => RawBson::Double(number),
        ("$numberDouble", RawBsonRef::Int32(number)) => RawBson::Double(number.into()),
        ("$numberDouble", _) => RawBson::Double(text()?.parse().ok()?),
        ("$numberDecimal", _) => RawBson::Decimal128(text()?.parse().ok()?),
        ("$binary", RawBsonRef::Document(body)) => {
            let [base64, digits] = two(body, ["base64", "subType"])?;
            binary(base64.as_str()?, digits.as_str()?)?
        }
        ("$uuid", _) => {
            let bytes = Uuid::parse_str(text()?).ok()?.bytes().to_vec();
            RawBson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes })
        }
        ("$timestamp", RawBsonRef::Document(body)) => {
            let [time, increment] = two(body, ["t", "i"])?.map(|part| u32::try_from(integer(part)?).ok());
            RawBson::Timestamp(Timestamp { time: time?, increment: increment? })
        }
        // As a driver may write it: both parts in one number.
        ("$timestamp", RawBsonRef::String(digits)) => {
            let both: u64 = digits.parse().ok()?;
            let [time, increment] = [both >> 32, both & 0xffff_ffff].map(u32::try_from);
            RawBson::Timestamp(Timestamp { time: time.ok()?, increment: increment.ok()? })
        }
        ("$regularExpression", RawBsonRef::Document(body)) => {
            let [pattern, options] = two(body, ["pattern", "options"])?;
            let mut options: Vec<_> = options.as_str()?.chars().collect();
            options.sort_unstable();
            RawBson::RegularExpression(Regex {
                pattern: pattern.as_str()?.try_into().ok()?,
                options: String::from_iter(options).try_into().ok()?,
            })
        }
        ("$symbol", _) => RawBson::Symbol(text()?.to_owned()),
        ("$undefined", RawBsonRef::Boolean(true)) => RawBson::Undefined,
        ("$minKey", RawBsonRef::Int32(1)) => RawBson::MinKey,
        ("$maxKey", RawBsonRef::Int32(1)) => RawBson::MaxKey,
        _ => return None,
    })
}

/// The values of exactly these two fields, in either order.
fn two<'a>(body: &'a RawDocument, names: [&str; 2]) -> Option<[RawBsonRef<'a>; 2]> {
    let [first, second] = names.map(|name| body.get(name).ok()?);
    let count = body.iter().count();
    (count == 2).then_some([first?, second?])
}

fn binary(base64: &str, digits: &str) -> Option<RawBson> {
    let is_subtype = (1..=2).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let subtype = u8::from_str_radix(digits, 16).ok().filter(|_| is_subtype)?;
    Some(RawBson::Binary(Binary::from_base64(base64, BinarySubtype::from(subtype)).ok()?))
}

/// The library makes none.
fn pointer(body: &RawDocument) -> Option<(u8, Vec<u8>)> {
    let [namespace, id] = two(body, ["$ref", "$id"])?;
    let namespace = namespace.as_str()?;
    let mut bytes = i32::try_from(namespace.len() + 1).ok()?.to_le_bytes().to_vec();
    bytes.extend_from_slice(namespace.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(&id.as_object_id()?.bytes());
    Some((bson::spec::ElementType::DbPointer as u8, bytes))
}

/// A date as RFC 3339 has it, or with the offset `+0000` or `+00` of ISO 8601, as old tools write it.
fn date(text: &str) -> Option<DateTime> {
    let offset = text.rfind(['+', '-']).filter(|at| *at > "2023-11-14".len());
    let completed = match offset.and_then(|at| text.split_at_checked(at + 1)) {
        Some((before, digits)) if digits.bytes().all(|digit| digit.is_ascii_digit()) => match digits.len() {
            4 => digits.split_at_checked(2).map(|(hours, minutes)| format!("{before}{hours}:{minutes}")),
            2 => Some(format!("{text}:00")),
            _ => None,
        },
        _ => None,
    };
    DateTime::parse_rfc3339_str(completed.as_deref().unwrap_or(text)).ok()
}
