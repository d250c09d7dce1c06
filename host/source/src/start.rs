//! Where reading begins.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gtm_oplog::{ResumeToken, Timestamp};
use serde::Deserialize;

use super::position::Position;

/// Where reading begins.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub enum Start {
    /// After the last op that a majority has.
    #[default]
    Now,
    /// With the oldest entry there is.
    Oldest,
    /// After the entry at this place, or where it would stand.
    After(Timestamp),
    /// After this op of the entry at this place.
    AfterOp(Timestamp, u32),
    /// After this place in a change stream.
    AfterToken(ResumeToken),
    /// Where it was read, or done, up to before: what was read there must be there still.
    Resume(Position),
}

/// Not a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected now, oldest, a time like 2026-01-31T12:00:00Z or 2026-01-31T14:00:00+02:00, a span before now like -10m, today or yesterday \
     (at 00:00 UTC), seconds since 1970, SECONDS.INCREMENT: after that entry, or the id of an op: after that op; of a change \
     stream, a resume token, too"
)]
pub struct NoStart;

/// The length of `2026-01-31`.
const DAY: usize = 10;
/// Of a day, in seconds.
const SECONDS: u64 = 24 * 60 * 60;

/// What a span goes back from when the settings are read: the same each time that they are.
static STARTED: LazyLock<SystemTime> = LazyLock::new(SystemTime::now);

/// A resume token has more digits than this, a time fewer.
const TOKEN: usize = 16;

impl FromStr for Start {
    type Err = NoStart;

    /// A span goes back from the start of the process.
    fn from_str(text: &str) -> Result<Self, NoStart> {
        Self::parse(text, *STARTED)
    }
}

impl Start {
    /// Parses a start; a span like `-10m` goes back from `now`.
    ///
    /// # Errors
    /// It is not a start.
    pub fn parse(text: &str, now: SystemTime) -> Result<Self, NoStart> {
        match text {
            "now" => return Ok(Self::Now),
            "oldest" => return Ok(Self::Oldest),
            _ => {}
        }
        if let Some(time) = before(text, now).or_else(|| moment(text)) {
            let seconds = time.duration_since(UNIX_EPOCH).map_err(|_| NoStart)?.as_secs();
            return Ok(Self::at(u32::try_from(seconds).map_err(|_| NoStart)?, 0));
        }
        place(text)
    }
}

/// A place in an oplog or a change stream, as positions and ids of ops are displayed and stored.
pub(super) fn place(text: &str) -> Result<Start, NoStart> {
    // The id of an op of a change stream ends with its token.
    let token = text.rsplit('.').next().filter(|token| token.len() > TOKEN);
    if let Some(Ok(token)) = token.or(text.strip_prefix('{').and(Some(text))).map(str::parse) {
        return Ok(Start::AfterToken(token));
    }
    // As an op's id begins, and as it is logged and as mongosh prints it.
    let inner = text.strip_prefix("Timestamp(").and_then(|inner| inner.strip_suffix(')')).unwrap_or(text);
    let number = |text: &str| text.trim().parse().map_err(|_| NoStart);
    let mut parts = inner.split(['.', ',']);
    let (time, increment, index) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    let timestamp = Timestamp { time: number(time)?, increment: increment.map_or(Ok(0), number)? };
    match (index, parts.next()) {
        (None, _) => Ok(Start::After(timestamp)),
        (Some(index), None) => Ok(Start::AfterOp(timestamp, number(index)?)),
        _ => Err(NoStart),
    }
}

/// As it is typed.
impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now => f.write_str("now"),
            Self::Oldest => f.write_str("oldest"),
            Self::After(Timestamp { time, increment }) => write!(f, "{time}.{increment}"),
            Self::AfterOp(Timestamp { time, increment }, index) => write!(f, "{time}.{increment}.{index}"),
            Self::AfterToken(token) => token.fmt(f),
            Self::Resume(position) => position.fmt(f),
        }
    }
}

/// A start that goes before a checkpoint, once: the checkpoints made since say that it was taken.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Restart {
    /// Where reading begins.
    pub start: Start,
    /// As it was said: the same words ask for the same restart, also where they are those of a time like `now`.
    words: String,
}

impl Restart {
    /// Returns the start as it was said.
    pub fn words(&self) -> &str {
        &self.words
    }
}

impl FromStr for Restart {
    type Err = NoStart;

    fn from_str(words: &str) -> Result<Self, NoStart> {
        Ok(Self { start: words.parse()?, words: words.to_owned() })
    }
}

impl TryFrom<String> for Restart {
    type Error = NoStart;

    fn try_from(words: String) -> Result<Self, NoStart> {
        words.parse()
    }
}

