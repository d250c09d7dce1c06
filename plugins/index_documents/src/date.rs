//! Dates as text.

use gtm_plugin::bson::DateTime;

const DAY: i64 = 86_400_000;
/// The first moments of the years 0 and 10000.
const FOUR_DIGITS: std::ops::Range<i64> = -62_167_219_200_000..253_402_300_800_000;

/// A date by ISO 8601. None: its year has not four digits.
pub(crate) fn text(at: DateTime) -> Option<String> {
    FOUR_DIGITS.contains(&at.timestamp_millis()).then(|| at.try_to_rfc3339_string().ok()).flatten()
}

/// A date by ISO 8601, with a sign before the year, as it is written where it has not four digits: `+10000-01-01T00:00:00Z`.
pub(crate) fn signed(at: DateTime) -> String {
    let millis = at.timestamp_millis();
    let (year, month, day) = civil(millis.div_euclid(DAY));
    let time = millis.rem_euclid(DAY);
    let (hours, minutes, seconds) = (time / 3_600_000, time / 60_000 % 60, time / 1000 % 60);
    let fraction = match time % 1000 {
        0 => String::new(),
        fraction => format!(".{fraction:03}"),
    };
    let sign = if year < 0 { '-' } else { '+' };
    format!("{sign}{:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}{fraction}Z", year.abs())
}

/// Year, month and day, by the days since 1970-01-01 (Howard Hinnant's `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    // From March of the year 0 on, in eras of 400 years.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_year_of_other_than_four_digits_has_a_sign() {
        let far = |millis| signed(DateTime::from_millis(millis));
        assert_eq!(far(253_402_300_800_000), "+10000-01-01T00:00:00Z");
        // The last that JavaScript has.
        assert_eq!(far(8_640_000_000_000_000), "+275760-09-13T00:00:00Z");
        assert_eq!(far(-62_167_219_200_001), "-0001-12-31T23:59:59.999Z");
        // The last and the first that BSON has, as Java's Instant prints them.
        assert_eq!(far(i64::MAX), "+292278994-08-17T07:12:55.807Z");
        assert_eq!(far(i64::MIN), "-292275055-05-16T16:47:04.192Z");
    }

    #[test]
    fn a_year_of_four_digits_is_as_it_always_was() {
        let text = |millis| text(DateTime::from_millis(millis));
        assert_eq!(text(-62_167_219_200_000).as_deref(), Some("0000-01-01T00:00:00Z"));
        assert_eq!(text(253_402_300_799_999).as_deref(), Some("9999-12-31T23:59:59.999Z"));
        assert_eq!(text(253_402_300_800_000), None);
        assert_eq!(text(i64::MIN), None);
        // Both agree where both can say it.
        for millis in [-1, 0, 951_782_400_000, 1_700_000_000_123, -2_208_988_800_001] {
            let signed = signed(DateTime::from_millis(millis));
            assert_eq!(text(millis).as_deref(), signed.strip_prefix('+'));
        }
    }
}
