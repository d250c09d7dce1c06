//! The changes of a deployment, by its oplog or a change stream.

use gtm_oplog::event::pushdown::wanted_events;
use gtm_oplog::{Selection, Skipped, StreamStart, Timestamp};

use super::{SourceConfig, SourceError};
use crate::batch::SourceBatch;
use crate::change_stream::Scope;
use crate::change_stream::request::StreamOptions;
use crate::change_stream::stream::ChangeStream;
pub(super) use crate::oplog::tailer::{OplogStart, OplogTailer};
use crate::position::Position;
use crate::resolved::ResolvedSource;
use crate::start::Start;

/// Either of the two.
pub(super) enum LiveStream {
    Oplog(Box<OplogTailer>),
    ChangeStream(Box<ChangeStream>),
}

impl LiveStream {
    /// From the start on.
    pub(super) async fn open(follow: &SourceConfig) -> Result<Self, SourceError> {
        let SourceConfig { client, choice, selection, .. } = follow;
        match choice {
            ResolvedSource::Oplog(oplog) => {
                let start = match &follow.start {
                    Start::Now => OplogStart::Now,
                    Start::Oldest => OplogStart::Oldest,
                    Start::After(timestamp) => OplogStart::After(*timestamp),
                    Start::AfterOp(timestamp, index) => OplogStart::AfterOp(*timestamp, *index),
                    Start::Resume(Position::Oplog(timestamp)) => OplogStart::Resume(*timestamp, None),
                    Start::Resume(Position::OplogTime(timestamp)) => OplogStart::After(*timestamp),
                    Start::Resume(Position::OplogOp(timestamp, index)) => {
                        OplogStart::Resume(*timestamp, Some(*index))
                    }
                    // The ops of one timestamp may be repeated, as the token's place among them is not that of an entry.
                    Start::AfterToken(token) | Start::Resume(Position::ChangeStream(token)) => {
                        let time = token.cluster_time().ok_or(SourceError::TokenForOplog)?;
                        OplogStart::After(Position::before(time).timestamp().unwrap_or_default())
                    }
                };
                let mut tail = OplogTailer::open(client, oplog, selection.clone(), start).await?;
                tail.report_to(&follow.health);
                Ok(LiveStream::Oplog(Box::new(tail)))
            }
            ResolvedSource::ChangeStream(_) => {
                let start = match &follow.start {
                    Start::Now => StreamStart::Now,
                    Start::Oldest => return Err(SourceError::NoOldest),
                    Start::After(Timestamp { time, increment })
                    | Start::Resume(
                        Position::Oplog(Timestamp { time, increment })
                        | Position::OplogTime(Timestamp { time, increment }),
                    ) => {
                        let increment = increment.saturating_add(1);
                        StreamStart::At(Timestamp { time: *time, increment })
                    }
                    // The ops of one timestamp have no numbers there, so it may repeat some of them.
                    Start::AfterOp(timestamp, _) | Start::Resume(Position::OplogOp(timestamp, _)) => {
                        StreamStart::At(*timestamp)
                    }
                    Start::AfterToken(token) | Start::Resume(Position::ChangeStream(token)) => {
                        StreamStart::After(token.clone())
                    }
                };
                let scope = Scope::of(follow.watched.as_ref().unwrap_or(selection));
                let options = StreamOptions { pipeline: wanted_events(selection) };
                let mut stream = ChangeStream::open(client, scope, selection.clone(), start, options).await?;
                stream.report_to(&follow.health);
                Ok(LiveStream::ChangeStream(Box::new(stream)))
            }
        }
    }

    pub(super) async fn next(&mut self) -> Result<SourceBatch, SourceError> {
        match self {
            Self::Oplog(tail) => Ok(tail.next().await?),
            Self::ChangeStream(stream) => Ok(stream.next().await?),
        }
    }

    pub(super) fn left(&self) -> usize {
        match self {
            Self::Oplog(tail) => tail.left(),
            Self::ChangeStream(_) => 0,
        }
    }

    pub(super) async fn reselect(&mut self, selection: Selection) -> Result<(), SourceError> {
        match self {
            Self::Oplog(tail) => Ok(tail.reselect(selection).await?),
            // What is watched, and so what is asked of the server, stays: see `SourceConfig::watched`.
            Self::ChangeStream(_) => Ok(()),
        }
    }

    pub(super) fn position(&self) -> Option<Position> {
        match self {
            Self::Oplog(tail) => tail.position(),
            Self::ChangeStream(stream) => stream.position().map(Position::ChangeStream),
        }
    }

    pub(super) fn into_skipped(self) -> Skipped {
        match self {
            Self::Oplog(tail) => tail.into_skipped(),
            Self::ChangeStream(stream) => stream.into_skipped(),
        }
    }
}
