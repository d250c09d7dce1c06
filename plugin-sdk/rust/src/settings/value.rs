//! The types of settings in Rust.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use super::SettingType;

/// A type that the value of a setting can have.
pub trait SettingValue: Sized {
    /// Whether a setting of this type must have a value.
    const IS_REQUIRED: bool = true;

    /// Returns the type as the host knows it.
    fn setting_type() -> SettingType;

    /// Reads the value as the host passes it. None: it has no value.
    ///
    /// # Errors
    /// What is wrong with it: `is "x", and it must be a whole number`.
    fn parse(value: Option<&str>) -> Result<Self, String>;
}

/// A number of bytes, which a user writes with a unit: `512 KiB`, `1 MiB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

fn number<T: FromStr>(value: Option<&str>, expected: impl Display) -> Result<T, String> {
    let value = value.ok_or("is missing")?;
    value.parse().map_err(|_| format!("is {value:?}, and it must be {expected}"))
}

impl SettingValue for String {
    fn setting_type() -> SettingType {
        SettingType::Text
    }

    fn parse(value: Option<&str>) -> Result<Self, String> {
        Ok(value.ok_or("is missing")?.to_owned())
    }
}

impl SettingValue for bool {
    fn setting_type() -> SettingType {
        SettingType::Boolean
    }

    fn parse(value: Option<&str>) -> Result<Self, String> {
        number(value, "true or false")
    }
}

impl SettingValue for f64 {
    fn setting_type() -> SettingType {
        SettingType::Number
    }

    fn parse(value: Option<&str>) -> Result<Self, String> {
        number(value, "a number")
    }
}

macro_rules! integers {
    ($($integer:ty),+) => {
        $(impl SettingValue for $integer {
            fn setting_type() -> SettingType {
                SettingType::Integer
            }

            fn parse(value: Option<&str>) -> Result<Self, String> {
                let range = format_args!("a whole number from {} to {}", <$integer>::MIN, <$integer>::MAX);
                number(value, range)
            }
        })+
    };
}
integers!(i64, u64, i32, u32, u16, usize);

impl SettingValue for Duration {
    fn setting_type() -> SettingType {
        SettingType::Duration
    }

    fn parse(value: Option<&str>) -> Result<Self, String> {
        number(value, "a number of milliseconds").map(Self::from_millis)
    }
}

impl SettingValue for ByteSize {
    fn setting_type() -> SettingType {
        SettingType::Size
    }

    fn parse(value: Option<&str>) -> Result<Self, String> {
        number(value, "a number of bytes").map(Self)
    }
}

impl SettingValue for Vec<String> {
    const IS_REQUIRED: bool = false;

    fn setting_type() -> SettingType {
        SettingType::Texts
    }

    fn parse(value: Option<&str>) -> Result<Self, String> {
        let texts = value.unwrap_or_default().split(',').map(str::trim);
        Ok(texts.filter(|text| !text.is_empty()).map(str::to_owned).collect())
    }
}

impl<T: SettingValue> SettingValue for Option<T> {
    const IS_REQUIRED: bool = false;

    fn setting_type() -> SettingType {
        T::setting_type()
    }

    fn parse(value: Option<&str>) -> Result<Self, String> {
        value.map(|value| T::parse(Some(value))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_types() {
        assert_eq!(u16::parse(Some("80")), Ok(80));
        assert_eq!(
            u16::parse(Some("-1")).unwrap_err(),
            "is \"-1\", and it must be a whole number from 0 to 65535"
        );
        assert_eq!(Duration::parse(Some("1500")), Ok(Duration::from_millis(1500)));
        assert_eq!(Vec::parse(Some("a, b,")), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(Option::<bool>::parse(None), Ok(None));
        assert_eq!(String::parse(None).unwrap_err(), "is missing");
    }
}
