//! Up to where a source was read, or is done.

use std::fmt;
use std::str::FromStr;

use gtm_oplog::{Op, OpPlace, ResumeToken, Timestamp};

use super::start::{self, NoStart, Start};

/// The position before all that any oplog has.
const OLDEST: &str = "oldest";

/// Up to where a source was read, or is done. Displayed, it is a [`Start`] to go on from, as it is typed; what it is in full, a store keeps
/// by [`stored`](Self::stored), which can be parsed again.
#[derive(Clone, Debug, PartialEq)]
pub enum Position {
    /// Up to this entry of an oplog, with all of its ops: it was read, so it must be there when it is gone on with.
    Oplog(Timestamp),
    /// Up to this time of an oplog, where nothing was read yet.
    OplogTime(Timestamp),
    /// Up to this op of an entry of an oplog.
    OplogOp(Timestamp, u32),
    /// Up to this place in a change stream.
    ChangeStream(ResumeToken),
}

impl Position {
    /// The place after `op`. None: a document that was found has no place in a stream.
    pub fn after(op: &Op) -> Option<Self> {
        Self::at(op.timestamp, &op.place)
    }

    /// After an op of this time and place. None: a document that was found has no place in a stream.
    pub fn at(timestamp: Timestamp, place: &OpPlace) -> Option<Self> {
        match place {
            OpPlace::Index(index) => Some(Self::OplogOp(timestamp, *index)),
            OpPlace::Token(token) => token.parse().ok().map(Self::ChangeStream),
            OpPlace::Document => None,
        }
    }

    /// Returns the cluster time of the position: everything before it was read, and perhaps some of that time. None: the
    /// server does not write it into its resume tokens, or nothing was read yet.
    pub fn cluster_time(&self) -> Option<Timestamp> {
        match self {
            Self::ChangeStream(token) => token.cluster_time(),
            _ => self.timestamp().filter(|_| !self.is_before_all()),
        }
    }

    /// Whether it is before all that any oplog has, where it is read from its oldest entry on: nothing was read, and no entry has
    /// this time.
    pub fn is_before_all(&self) -> bool {
        self.timestamp() == Some(Timestamp::default())
    }

    /// Returns the position before all that any oplog has: `oldest`, as it is typed, stored and displayed.
    pub fn before_all() -> Self {
        Self::OplogTime(Timestamp::default())
    }

    /// Returns the position in an oplog after which everything comes that is of this time or later.
    pub fn before(Timestamp { time, increment }: Timestamp) -> Self {
        Self::OplogTime(match increment.checked_sub(1) {
            Some(increment) => Timestamp { time, increment },
            None => Timestamp { time: time.saturating_sub(1), increment: u32::MAX },
        })
    }

    /// Returns the text from which the same position is parsed. The display does not say whether an entry was read, or only its time.
    pub fn stored(&self) -> String {
        match self {
            Self::Oplog(Timestamp { time, increment }) => format!("Timestamp({time}, {increment})"),
            other => other.to_string(),
        }
    }

    /// When it is. None: places of a change stream cannot be compared by their time alone.
    pub fn timestamp(&self) -> Option<Timestamp> {
        match self {
            Self::Oplog(timestamp) | Self::OplogTime(timestamp) | Self::OplogOp(timestamp, _) => {
                Some(*timestamp)
            }
            Self::ChangeStream(_) => None,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OplogTime(timestamp) if *timestamp == Timestamp::default() => f.write_str(OLDEST),
            Self::Oplog(timestamp) | Self::OplogTime(timestamp) => timestamp.fmt(f),
            Self::OplogOp(timestamp, index) => write!(f, "{timestamp}.{index}"),
            Self::ChangeStream(token) => token.fmt(f),
        }
    }
}

impl FromStr for Position {
    type Err = NoStart;

    fn from_str(text: &str) -> Result<Self, NoStart> {
        // Earlier versions stored it as 0.0, which is parsed below.
        if text == OLDEST {
            return Ok(Self::before_all());
        }
        match start::place(text)? {
            Start::After(timestamp) if text.starts_with("Timestamp") => Ok(Self::Oplog(timestamp)),
            Start::After(timestamp) => Ok(Self::OplogTime(timestamp)),
            Start::AfterOp(timestamp, index) => Ok(Self::OplogOp(timestamp, index)),
            Start::AfterToken(token) => Ok(Self::ChangeStream(token)),
            Start::Resume(position) => Ok(position),
            Start::Now | Start::Oldest => Err(NoStart),
        }
    }
}

impl From<Position> for Start {
    fn from(position: Position) -> Self {
        Self::Resume(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_before_a_time_is_just_before_it() {
        let before = |time, increment| Position::before(Timestamp { time, increment });
        assert_eq!(before(5, 2), Position::OplogTime(Timestamp { time: 5, increment: 1 }));
        assert_eq!(before(5, 0), Position::OplogTime(Timestamp { time: 4, increment: u32::MAX }));
    }

    #[test]
    fn a_position_is_parsed_from_what_is_stored_and_displayed_as_it_is_typed() {
        let at = Timestamp { time: 1_700_000_000, increment: 7 };
        let token = "82635019A0000000012B0429296E1404".parse().unwrap();
        for position in [
            Position::Oplog(at),
            Position::OplogTime(at),
            Position::OplogOp(at, 3),
            Position::ChangeStream(token),
            Position::before_all(),
        ] {
            let displayed = position.to_string();
            assert!(displayed.parse::<Start>().is_ok() && !displayed.contains("Timestamp"), "{displayed}");
            assert_eq!(position.stored().parse(), Ok(position));
        }
        assert_eq!(Position::Oplog(at).to_string(), "1700000000.7");
        let oldest = Position::before_all();
        assert_eq!((oldest.to_string(), oldest.cluster_time()), ("oldest".to_owned(), None));
        assert_eq!("0.0".parse(), Ok(oldest), "as earlier versions stored it");
        for none in ["now", "yesterday", "-10m", "2023-11-14T22:13:20Z"] {
            assert_eq!(none.parse::<Position>(), Err(NoStart), "no place");
        }
    }
}
