//! Where reading begins.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::UNIX_EPOCH;

use serde::Deserialize;

use super::change_stream::ResumeToken;
use super::position::Position;
use crate::op::Timestamp;

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
    "expected now, oldest, a time like 2026-01-31T12:00:00Z or seconds since 1970, SECONDS.INCREMENT: after that entry, or \
     the id of an op: after that op; of a change stream, a resume token, too"
)]
pub struct NoStart;

/// The length of `2026-01-31`.
const DAY: usize = 10;

/// A resume token has more digits than this, a time fewer.
const TOKEN: usize = 16;

impl FromStr for Start {
    type Err = NoStart;

    fn from_str(text: &str) -> Result<Self, NoStart> {
        match text {
            "now" => return Ok(Self::Now),
            "oldest" => return Ok(Self::Oldest),
            _ => {}
        }
        // A day alone is its first moment.
        let day = text.bytes().filter(|byte| *byte == b'-').count() == 2 && text.len() == DAY;
        let time = if day { Cow::Owned(format!("{text}T00:00:00Z")) } else { Cow::Borrowed(text) };
        if let Ok(time) = humantime::parse_rfc3339_weak(&time) {
            let time = time.duration_since(UNIX_EPOCH).map_err(|_| NoStart)?;
            return Ok(Self::at(u32::try_from(time.as_secs()).map_err(|_| NoStart)?, 0));
        }
        // The id of an op of a change stream ends with its token.
        let token = text.rsplit('.').next().filter(|token| token.len() > TOKEN);
        if let Some(Ok(token)) = token.or(text.strip_prefix('{').and(Some(text))).map(str::parse) {
            return Ok(Self::AfterToken(token));
        }
        // As an op's id begins, and as it is logged and as mongosh prints it.
        let inner = text.strip_prefix("Timestamp(").and_then(|inner| inner.strip_suffix(')')).unwrap_or(text);
        let number = |text: &str| text.trim().parse().map_err(|_| NoStart);
        let mut parts = inner.split(['.', ',']);
        let (time, increment, index) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        let timestamp = Timestamp { time: number(time)?, increment: increment.map_or(Ok(0), number)? };
        match (index, parts.next()) {
            (None, _) => Ok(Self::After(timestamp)),
            (Some(index), None) => Ok(Self::AfterOp(timestamp, number(index)?)),
            _ => Err(NoStart),
        }
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
            Self::Resume(Position::Oplog(Timestamp { time, increment })) => write!(f, "{time}.{increment}"),
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
        for none in ["", "yesterday", "1969-01-01T00:00:00Z", "1.2.3.4", "-1", "9999999999"] {
            assert_eq!(none.parse::<Start>(), Err(NoStart), "{none}");
        }
    }
}