impl TryFrom<String> for Start {
    type Error = NoStart;

    fn try_from(text: String) -> Result<Self, NoStart> {
        text.parse()
    }
}

/// `today` and `yesterday`, when they begin, and spans: `-10m`, `10m ago`.
fn before(text: &str, now: SystemTime) -> Option<SystemTime> {
    let days = match text {
        "today" => 0,
        "yesterday" => 1,
        _ => {
            let span = text.strip_prefix('-').or_else(|| text.strip_suffix(" ago"))?;
            return now.checked_sub(humantime::parse_duration(span).ok()?);
        }
    };
    let today = now.duration_since(UNIX_EPOCH).ok()?.as_secs() / SECONDS;
    UNIX_EPOCH.checked_add(Duration::from_secs(today.checked_sub(days)? * SECONDS))
}

/// `2026-01-31`, which is its first moment, `2026-01-31T12:00:00Z`, and with an offset: `2026-01-31T14:00:00+02:00`.
fn moment(text: &str) -> Option<SystemTime> {
    let (local, offset) =
        match text.rfind(['+', '-']).filter(|at| *at > DAY).and_then(|at| text.split_at_checked(at)) {
            Some((local, _)) if local.ends_with('Z') => return None,
            Some((local, offset)) => (local, seconds(offset)?),
            None => (text, 0),
        };
    let is_day = local.len() == DAY && local.bytes().filter(|byte| *byte == b'-').count() == 2;
    let local = if is_day { Cow::Owned(format!("{local}T00:00:00Z")) } else { Cow::Borrowed(local) };
    let time = humantime::parse_rfc3339_weak(&local).ok()?;
    let ahead = Duration::from_secs(offset.unsigned_abs());
    if offset < 0 { time.checked_add(ahead) } else { time.checked_sub(ahead) }
}

/// `+02:00` and `+0200` in seconds.
fn seconds(offset: &str) -> Option<i64> {
    let sign = if offset.starts_with('-') { -1 } else { 1 };
    let digits = offset.get(1..)?;
    let (hours, minutes) = digits.split_once(':').or_else(|| digits.split_at_checked(2))?;
    let part = |part: &str, most: i64| {
        let is_two_digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<i64>().ok().filter(|part| is_two_digits && *part <= most)
    };
    Some(sign * (part(hours, 23)? * 3600 + part(minutes, 59)? * 60))
}

impl Start {
    fn at(time: u32, increment: u32) -> Self {
        Self::After(Timestamp { time, increment })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_a_word_a_time_or_a_place() {
        assert_eq!("now".parse(), Ok(Start::Now));
        assert_eq!("oldest".parse(), Ok(Start::Oldest));
        assert_eq!("1700000000".parse(), Ok(Start::at(1_700_000_000, 0)));
        assert_eq!("2023-11-14T22:13:20Z".parse(), Ok(Start::at(1_700_000_000, 0)));
        assert_eq!("2023-11-14".parse(), Ok(Start::at(1_699_920_000, 0)));
        assert_eq!("2023-11-14 22:13:20".parse(), Ok(Start::at(1_700_000_000, 0)));
        assert_eq!("1700000000.7".parse(), Ok(Start::at(1_700_000_000, 7)));
        assert_eq!("Timestamp(1700000000, 7)".parse(), Ok(Start::at(1_700_000_000, 7)));
        let logged = Timestamp { time: 1_700_000_000, increment: 7 };
        assert_eq!(logged.to_string(), "1700000000.7");
        assert_eq!(logged.to_string().parse(), Ok(Start::After(logged)));
        assert_eq!("1700000000.7.2".parse(), Ok(Start::AfterOp(logged, 2)));
        let token = "82635019a0000000012b0429296e1404";
        let after: Start = token.parse().unwrap();
        assert_eq!(after, Start::AfterToken(token.parse().unwrap()));
        assert_eq!(format!("1700000000.7.{token}").parse(), Ok(after.clone()));
        for start in [Start::Now, Start::Oldest, Start::at(1, 2), Start::AfterOp(logged, 2), after.clone()] {
            assert_eq!(start.to_string().parse(), Ok(start), "as it is typed");
        }
        assert_eq!(format!(r#"{{"_data": "{token}"}}"#).parse(), Ok(after));
        for none in ["", "tomorrow", "1969-01-01T00:00:00Z", "1.2.3.4", "-1", "9999999999"] {
            assert_eq!(none.parse::<Start>(), Err(NoStart), "{none}");
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
            assert_eq!(Start::parse(text, now), Ok(Start::at(seconds, 0)), "{text}");
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
            assert_eq!(Start::parse(none, now), Err(NoStart), "{none}");
        }
    }
}
