//! Starts: where reading begins, as people type it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gtm_oplog::Timestamp;
use serde::Deserialize;

use crate::position::Position;

/// The start of a source.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub enum StartAt {
    /// Starts with the changes from now on: after the last op that a majority has.
    #[default]
    Now,
    /// Starts with the oldest change that the source has.
    Oldest,
    /// Starts with the first change after this time, whether or not there is a change at it.
    Time(Timestamp),
    /// Starts with the change after this position. What was read there must still be there.
    After(Position),
}

/// The error of a text that is not a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected now, oldest, a time like 2026-01-31T12:00:00Z or 2026-01-31T14:00:00+02:00, a span before now like -10m, today or yesterday \
     (at 00:00 UTC), seconds since 1970, SECONDS.INCREMENT: after that entry, or the id of an op: after that op; of a change \
     stream, a resume token, too"
)]
pub struct ParseStartError;

/// The length of `2026-01-31`.
const DATE_LENGTH: usize = 10;

const SECONDS_PER_DAY: u64 = 24 * 60 * 60;

/// The time from which spans in the settings go back: the same one each time that the settings are read.
static PROCESS_START: LazyLock<SystemTime> = LazyLock::new(SystemTime::now);

/// The maximum number of digits of a time. A resume token has more.
const MAX_TIME_DIGITS: usize = 16;

impl FromStr for StartAt {
    type Err = ParseStartError;

    /// Parses a start; a span goes back from the start of the process.
    fn from_str(text: &str) -> Result<Self, ParseStartError> {
        Self::parse(text, *PROCESS_START)
    }
}

impl StartAt {
    /// Parses a start; a span like `-10m` goes back from `now`.
    ///
    /// # Errors
    /// It is not a start.
    pub fn parse(text: &str, now: SystemTime) -> Result<Self, ParseStartError> {
        match text {
            "now" => return Ok(Self::Now),
            "oldest" => return Ok(Self::Oldest),
            _ => {}
        }
        if let Some(time) = before(text, now).or_else(|| moment(text)) {
            let seconds = time.duration_since(UNIX_EPOCH).map_err(|_| ParseStartError)?.as_secs();
            let time = u32::try_from(seconds).map_err(|_| ParseStartError)?;
            return Ok(Self::Time(Timestamp { time, increment: 0 }));
        }
        match TypedPlace::parse(text).ok_or(ParseStartError)? {
            TypedPlace::Time(time) => Ok(Self::Time(time)),
            TypedPlace::Position(position) => Ok(Self::After(position)),
        }
    }
}

/// A place in an oplog or a change stream, as entries, ids of ops and resume tokens are written.
pub(crate) enum TypedPlace {
    Time(Timestamp),
    Position(Position),
}

impl TypedPlace {
    /// Parses a place. None: it is not one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // The id of an op of a change stream ends with its token.
        let token = text.rsplit('.').next().filter(|token| token.len() > MAX_TIME_DIGITS);
        if let Some(Ok(token)) = token.or(text.strip_prefix('{').and(Some(text))).map(str::parse) {
            return Some(Self::Position(Position::ChangeStream(token)));
        }
        // As an op's id begins, and as mongosh prints it.
        let inner = text.strip_prefix("Timestamp(").and_then(|inner| inner.strip_suffix(')')).unwrap_or(text);
        let number = |text: &str| text.trim().parse().ok();
        let mut parts = inner.split(['.', ',']);
        let (time, increment, index) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        let timestamp = Timestamp { time: number(time)?, increment: increment.map_or(Some(0), number)? };
        match (index, parts.next()) {
            (None, _) => Some(Self::Time(timestamp)),
            (Some(index), None) => Some(Self::Position(Position::OplogOp(timestamp, number(index)?))),
            _ => None,
        }
    }
}

/// Displays the start as people type it.
impl fmt::Display for StartAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now => f.write_str("now"),
            Self::Oldest => f.write_str("oldest"),
            Self::Time(time) => Position::OplogTime(*time).fmt(f),
            Self::After(position) => position.fmt(f),
        }
    }
}

/// A request to start there once, in place of the checkpoint. Checkpoints that are stored since record that it was done.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Restart {
    /// Where reading begins.
    pub start: StartAt,
    /// The text of the request. The same text is the same request, even if it means another time, like `now`.
    words: String,
}

impl Restart {
    /// Returns the text of the request.
    pub fn words(&self) -> &str {
        &self.words
    }
}

impl FromStr for Restart {
    type Err = ParseStartError;

    fn from_str(words: &str) -> Result<Self, ParseStartError> {
        Ok(Self { start: words.parse()?, words: words.to_owned() })
    }
}

impl TryFrom<String> for Restart {
    type Error = ParseStartError;

    fn try_from(words: String) -> Result<Self, ParseStartError> {
        words.parse()
    }
}

impl TryFrom<String> for StartAt {
    type Error = ParseStartError;

    fn try_from(text: String) -> Result<Self, ParseStartError> {
        text.parse()
    }
}

/// Parses `today` and `yesterday`, when they begin, and spans: `-10m`, `10m ago`.
fn before(text: &str, now: SystemTime) -> Option<SystemTime> {
    let days = match text {
        "today" => 0,
        "yesterday" => 1,
        _ => {
            let span = text.strip_prefix('-').or_else(|| text.strip_suffix(" ago"))?;
            return now.checked_sub(humantime::parse_duration(span).ok()?);
        }
    };
    let today = now.duration_since(UNIX_EPOCH).ok()?.as_secs() / SECONDS_PER_DAY;
    UNIX_EPOCH.checked_add(Duration::from_secs(today.checked_sub(days)? * SECONDS_PER_DAY))
}

