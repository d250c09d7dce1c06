//! The `_id` of a document as text: the same text for what is the same `_id` to MongoDB, and another for any other.

use gtm_plugin::bson::{Bson, Decimal128};
use serde_json::Value;

/// Returns an ObjectId as its digits, a whole number as its digits, a text as it is, and anything else as canonical Extended JSON. A text that
/// reads like one of the others is put between quotes.
pub(crate) fn text(id: &Bson) -> String {
    match plainest(id.clone()) {
        Bson::ObjectId(id) => id.to_hex(),
        Bson::Int32(id) => id.to_string(),
        Bson::Int64(id) => id.to_string(),
        Bson::String(id) if reads_like_another(&id) => Value::from(id).to_string(),
        Bson::String(id) => id,
        other => other.into_canonical_extjson().to_string(),
    }
}

/// Whether this text is the id of what is not a text. One that is empty is taken for such, as an index takes no empty id.
fn reads_like_another(text: &str) -> bool {
    let is_object_id = text.len() == 24 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_number = text.parse::<i64>().is_ok_and(|number| number.to_string() == text);
    let is_json = text.starts_with(['{', '"']) || matches!(text, "" | "true" | "false" | "null");
    is_object_id || is_number || is_json
}

/// The same value for all that are equal to MongoDB: the int 1, the long 1, the double 1.0 and the decimal 1.00, in documents too.
fn plainest(value: Bson) -> Bson {
    match value {
        Bson::Int64(number) => whole(number),
        Bson::Double(number) => Exact::of_double(number)
            .map_or(Bson::Double(number), |exact| exact.whole().map_or(Bson::Double(number), whole)),
        Bson::Decimal128(number) => plainest_decimal(number),
        Bson::Symbol(text) => Bson::String(text),
        Bson::Array(values) => Bson::Array(values.into_iter().map(plainest).collect()),
        Bson::Document(document) => {
            Bson::Document(document.into_iter().map(|(name, value)| (name, plainest(value))).collect())
        }
        other => other,
    }
}

fn whole(number: i64) -> Bson {
    i32::try_from(number).map_or(Bson::Int64(number), Bson::Int32)
}

/// A decimal is the double that has exactly its value, if there is one: 0.5 is, 0.1 is not.
fn plainest_decimal(decimal: Decimal128) -> Bson {
    let text = decimal.to_string();
    let double = text.parse::<f64>().unwrap_or(f64::NAN);
    let Some(exact) = Exact::of(&text) else {
        // NaN, or an infinity: each is the same of both types.
        return Bson::Double(double);
    };
    if let Some(number) = exact.whole() {
        return whole(number);
    }
    if Exact::of_double(double).as_ref() == Some(&exact) {
        return Bson::Double(double);
    }
    exact.to_string().parse().map_or(Bson::Decimal128(decimal), Bson::Decimal128)
}

/// A finite number: its digits, without zeros at either end, and the power of ten of the last.
#[derive(Debug, PartialEq, Eq)]
struct Exact {
    negative: bool,
    digits: String,
    exponent: i64,
}

/// A double of the least size has so many decimal places.
const PLACES: usize = 1074;

impl Exact {
    fn of_double(number: f64) -> Option<Self> {
        number.is_finite().then(|| Self::of(&format!("{number:.PLACES$}"))).flatten()
    }

    /// None: the text is not a finite number.
    fn of(text: &str) -> Option<Self> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
        let (number, exponent) = text.split_once(['E', 'e']).unwrap_or((text, "0"));
        let (before, after) = number.split_once('.').unwrap_or((number, ""));
        let digits = format!("{before}{after}");
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let exponent = exponent.parse::<i64>().ok()? - i64::try_from(after.len()).ok()?;
        let digits = digits.trim_start_matches('0');
        let trimmed = digits.trim_end_matches('0');
        if trimmed.is_empty() {
            return Some(Self { negative: false, digits: "0".to_owned(), exponent: 0 });
        }
        let zeros = i64::try_from(digits.len() - trimmed.len()).ok()?;
        Some(Self { negative, digits: trimmed.to_owned(), exponent: exponent + zeros })
    }

    /// Its value, if it is a whole number that a long can hold.
    fn whole(&self) -> Option<i64> {
        // A long has up to 19 digits.
        let zeros = usize::try_from(self.exponent).ok().filter(|zeros| *zeros < 19)?;
        let sign = if self.negative { "-" } else { "" };
        format!("{sign}{}{}", self.digits, "0".repeat(zeros)).parse().ok()
    }
}

