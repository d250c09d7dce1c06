//! Up to where a source was read, or is done.

use std::fmt;
use std::str::FromStr;

use super::change_stream::ResumeToken;
use super::start::{NoStart, Start};
use crate::op::{Op, Place, Timestamp};

/// Up to where a source was read, or is done. Displayed, it is a [`Start`] to go on from, and can be parsed again.
#[derive(Clone, Debug, PartialEq)]
pub enum Position {
    /// Up to this entry of an oplog, with all of its ops.
    Oplog(Timestamp),
    /// Up to this op of an entry of an oplog.
    OplogOp(Timestamp, u32),
    /// Up to this place in a change stream.
    ChangeStream(ResumeToken),
}

impl Position {
    /// The place after `op`. None: a document that was found has no place in a stream.
    pub fn after(op: &Op) -> Option<Self> {
        match &op.place {
            Place::Index(index) => Some(Self::OplogOp(op.timestamp, *index)),
            Place::Token(token) => token.parse().ok().map(Self::ChangeStream),
            Place::Document => None,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Oplog(timestamp) => timestamp.fmt(f),
            Self::OplogOp(Timestamp { time, increment }, index) => write!(f, "{time}.{increment}.{index}"),
            Self::ChangeStream(token) => token.fmt(f),
        }
    }
}

impl FromStr for Position {
    type Err = NoStart;

    fn from_str(text: &str) -> Result<Self, NoStart> {
        match text.parse()? {
            Start::After(timestamp) => Ok(Self::Oplog(timestamp)),
            Start::AfterOp(timestamp, index) => Ok(Self::OplogOp(timestamp, index)),
            Start::AfterToken(token) => Ok(Self::ChangeStream(token)),
            Start::Now | Start::Oldest => Err(NoStart),
        }
    }
}

impl From<Position> for Start {
    fn from(position: Position) -> Self {
        match position {
            Position::Oplog(timestamp) => Self::After(timestamp),
            Position::OplogOp(timestamp, index) => Self::AfterOp(timestamp, index),
            Position::ChangeStream(token) => Self::AfterToken(token),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_displayed_as_it_is_parsed() {
        let at = Timestamp { time: 1_700_000_000, increment: 7 };
        let token = "82635019A0000000012B0429296E1404".parse().unwrap();
        for position in [Position::Oplog(at), Position::OplogOp(at, 3), Position::ChangeStream(token)] {
            assert_eq!(position.to_string().parse(), Ok(position));
        }
        assert_eq!("now".parse::<Position>(), Err(NoStart), "no place");
    }
}
