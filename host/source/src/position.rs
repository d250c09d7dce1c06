//! Positions: up to where a source was read, or its ops are done.

use std::fmt;
use std::str::FromStr;

use bson::raw::cstr;
use bson::{RawBsonRef, RawDocument, RawDocumentBuf, rawdoc};
use gtm_oplog::{Op, OpPlace, ResumeToken, Timestamp};

use crate::start_at::{StartAt, TypedPlace};

/// The position before everything in any oplog.
const OLDEST: &str = "oldest";

/// The position up to which a source was read, or its ops are done.
///
/// It is displayed as people type it. [`to_document`](Self::to_document) returns all of it, to be stored.
#[derive(Clone, Debug, PartialEq)]
pub enum Position {
    /// After this entry of an oplog and all its ops. The entry was read, so it must be there when reading resumes.
    Oplog(Timestamp),
    /// After this time in an oplog. No entry was read there.
    OplogTime(Timestamp),
    /// After the op with this index in this entry of an oplog, which was read.
    OplogOp(Timestamp, u32),
    /// After this place in a change stream.
    ChangeStream(ResumeToken),
}

/// The reason why a stored position cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParsePositionError {
    /// The text that earlier versions stored is not a position.
    #[error("\"{0}\" is not a valid position")]
    Text(String),
    /// The document has no such kind of position.
    #[error("\"{0}\" is not a known kind of position")]
    Kind(String),
    /// A field is missing, or has another type.
    #[error("the field {field} of the position is not {expected}")]
    Field {
        /// The name of the field.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// It is neither a document nor a text.
    #[error("the position is neither a document nor a string")]
    Type,
}

impl Position {
    /// Returns the position after `op`. None: a document of a snapshot or of a dump has no position.
    pub fn after(op: &Op) -> Option<Self> {
        Self::at(op.timestamp, &op.place)
    }

    /// Returns the position after an op with this time and place. None: a document of a snapshot or of a dump has no
    /// position.
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

    /// Returns whether this is the position before everything in any oplog. It has a time that no entry has.
    pub fn is_before_all(&self) -> bool {
        self.timestamp() == Some(Timestamp::default())
    }

    /// Returns the position before everything in any oplog, which is displayed as `oldest`.
    pub fn before_all() -> Self {
        Self::OplogTime(Timestamp::default())
    }

    /// Returns the position in an oplog after which everything comes that is of this time or later.
    pub fn before(time: Timestamp) -> Self {
        Self::OplogTime(just_before(time))
    }

    /// Returns the time of the position. None: it is one in a change stream, where times alone do not compare positions.
    pub fn timestamp(&self) -> Option<Timestamp> {
        match self {
            Self::Oplog(timestamp) | Self::OplogTime(timestamp) | Self::OplogOp(timestamp, _) => {
                Some(*timestamp)
            }
            Self::ChangeStream(_) => None,
        }
    }

    /// Returns the position as a document, from which [`from_stored`](Self::from_stored) reads it.
    pub fn to_document(&self) -> RawDocumentBuf {
        let kind = match self {
            Self::Oplog(_) => "oplogEntry",
            Self::OplogTime(_) => "oplogTime",
            Self::OplogOp(..) => "oplogOp",
            Self::ChangeStream(_) => "changeStream",
        };
        let mut document = rawdoc! { "kind": kind };
        match self {
            Self::Oplog(time) | Self::OplogTime(time) | Self::OplogOp(time, _) => {
                document.append(cstr!("time"), bson::Timestamp::from(*time));
            }
            Self::ChangeStream(token) => document.append(cstr!("token"), token.as_document()),
        }
        if let Self::OplogOp(_, index) = self {
            document.append(cstr!("index"), i64::from(*index));
        }
        document
    }

    /// Reads a position that was stored: a document, or the text that earlier versions stored.
    ///
    /// # Errors
    /// It is not a position.
    pub fn from_stored(stored: RawBsonRef<'_>) -> Result<Self, ParsePositionError> {
        match stored {
            RawBsonRef::Document(document) => Self::from_document(document),
            RawBsonRef::String(text) => text.parse(),
            _ => Err(ParsePositionError::Type),
        }
    }

    fn from_document(document: &RawDocument) -> Result<Self, ParsePositionError> {
        let wrong = |field, expected| ParsePositionError::Field { field, expected };
        let field = |name: &str| document.get(name).ok().flatten();
        let kind = field("kind").and_then(|kind| kind.as_str()).ok_or(wrong("kind", "a string"))?;
        let time = || {
            let time = field("time").and_then(|time| time.as_timestamp());
            time.map(Timestamp::from).ok_or(wrong("time", "a timestamp"))
        };
        match kind {
            "oplogEntry" => Ok(Self::Oplog(time()?)),
            "oplogTime" => Ok(Self::OplogTime(time()?)),
            "oplogOp" => {
                let index = field("index").and_then(|index| match index {
                    RawBsonRef::Int64(index) => u32::try_from(index).ok(),
                    // As mongosh may write it.
                    RawBsonRef::Int32(index) => u32::try_from(index).ok(),
                    _ => None,
                });
                Ok(Self::OplogOp(time()?, index.ok_or(wrong("index", "a whole number"))?))
            }
            "changeStream" => {
                let token = field("token").and_then(|token| token.as_document());
                Ok(Self::ChangeStream(ResumeToken::new(token.ok_or(wrong("token", "a document"))?)))
            }
            kind => Err(ParsePositionError::Kind(kind.to_owned())),
        }
    }
}

