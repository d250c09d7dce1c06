//! A deployment that is followed: the documents that are there, where they are wanted; then its changes, from a
//! start on, and past a history that is lost, as the policy says.

use std::fmt;

use mongodb::Client;
use serde::Deserialize;

use super::change_stream::{self, ChangeStream, ResumeToken, StreamError, StreamOptions, StreamStart};
use super::choice::Choice;
use super::oplog::{OplogStart, Tail, TailError};
use super::server_error::sentence;
use super::snapshot::{Display, Options, ProgressFile, Snapshot, SnapshotError, Standing};
use super::wire::timed;
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
    /// It takes a snapshot, having said so, and goes on from where that began.
    Snapshot,
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
    /// Whether the documents that are there come first.
    pub snapshot: bool,
    /// Where the progress of a snapshot is kept. None: it is not kept.
    pub progress_file: Option<ProgressFile>,
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
    /// The documents that are there cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The server does not say what time it is, which a snapshot needs to begin.
    #[error("the server cannot be asked for its time, at which the snapshot would begin: {0}")]
    NoTime(String),
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
            Self::Snapshot(_) | Self::NoTime(_) | Self::TokenForOplog | Self::NoOldest => false,
        }
    }
}

/// The changes of a deployment, without end.
pub struct Live {
    follow: Follow,
    /// What is still to be given out before the stream.
    snapshot: Option<Box<Taking>>,
    stream: Stream,
    /// By the streams before this one.
    skipped: Skipped,
}

enum Stream {
    Oplog(Box<Tail>),
    ChangeStream(Box<ChangeStream>),
}

/// A snapshot that is being taken.
struct Taking {
    snapshot: Snapshot,
    display: Display,
}

impl Live {
    /// Begins to follow. The server is reading when this returns.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub async fn open(mut follow: Follow) -> Result<Self, SourceError> {
        match Self::start(&mut follow).await {
            Err(error) if error.is_history_lost() => Self::past(follow, error).await,
            Err(error) => Err(error),
            Ok((snapshot, stream)) => Ok(Self { follow, snapshot, stream, skipped: Skipped::new() }),
        }
    }

    async fn start(follow: &mut Follow) -> Result<(Option<Box<Taking>>, Stream), SourceError> {
        let at = if follow.snapshot { begin(follow).await? } else { None };
        let stream = open(follow, &follow.start).await?;
        let snapshot = match at {
            Some(at) => Some(Taking::plan(follow, at).await?),
            None => None,
        };
        Ok((snapshot, stream))
    }

    /// Goes on past what is lost, if that is the policy.
    async fn past(mut follow: Follow, lost: SourceError) -> Result<Self, SourceError> {
        let (start, from) = match follow.history_lost {
            HistoryLost::Stop => return Err(lost),
            HistoryLost::RestartFromOldest => (Start::Oldest, "from the oldest change there is"),
            HistoryLost::RestartFromNow => (Start::Now, "from now"),
            HistoryLost::Snapshot => (Start::Now, "with a snapshot"),
        };
        tracing::error!("going on {from}, as asked for: {lost}");
        follow.start = start;
        follow.snapshot = follow.history_lost == HistoryLost::Snapshot;
        if let (true, Some(file)) = (follow.snapshot, &follow.progress_file) {
            file.remove().await?;
        }
        let (snapshot, stream) = Self::start(&mut follow).await?;
        Ok(Self { follow, snapshot, stream, skipped: Skipped::new() })
    }

    /// The next wanted ops: those of the snapshot first, where there is one, in no order; then the changes, in
    /// theirs. Where there are none for about a second, no ops.
    ///
    /// To ask for more says that the ops of a snapshot given out before are done.
    ///
    /// # Errors
    /// See [`SourceError`]. The source is of no more use then.
    pub async fn next(&mut self) -> Result<Vec<Op>, SourceError> {
        loop {
            if let Some(taking) = &mut self.snapshot {
                match taking.next().await? {
                    Some(ops) => return Ok(ops),
                    None => self.snapshot = None,
                }
            }
            let ops = match &mut self.stream {
                Stream::Oplog(tail) => tail.next().await.map_err(SourceError::from),
                Stream::ChangeStream(stream) => stream.next().await.map_err(SourceError::from),
            };
            match ops {
                Err(error) if error.is_history_lost() => {
                    let next = Self::past(self.follow.clone(), error).await?;
                    let before = std::mem::replace(self, next);
                    self.skipped = before.into_skipped();
                }
                ops => return ops,
            }
        }
    }

    /// The ops of a snapshot given out before are done, and no more are wanted now.
    ///
    /// # Errors
    /// That cannot be kept.
    pub async fn confirm(&mut self) -> Result<(), SourceError> {
        match &mut self.snapshot {
            Some(taking) => Ok(taking.snapshot.confirm().await?),
            None => Ok(()),
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
        let of_stream = match self.stream {
            Stream::Oplog(tail) => tail.into_skipped(),
            Stream::ChangeStream(stream) => stream.into_skipped(),
        };
        for (skip, count) in of_stream {
            *self.skipped.entry(skip).or_default() += count;
        }
        self.skipped
    }
}

impl Taking {
    async fn plan(follow: &Follow, at: Timestamp) -> Result<Box<Self>, SourceError> {
        let options = Options { file: follow.progress_file.clone(), ..Options::default() };
        let snapshot = Snapshot::plan(&follow.client, &mut follow.selection.clone(), at, options).await?;
        Ok(Box::new(Self { snapshot, display: Display::new("snapshot") }))
    }

    async fn next(&mut self) -> Result<Option<Vec<Op>>, SourceError> {
        let ops = self.snapshot.next().await?;
        let progress = self.snapshot.progress();
        match ops {
            Some(_) => self.display.show(&progress),
            None => self.display.finish(&progress),
        }
        Ok(ops)
    }
}

/// Looks how far a snapshot came, and sets the start of the stream to where it began. Gives back when that was;
/// none where it is complete.
async fn begin(follow: &mut Follow) -> Result<Option<Timestamp>, SourceError> {
    let standing = match &follow.progress_file {
        Some(file) => Snapshot::standing(file, &follow.selection).await?,
        None => Standing::None,
    };
    let (at, left) = match standing {
        Standing::None => (now(follow).await?, true),
        Standing::Unfinished(at) => {
            tracing::info!("going on with the snapshot that was begun at {at}");
            (at, true)
        }
        Standing::Complete(at) => {
            tracing::info!("the snapshot that was begun at {at} is complete");
            (at, false)
        }
    };
    if follow.start == Start::Now {
        follow.start = Start::After(at);
    }
    Ok(left.then_some(at))
}

/// The time of the server.
async fn now(follow: &Follow) -> Result<Timestamp, SourceError> {
    if let Choice::Oplog(oplog) = &follow.choice {
        return Ok(Tail::newest(&follow.client, oplog).await?.unwrap_or_default());
    }
    let hello = follow.client.database("admin");
    let hello = timed(async { hello.run_command(bson::doc! { "hello": 1 }).await }).await;
    let time = hello.map_err(|error| SourceError::NoTime(sentence(&error)))?;
    let time = time.get_timestamp("operationTime").map_err(|error| SourceError::NoTime(error.to_string()))?;
    Ok(time.into())
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
