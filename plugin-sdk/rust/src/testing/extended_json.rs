//! Extended JSON as the host writes it, for plugins that run natively.

use bson::{Bson, RawBsonRef, RawDocument, Timestamp};

use crate::bindings::gtm::plugin::types::Error;

/// The first date that has more than four digits of a year: 10000-01-01.
const FAR: i64 = 253_402_300_800_000;

/// The names of fields that make a document look like another value, so that it is written as `{"$document": …}`.
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
    "$code",
    "$symbol",
    "$undefined",
    "$minKey",
    "$maxKey",
    "$dbPointer",
    "$document",
];

/// The form of numbers and dates.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Relaxed,
    Canonical,
}

pub(crate) fn encode(document: &[u8]) -> Result<String, Error> {
    written(document, Form::Relaxed)
}

pub(crate) fn encode_canonical(document: &[u8]) -> Result<String, Error> {
    written(document, Form::Canonical)
}

fn written(document: &[u8], form: Form) -> Result<String, Error> {
    let document = RawDocument::from_bytes(document).and_then(|document| document_to_json(document, form));
    document.map_err(|error| Error::Invalid(error.to_string()))
}

fn document_to_json(document: &RawDocument, form: Form) -> bson::error::Result<String> {
    let is_ambiguous =
        document.iter().any(|element| element.is_ok_and(|(name, _)| WRAPPER_NAMES.contains(&name.as_str())));
    let object = format!("{{{}}}", elements(document, true, form)?);
    Ok(if is_ambiguous { format!("{{\"$document\":{object}}}") } else { object })
}

fn elements(document: &RawDocument, is_keyed: bool, form: Form) -> bson::error::Result<String> {
    let mut all = Vec::new();
    for element in document {
        let (name, value) = element?;
        let json = value_to_json(value, form)?;
        all.push(if is_keyed { format!("{}:{json}", text(name.as_str())) } else { json });
    }
    Ok(all.join(","))
}

fn text(text: &str) -> String {
    Bson::String(text.to_owned()).into_relaxed_extjson().to_string()
}

fn value_to_json(value: RawBsonRef<'_>, form: Form) -> bson::error::Result<String> {
    Ok(match value {
        RawBsonRef::Document(inner) => document_to_json(inner, form)?,
        RawBsonRef::Array(inner) => {
            format!("[{}]", elements(RawDocument::from_bytes(inner.as_bytes())?, false, form)?)
        }
        RawBsonRef::JavaScriptCodeWithScope(code) => {
            format!("{{\"$code\":{},\"$scope\":{}}}", text(code.code), document_to_json(code.scope, form)?)
        }
        // With as few digits as distinguish it from all other doubles.
        RawBsonRef::Double(number) if form == Form::Canonical && number.is_finite() => {
            format!("{{\"$numberDouble\":\"{number:?}\"}}")
        }
        RawBsonRef::DateTime(date) => date_to_json(date.timestamp_millis(), form),
        RawBsonRef::Timestamp(Timestamp { time, increment }) => {
            format!("{{\"$timestamp\":{{\"t\":{time},\"i\":{increment}}}}}")
        }
        value => match (Bson::try_from(value)?, form) {
            (value, Form::Relaxed) => value.into_relaxed_extjson().to_string(),
            (value, Form::Canonical) => value.into_canonical_extjson().to_string(),
        },
    })
}

fn date_to_json(millis: i64, form: Form) -> String {
    let seconds = bson::DateTime::from_millis(millis.saturating_sub(millis.rem_euclid(1000)));
    let is_text = form == Form::Relaxed && (0..FAR).contains(&millis);
    match seconds.try_to_rfc3339_string() {
        Ok(text) if is_text => {
            let fraction = millis.rem_euclid(1000);
            let end = if fraction == 0 { "Z".to_owned() } else { format!(".{fraction:03}Z") };
            format!("{{\"$date\":\"{}{end}\"}}", text.trim_end_matches('Z'))
        }
        _ => format!("{{\"$date\":{{\"$numberLong\":\"{millis}\"}}}}"),
    }
}
