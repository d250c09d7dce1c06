//! A deployment that is followed: its changes from a start on, and past a history that is lost, as the policy
//! says.

use std::fmt;

use mongodb::Client;
use serde::Deserialize;

use super::change_stream::{self, ChangeStream, ResumeToken, StreamError, StreamOptions, StreamStart};
use super::choice::Choice;
use super::oplog::{OplogStart, Tail, TailError};
use super::{Selection, Skipped, Start};
use crate::op::{Op, Timestamp};

/// What is done when changes cannot be read any more: the server has rolled them off, or was restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HistoryLost {
    /// The host stops and says so.
    #[default]
    Stop,
    /// It goes on from the oldest change there is, having said so.
    RestartFromOldest,
    /// It goes on from now, having said so.
    RestartFromNow,
}

/// How a deployment is followed.
#[derive(Clone, Debug)]
pub struct Follow {
    /// Connected to it.
    pub client: Client,
    /// What of it is read.
    pub choice: Choice,
    /// What is wanted of it.
    pub selection: Selection,
    /// Where reading begins.
    pub start: Start,
    /// What is done when that, or what follows it, is lost.
    pub history_lost: HistoryLost,
}

/// Up to where a source was read: a [`Start`] to go on from, as it is displayed.
#[derive(Clone, Debug, PartialEq)]
pub enum Position {
    /// In an oplog.
    Oplog(Timestamp),
    /// In a change stream.
    ChangeStream(ResumeToken),
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Oplog(timestamp) => timestamp.fmt(f),
            Self::ChangeStream(token) => token.fmt(f),
        }
    }
}

/// Why a source ends.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The oplog cannot be read any more.
    #[error(transparent)]
    Oplog(#[from] TailError),
    /// The change stream cannot be read any more.
    #[error(transparent)]
    ChangeStream(#[from] StreamError),
    /// A start that only a change stream has.
    #[error(
        "the start is a resume token, a place in a change stream, but the oplog is read. Read a change stream \
         (--source change-stream), or start at a time"
    )]
    TokenForOplog,
    /// A start that only an oplog has.
    #[error(
        "a change stream cannot be read from its oldest change on: nobody but the server knows it. Start at a time \
         that its oplog still has, or read the oplog (--source oplog)"
    )]
    NoOldest,
}

impl SourceError {
    fn is_history_lost(&self) -> bool {
        match self {
            Self::Oplog(error) => error.is_history_lost(),
            Self::ChangeStream(error) => error.is_history_lost(),
            Self::TokenForOplog | Self::NoOldest => false,
        }
    }
}

/// The changes of a deployment, without end.
pub struct Live {
    follow: Follow,
    stream: Stream,
    /// By the streams before this one.
    skipped: Skipped,
}

enum Stream {
    Oplog(Box<Tail>),
    ChangeStream(Box<ChangeStream>),
}

impl Live {
    /// Begins to follow. The server is reading when this returns.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub async fn open(follow: Follow) -> Result<Self, SourceError> {
        let stream = match open(&follow, &follow.start).await {
            Err(error) if error.is_history_lost() => restart(&follow, error).await?,
            opened => opened?,
        };
        Ok(Self { follow, stream, skipped: Skipped::new() })
    }

    /// The next wanted ops, in order; where there are none for about a second, no ops.
    ///
    /// # Errors
    /// See [`SourceError`]. The source is of no more use then.
    pub async fn next(&mut self) -> Result<Vec<Op>, SourceError> {
        loop {
            let ops = match &mut self.stream {
                Stream::Oplog(tail) => tail.next().await.map_err(SourceError::from),
                Stream::ChangeStream(stream) => stream.next().await.map_err(SourceError::from),
            };
            match ops {
                Err(error) if error.is_history_lost() => {
                    let stream = restart(&self.follow, error).await?;
                    let before = std::mem::replace(&mut self.stream, stream);
                    add(&mut self.skipped, before.into_skipped());
                }
                ops => return ops,
            }
        }
    }

    /// Some of the ops that were read and not yet given out. None: there are no such ops.
    pub async fn buffered(&mut self) -> Option<Vec<Op>> {
        match &mut self.stream {
            Stream::Oplog(tail) => tail.buffered().await,
            Stream::ChangeStream(_) => None,
        }
    }

    /// How many ops were read and not given out.
    pub fn left(&self) -> usize {
        match &self.stream {
            Stream::Oplog(tail) => tail.left(),
            Stream::ChangeStream(_) => 0,
        }
    }

    /// Everything up to here was read. None: a change stream that has not said yet where it stands.
    pub fn position(&self) -> Option<Position> {
        match &self.stream {
            Stream::Oplog(tail) => Some(Position::Oplog(tail.position())),
            Stream::ChangeStream(stream) => stream.position().map(Position::ChangeStream),
        }
    }

    /// How much was skipped, by reason.
    pub fn into_skipped(mut self) -> Skipped {
        add(&mut self.skipped, self.stream.into_skipped());
        self.skipped
    }
}

impl Stream {
    fn into_skipped(self) -> Skipped {
        match self {
            Self::Oplog(tail) => tail.into_skipped(),
            Self::ChangeStream(stream) => stream.into_skipped(),
        }
    }
}

fn add(sum: &mut Skipped, more: Skipped) {
    for (skip, count) in more {
        *sum.entry(skip).or_default() += count;
    }
}

/// Goes on past what is lost, if that is the policy.
async fn restart(follow: &Follow, lost: SourceError) -> Result<Stream, SourceError> {
    let (start, from) = match follow.history_lost {
        HistoryLost::Stop => return Err(lost),
        HistoryLost::RestartFromOldest => (Start::Oldest, "the oldest change there is"),
        HistoryLost::RestartFromNow => (Start::Now, "now"),
    };
    tracing::error!("going on from {from}, as asked for: {lost}");
    open(follow, &start).await
}

async fn open(follow: &Follow, start: &Start) -> Result<Stream, SourceError> {
    let Follow { client, choice, selection, .. } = follow;
    match choice {
        Choice::Oplog(oplog) => {
            let start = match start {
                Start::Now => OplogStart::Now,
                Start::Oldest => OplogStart::Oldest,
                Start::After(timestamp) => OplogStart::After(*timestamp),
                Start::AfterOp(timestamp, index) => OplogStart::AfterOp(*timestamp, *index),
                Start::AfterToken(_) => return Err(SourceError::TokenForOplog),
            };
            let tail = Tail::open(client, oplog, selection.clone(), start).await?;
            Ok(Stream::Oplog(Box::new(tail)))
        }
        Choice::ChangeStream(_) => {
            let start = match start {
                Start::Now => StreamStart::Now,
                Start::Oldest => return Err(SourceError::NoOldest),
                Start::After(Timestamp { time, increment }) => {
                    let increment = increment.saturating_add(1);
                    StreamStart::At(Timestamp { time: *time, increment })
                }
                // The ops of one timestamp have no numbers there, so it may repeat some of them.
                Start::AfterOp(timestamp, _) => StreamStart::At(*timestamp),
                Start::AfterToken(token) => StreamStart::After(token.clone()),
            };
            let scope = change_stream::Scope::of(selection);
            let options = StreamOptions { pipeline: change_stream::wanted_events(selection) };
            let stream = ChangeStream::open(client, scope, selection.clone(), start, options).await?;
            Ok(Stream::ChangeStream(Box::new(stream)))
        }
    }
}
