//! Numbers, compared across types.

use std::io::Write;

use bson::RawBsonRef;
use bson::spec::ElementType;
use gtm_oplog::Field;

/// A number that is equal to those that MongoDB considers equal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    /// A whole number of 64 bits.
    Whole(i64),
    /// Any other number, as the nearest double. All NaNs are equal.
    Other(f64),
}

/// 2^63, the first number over the range of `i64`.
const BEYOND: f64 = 9_223_372_036_854_775_808.0;

impl Number {
    /// Reads a field that is a number.
    pub(super) fn of(field: &Field<'_>) -> Option<Self> {
        if field.kind == ElementType::Decimal128 as u8 {
            return field.value.first_chunk().map(|bytes| decimal(u128::from_le_bytes(*bytes)));
        }
        match field.number()? {
            RawBsonRef::Int32(number) => Some(Self::Whole(number.into())),
            RawBsonRef::Int64(number) => Some(Self::Whole(number)),
            RawBsonRef::Double(number) => Some(double(number)),
            _ => None,
        }
    }
}

fn double(number: f64) -> Number {
    if number.is_nan() {
        return Number::Other(f64::NAN);
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is whole, and in the bounds")]
    match number.fract() == 0.0 && (-BEYOND..BEYOND).contains(&number) {
        true => Number::Whole(number as i64),
        false => Number::Other(number),
    }
}

/// IEEE 754-2008 decimal128, in its binary encoding: a sign, 14 bits of exponent and 113 of coefficient.
fn decimal(bits: u128) -> Number {
    let negative = bits >> 127 == 1;
    // The five bits after the sign mark infinity and NaN; the first two, a coefficient that is too large and counts as 0.
    match (bits >> 122) & 0b1_1111 {
        0b1_1111 => return Number::Other(f64::NAN),
        0b1_1110 => return Number::Other(if negative { f64::NEG_INFINITY } else { f64::INFINITY }),
        0b1_1000.. => return Number::Whole(0),
        _ => {}
    }
    let mut coefficient = bits & ((1 << 113) - 1);
    let mut exponent = i32::try_from((bits >> 113) & 0x3fff).unwrap_or_default() - 6176;
    if coefficient == 0 {
        return Number::Whole(0);
    }
    while exponent < 0 && coefficient.is_multiple_of(10) {
        coefficient /= 10;
        exponent += 1;
    }
    let power = u32::try_from(exponent).ok().and_then(|exponent| 10_u128.checked_pow(exponent));
    let whole = power.and_then(|power| coefficient.checked_mul(power)?.try_into().ok());
    if let Some(whole) =
        whole.and_then(|whole: i128| i64::try_from(if negative { -whole } else { whole }).ok())
    {
        return Number::Whole(whole);
    }
    // 34 digits, an exponent of five characters, and a sign.
    let mut text = [0; 48];
    let mut rest = &mut text[..];
    let sign = if negative { "-" } else { "" };
    let written = write!(rest, "{sign}{coefficient}e{exponent}").is_ok();
    let left = rest.len();
    let text = text.get(..text.len() - left).and_then(|text| str::from_utf8(text).ok());
    double(text.filter(|_| written).and_then(|text| text.parse().ok()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use bson::{Bson, Decimal128, RawDocumentBuf, doc};
    use gtm_oplog::Fields;

    use super::*;

    fn number(value: impl Into<Bson>) -> Option<Number> {
        let document = RawDocumentBuf::try_from(doc! { "_id": value.into() }).unwrap();
        Number::of(&Fields::new(&document).next().unwrap().unwrap())
    }

    #[test]
    fn a_number_is_the_same_in_every_type() {
        let decimal = |text: &str| number(text.parse::<Decimal128>().unwrap());
        for same in [number(7), number(7_i64), number(7.0), decimal("7"), decimal("7.00"), decimal("70E-1")] {
            assert_eq!(same, Some(Number::Whole(7)));
        }
        for zero in [number(0), number(-0.0), decimal("0"), decimal("-0"), decimal("0E+6000")] {
            assert_eq!(zero, Some(Number::Whole(0)));
        }
        assert_eq!(decimal("-12E+3"), number(-12_000));
        assert_eq!(decimal("0.5"), number(0.5));
        assert_eq!(decimal("-2.5"), number(-2.5));
        assert_eq!(decimal("9007199254740993"), Some(Number::Whole(9_007_199_254_740_993)));
        assert_eq!(decimal("-9223372036854775808"), number(i64::MIN));
        assert_eq!(number(-BEYOND), number(i64::MIN));
        // More than 64 bits, and as many digits as possible.
        assert_eq!(decimal("18446744073709551616"), number(2.0 * BEYOND));
        assert_eq!(decimal("9.999999999999999999999999999999999E+6144"), Some(Number::Other(f64::INFINITY)));
        assert_eq!(decimal("Infinity"), number(f64::INFINITY));
        assert_eq!(decimal("-Infinity"), number(f64::NEG_INFINITY));
        let bits = |number| match number {
            Some(Number::Other(number)) => f64::to_bits(number),
            other => panic!("{other:?}"),
        };
        assert_eq!(bits(decimal("NaN")), bits(number(f64::from_bits(f64::NAN.to_bits() | 1))));
        assert_ne!(number(1), number(1.5));
        assert_eq!(number("1"), None);
    }
}