impl std::fmt::Display for Exact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        write!(f, "{sign}{}E{}", self.digits, self.exponent)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use gtm_plugin::bson::{DateTime, Timestamp, doc, oid::ObjectId};

    use super::*;

    fn decimal(text: &str) -> Bson {
        Bson::Decimal128(text.parse().unwrap())
    }

    #[test]
    fn what_is_one_id_to_mongodb_is_one_text() {
        for (text, ids) in [
            ("1", vec![1.into(), 1_i64.into(), 1.0.into(), decimal("1"), decimal("1.00"), decimal("10E-1")]),
            ("0", vec![0.into(), 0.0.into(), (-0.0).into(), decimal("-0"), decimal("0E+3")]),
            ("4294967296", vec![4_294_967_296_i64.into(), 4_294_967_296.0.into(), decimal("4294967296.0")]),
            ("-9223372036854775808", vec![i64::MIN.into(), (-9_223_372_036_854_775_808.0).into()]),
            (r#"{"$numberDouble":"0.5"}"#, vec![0.5.into(), decimal("0.50")]),
            (r#"{"$numberDouble":"NaN"}"#, vec![f64::NAN.into(), decimal("NaN")]),
            (r#"{"$numberDouble":"-Infinity"}"#, vec![f64::NEG_INFINITY.into(), decimal("-Infinity")]),
            (
                r#"{"a":{"$numberInt":"1"},"b":[{"$numberInt":"2"}]}"#,
                vec![doc! { "a": 1_i64, "b": [2.0] }.into(), doc! { "a": decimal("1.0"), "b": [2] }.into()],
            ),
            ("x", vec!["x".into(), Bson::Symbol("x".into())]),
            (r#"{"$numberDecimal":"1E+6000"}"#, vec![decimal("1E+6000"), decimal("10E+5999")]),
        ] {
            assert!(
                ids.iter().all(|id| super::text(id) == text),
                "{text}: {:?}",
                ids.iter().map(super::text).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn ids_that_read_alike_are_different_texts() {
        let oid = ObjectId::parse_str("6553f1000000000000000001").unwrap();
        let ids: Vec<Bson> = vec![
            1.into(),
            "1".into(),
            "\"1\"".into(),
            "01".into(),
            "+1".into(),
            "1.0".into(),
            oid.into(),
            oid.to_hex().into(),
            oid.to_hex().to_uppercase().into(),
            true.into(),
            "true".into(),
            Bson::Null,
            "null".into(),
            "".into(),
            "\"\"".into(),
            0.1.into(),
            decimal("0.1"),
            "0.1".into(),
            r#"{"$numberDouble":"0.1"}"#.into(),
            9_007_199_254_740_993_i64.into(),
            9_007_199_254_740_992.0.into(),
            doc! { "a": 1, "b": 2 }.into(),
            doc! { "b": 2, "a": 1 }.into(),
            doc! { "a": "1", "b": 2 }.into(),
            DateTime::from_millis(1).into(),
            Bson::Timestamp(Timestamp { time: 0, increment: 1 }),
            Bson::MinKey,
            Bson::MaxKey,
            1e300.into(),
            decimal("1E300"),
            f64::MIN_POSITIVE.into(),
            5e-324.into(),
        ];
        let mut texts = BTreeMap::new();
        for id in &ids {
            if let Some(other) = texts.insert(super::text(id), id) {
                panic!("{other:?} and {id:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_mistaken_stays_as_it_was() {
        for text in ["a/b", "Köln", "2026-01-31", "007", "-", "550e8400-e29b-41d4-a716-446655440000"] {
            assert_eq!(super::text(&text.into()), text);
        }
    }
}