/// Parses `2026-01-31`, which is its first moment, `2026-01-31T12:00:00Z`, and with an offset:
/// `2026-01-31T14:00:00+02:00`.
fn moment(text: &str) -> Option<SystemTime> {
    let offset_start = text.rfind(['+', '-']).filter(|at| *at > DATE_LENGTH);
    let (local, offset) = match offset_start.and_then(|at| text.split_at_checked(at)) {
        Some((local, _)) if local.ends_with('Z') => return None,
        Some((local, offset)) => (local, offset_seconds(offset)?),
        None => (text, 0),
    };
    let is_date = local.len() == DATE_LENGTH && local.bytes().filter(|byte| *byte == b'-').count() == 2;
    let local = if is_date { Cow::Owned(format!("{local}T00:00:00Z")) } else { Cow::Borrowed(local) };
    let time = humantime::parse_rfc3339_weak(&local).ok()?;
    let ahead = Duration::from_secs(offset.unsigned_abs());
    if offset < 0 { time.checked_add(ahead) } else { time.checked_sub(ahead) }
}

/// Parses an offset, `+02:00` or `+0200`, into seconds.
fn offset_seconds(offset: &str) -> Option<i64> {
    let sign = if offset.starts_with('-') { -1 } else { 1 };
    let digits = offset.get(1..)?;
    let (hours, minutes) = digits.split_once(':').or_else(|| digits.split_at_checked(2))?;
    let part = |part: &str, max: i64| {
        let is_two_digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<i64>().ok().filter(|part| is_two_digits && *part <= max)
    };
    Some(sign * (part(hours, 23)? * 3600 + part(minutes, 59)? * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: u32, increment: u32) -> StartAt {
        StartAt::Time(Timestamp { time, increment })
    }

    #[test]
    fn a_start_is_a_word_a_time_or_a_place() {
        assert_eq!("now".parse(), Ok(StartAt::Now));
        assert_eq!("oldest".parse(), Ok(StartAt::Oldest));
        assert_eq!("1700000000".parse(), Ok(at(1_700_000_000, 0)));
        assert_eq!("2023-11-14T22:13:20Z".parse(), Ok(at(1_700_000_000, 0)));
        assert_eq!("2023-11-14".parse(), Ok(at(1_699_920_000, 0)));
        assert_eq!("2023-11-14 22:13:20".parse(), Ok(at(1_700_000_000, 0)));
        assert_eq!("1700000000.7".parse(), Ok(at(1_700_000_000, 7)));
        assert_eq!("Timestamp(1700000000, 7)".parse(), Ok(at(1_700_000_000, 7)));
        let logged = Timestamp { time: 1_700_000_000, increment: 7 };
        assert_eq!(logged.to_string(), "1700000000.7");
        assert_eq!(logged.to_string().parse(), Ok(StartAt::Time(logged)));
        assert_eq!("1700000000.7.2".parse(), Ok(StartAt::After(Position::OplogOp(logged, 2))));
        let token = "82635019a0000000012b0429296e1404";
        let after: StartAt = token.parse().unwrap();
        assert_eq!(after, StartAt::After(Position::ChangeStream(token.parse().unwrap())));
        assert_eq!(format!("1700000000.7.{token}").parse(), Ok(after.clone()));
        let op = StartAt::After(Position::OplogOp(logged, 2));
        for start in [StartAt::Now, StartAt::Oldest, at(1, 2), op, after.clone()] {
            assert_eq!(start.to_string().parse(), Ok(start), "as it is typed");
        }
        assert_eq!(format!(r#"{{"_data": "{token}"}}"#).parse(), Ok(after));
        for none in ["", "tomorrow", "1969-01-01T00:00:00Z", "1.2.3.4", "-1", "9999999999"] {
            assert_eq!(none.parse::<StartAt>(), Err(ParseStartError), "{none}");
        }
    }

    #[test]
    fn a_time_has_an_offset_or_is_a_span_before_now() {
        // 2023-11-14T22:13:20Z
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for (text, seconds) in [
            ("2023-11-15T00:13:20+02:00", 1_700_000_000),
            ("2023-11-14 17:43:20-0430", 1_700_000_000),
            ("2023-11-14T22:13:20.5+00:00", 1_700_000_000),
            ("-10m", 1_699_999_400),
            ("-1h 30m", 1_699_994_600),
            ("2days ago", 1_699_827_200),
            ("today", 1_699_920_000),
            ("yesterday", 1_699_833_600),
        ] {
            assert_eq!(StartAt::parse(text, now), Ok(at(seconds, 0)), "{text}");
        }
        for none in [
            "-1",
            "-10",
            "-1000y",
            "ago",
            "2023-11-14+02:00x",
            "2023-11-14T22:13:20Z+02:00",
            "2023-11-14T22:13:20+2:00",
            "2023-11-14T22:13:20+24:00",
            "2023-11-14T22:13:20+02:60",
            "1970-01-01T00:00:00+01:00",
            "2023-11-14T22:13:20+é0",
        ] {
            assert_eq!(StartAt::parse(none, now), Err(ParseStartError), "{none}");
        }
    }
}