/// Returns the last time before another one.
pub(crate) fn just_before(Timestamp { time, increment }: Timestamp) -> Timestamp {
    match increment.checked_sub(1) {
        Some(increment) => Timestamp { time, increment },
        None => Timestamp { time: time.saturating_sub(1), increment: u32::MAX },
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

/// Parses the text that earlier versions stored. `Timestamp(1700000000, 7)` is an entry that was read, `1700000000.7` only its
/// time.
impl FromStr for Position {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, ParsePositionError> {
        if text == OLDEST {
            return Ok(Self::before_all());
        }
        match TypedPlace::parse(text) {
            Some(TypedPlace::Time(time)) if text.starts_with("Timestamp") => Ok(Self::Oplog(time)),
            Some(TypedPlace::Time(time)) => Ok(Self::OplogTime(time)),
            Some(TypedPlace::Position(position)) => Ok(position),
            None => Err(ParsePositionError::Text(text.to_owned())),
        }
    }
}

impl From<Position> for StartAt {
    fn from(position: Position) -> Self {
        match position {
            Position::OplogTime(time) => Self::Time(time),
            position => Self::After(position),
        }
    }
}

#[cfg(test)]
mod tests {
    use bson::Bson;

    use super::*;

    const AT: Timestamp = Timestamp { time: 1_700_000_000, increment: 7 };

    fn token(text: &str) -> Position {
        Position::ChangeStream(text.parse().unwrap())
    }

    #[test]
    fn a_position_before_a_time_is_just_before_it() {
        let before = |time, increment| Position::before(Timestamp { time, increment });
        assert_eq!(before(5, 2), Position::OplogTime(Timestamp { time: 5, increment: 1 }));
        assert_eq!(before(5, 0), Position::OplogTime(Timestamp { time: 4, increment: u32::MAX }));
    }

    #[test]
    fn a_position_is_read_from_the_document_that_is_stored() {
        for position in [
            Position::Oplog(AT),
            Position::OplogTime(AT),
            Position::OplogOp(AT, u32::MAX),
            token("82635019A0000000012B0429296E1404"),
            token(r#"{"_data": "0a", "more": {"$numberLong": "5"}}"#),
            Position::before_all(),
        ] {
            let document = position.to_document();
            assert_eq!(Position::from_stored(RawBsonRef::Document(&document)), Ok(position.clone()));
            let displayed = position.to_string();
            assert!(displayed.parse::<StartAt>().is_ok() && !displayed.contains("Timestamp"), "{displayed}");
        }
        assert_eq!(Position::Oplog(AT).to_string(), "1700000000.7");
        let oldest = Position::before_all();
        assert_eq!((oldest.to_string(), oldest.cluster_time()), ("oldest".to_owned(), None));
    }

    #[test]
    fn a_position_that_an_earlier_version_stored_is_read() {
        for (text, position) in [
            ("Timestamp(1700000000, 7)", Position::Oplog(AT)),
            ("1700000000.7", Position::OplogTime(AT)),
            ("1700000000.7.3", Position::OplogOp(AT, 3)),
            ("82635019A0000000012B0429296E1404", token("82635019A0000000012B0429296E1404")),
            (r#"{"_data":"0a","more":5}"#, token(r#"{"_data": "0a", "more": 5}"#)),
            ("oldest", Position::before_all()),
            ("0.0", Position::before_all()),
        ] {
            assert_eq!(Position::from_stored(RawBsonRef::String(text)), Ok(position), "{text}");
        }
        for text in ["now", "yesterday", "-10m", "2023-11-14T22:13:20Z", ""] {
            let error = Position::from_stored(RawBsonRef::String(text)).unwrap_err();
            assert_eq!(error.to_string(), format!("\"{text}\" is not a valid position"));
        }
    }

    #[test]
    fn a_document_that_is_not_a_position_is_refused_with_the_reason() {
        let time = Bson::Timestamp(AT.into());
        for (document, reason) in [
            (bson::doc! {}, "the field kind of the position is not a string"),
            (bson::doc! { "kind": "kafka" }, "\"kafka\" is not a known kind of position"),
            (
                bson::doc! { "kind": "oplogTime", "time": 7 },
                "the field time of the position is not a timestamp",
            ),
            (
                bson::doc! { "kind": "oplogOp", "time": &time, "index": -1 },
                "the field index of the position is not a whole number",
            ),
            (bson::doc! { "kind": "changeStream" }, "the field token of the position is not a document"),
        ] {
            let document = RawDocumentBuf::try_from(document).unwrap();
            let error = Position::from_stored(RawBsonRef::Document(&document)).unwrap_err();
            assert_eq!(error.to_string(), reason);
        }
        assert_eq!(Position::from_stored(RawBsonRef::Int32(7)), Err(ParsePositionError::Type));
    }
}
