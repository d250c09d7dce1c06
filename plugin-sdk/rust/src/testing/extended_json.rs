//! Extended JSON as the host writes it, for plugins that run natively.

use bson::{Bson, RawBsonRef, RawDocument, Timestamp};

use crate::bindings::gtm::plugin::types::Error;

/// The first date that has more than four digits of a year: 10000-01-01.
const FAR: i64 = 253_402_300_800_000;

pub(crate) fn encode(document: &[u8]) -> Result<String, Error> {
    document_to_json(document, &|value| value.into_relaxed_extjson().to_string()).map_err(Error::Invalid)
}

pub(crate) fn encode_canonical(document: &[u8]) -> Result<String, Error> {
    document_to_json(document, &|value| value.into_canonical_extjson().to_string()).map_err(Error::Invalid)
}

type Scalar<'a> = &'a dyn Fn(Bson) -> String;

fn document_to_json(document: &[u8], scalar: Scalar<'_>) -> Result<String, String> {
    Ok(format!("{{{}}}", elements(document, true, scalar)?))
}

fn elements(document: &[u8], keyed: bool, scalar: Scalar<'_>) -> Result<String, String> {
    let document = RawDocument::from_bytes(document).map_err(|error| error.to_string())?;
    let mut all = Vec::new();
    for element in document {
        let (name, value) = element.map_err(|error| error.to_string())?;
        let json = match value {
            RawBsonRef::Document(inner) => document_to_json(inner.as_bytes(), scalar)?,
            RawBsonRef::Array(inner) => format!("[{}]", elements(inner.as_bytes(), false, scalar)?),
            value => value_to_json(
                value.try_into().map_err(|error: bson::error::Error| error.to_string())?,
                scalar,
            ),
        };
        all.push(match keyed {
            true => format!("{}:{json}", scalar(Bson::String(name.as_str().to_owned()))),
            false => json,
        });
    }
    Ok(all.join(","))
}

fn value_to_json(value: Bson, scalar: Scalar<'_>) -> String {
    match value {
        Bson::DateTime(date) => {
            let millis = date.timestamp_millis();
            let seconds = bson::DateTime::from_millis(millis - millis.rem_euclid(1000));
            let is_text = scalar(Bson::Int32(1)) == "1" && (0..FAR).contains(&millis);
            match seconds.try_to_rfc3339_string() {
                Ok(text) if is_text => {
                    let fraction = millis.rem_euclid(1000);
                    let end = if fraction == 0 { "Z".to_owned() } else { format!(".{fraction:03}Z") };
                    format!("{{\"$date\":\"{}{end}\"}}", text.trim_end_matches('Z'))
                }
                _ => format!("{{\"$date\":{{\"$numberLong\":\"{millis}\"}}}}"),
            }
        }
        Bson::Timestamp(Timestamp { time, increment }) => {
            format!("{{\"$timestamp\":{{\"t\":{time},\"i\":{increment}}}}}")
        }
        value => scalar(value),
    }
}
