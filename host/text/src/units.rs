//! Parses counts, sizes and times from settings, and explains values that are ambiguous.

use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Deserializer, de};

/// Deserializes an optional count of at least 1.
///
/// # Errors
/// The value is 0 or not a number.
pub fn at_least_one<'de, D, N>(number: D) -> Result<Option<N>, D::Error>
where
    D: Deserializer<'de>,
    N: Deserialize<'de> + Default + PartialEq,
{
    positive(number).map(Some)
}

/// Deserializes a count of at least 1 for a key that has a default.
///
/// # Errors
/// The value is 0 or not a number.
pub fn positive<'de, D, N>(number: D) -> Result<N, D::Error>
where
    D: Deserializer<'de>,
    N: Deserialize<'de> + Default + PartialEq,
{
    let number = N::deserialize(number)?;
    match number == N::default() {
        true => Err(de::Error::custom("0 is too few: write 1 or more, or leave the key out for the default")),
        false => Ok(number),
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a size in quotes with its unit, like \"256 MiB\"")]
enum Written {
    Number(u64),
    Text(String),
}

impl Written {
    fn size(&self) -> Result<ByteSize, String> {
        match self {
            Self::Number(number) => Err(without_unit(&number.to_string())),
            Self::Text(text) => parse_size_or_zero(text),
        }
    }
}

/// Deserializes a size above zero with its unit. A number alone is refused: it would mean bytes, which nobody intends.
///
/// # Errors
/// The value is not a size, has no unit, or is zero.
pub fn size<'de, D: Deserializer<'de>>(text: D) -> Result<ByteSize, D::Error> {
    Written::deserialize(text)?.size().and_then(not_zero_bytes).map_err(de::Error::custom)
}

/// Deserializes a size with its unit, or 0, which means any size.
///
/// # Errors
/// The value is not a size, or has no unit and is not 0.
pub fn size_or_zero<'de, D: Deserializer<'de>>(text: D) -> Result<ByteSize, D::Error> {
    match Written::deserialize(text)? {
        Written::Number(0) => Ok(ByteSize::b(0)),
        written => written.size().map_err(de::Error::custom),
    }
}

/// Deserializes an optional size above zero with its unit. See [`size`].
///
/// # Errors
/// The value is not a size, has no unit, or is zero.
pub fn maybe_size<'de, D: Deserializer<'de>>(text: D) -> Result<Option<ByteSize>, D::Error> {
    size(text).map(Some)
}

/// Deserializes an optional size with its unit, or 0, which means any size. See [`size_or_zero`].
///
/// # Errors
/// The value is not a size, or has no unit and is not 0.
pub fn maybe_size_or_zero<'de, D: Deserializer<'de>>(text: D) -> Result<Option<ByteSize>, D::Error> {
    size_or_zero(text).map(Some)
}

/// Deserializes a time above zero with its unit.
///
/// # Errors
/// The value is not a time, has no unit, or is zero.
pub fn time<'de, D: Deserializer<'de>>(text: D) -> Result<Duration, D::Error> {
    humantime_serde::deserialize(text).and_then(|time| not_zero_time(time).map_err(de::Error::custom))
}

/// Deserializes an optional time above zero with its unit.
///
/// # Errors
/// The value is not a time, has no unit, or is zero.
pub fn maybe_time<'de, D: Deserializer<'de>>(text: D) -> Result<Option<Duration>, D::Error> {
    time(text).map(Some)
}

/// Parses a size above zero with its unit, such as `256MiB`.
///
/// # Errors
/// The text is not a size, has no unit, or is zero.
pub fn parse_size(text: &str) -> Result<ByteSize, String> {
    parse_size_or_zero(text).and_then(not_zero_bytes)
}

/// Parses a size with its unit. Zero is allowed.
///
/// # Errors
/// The text is not a size, or has no unit.
pub fn parse_size_or_zero(text: &str) -> Result<ByteSize, String> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(without_unit(text));
    }
    text.parse().map_err(|_| format!("\"{text}\" is not a size: write a number and a unit, like \"256 MiB\""))
}

/// Parses a time with its unit, such as `30s`. Zero is allowed.
///
/// # Errors
/// The text is not a time, or has no unit.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text.trim())
        .map_err(|_| format!("\"{text}\" is not a time: write a number and a unit, like 30s, 500ms or 2m"))
}

/// Parses a time above zero with its unit, for settings that would never take effect, or always fail, with no time at
/// all.
///
/// # Errors
/// The text is not a time, has no unit, or is zero.
pub fn parse_time_above_zero(text: &str) -> Result<Duration, String> {
    parse_time(text).and_then(not_zero_time)
}

fn not_zero_time(time: Duration) -> Result<Duration, String> {
    match time.is_zero() {
        true => Err("0s is too short: write a longer time, or leave it out for the default".to_owned()),
        false => Ok(time),
    }
}

fn not_zero_bytes(size: ByteSize) -> Result<ByteSize, String> {
    match size.as_u64() {
        0 => Err("0 B is too small: write a larger size, or leave it out for the default".to_owned()),
        _ => Ok(size),
    }
}

fn without_unit(number: &str) -> String {
    format!("{number} has no unit: write \"{number} MiB\", or B, KiB or GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        assert_eq!(parse_time("1m 30s"), Ok(Duration::from_secs(90)));
        for none in ["5x", "5", "", "-1s", "99999999999999999999y"] {
            let said = format!("\"{none}\" is not a time: write a number and a unit, like 30s, 500ms or 2m");
            assert_eq!(parse_time(none), Err(said));
        }
    }

    #[test]
    fn a_size_has_a_unit() {
        assert_eq!(parse_size("256 MiB"), Ok(ByteSize::mib(256)));
        assert_eq!(parse_size("1B"), Ok(ByteSize::b(1)));
        assert!(parse_size("256").unwrap_err().contains("256 has no unit: write \"256 MiB\""));
        assert!(parse_size("much").unwrap_err().contains("\"much\" is not a size"));
    }
}
