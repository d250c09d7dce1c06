//! Reads a change stream, and resumes after a failure at its position.

use async_trait::async_trait;
use futures_util::StreamExt;
use gtm_mongo::wire::{MAX_AWAIT_TIME, reply, timed_for};
use gtm_mongo::{Backoff, Wait};
use gtm_oplog::{ChangeEventDecoder, Malformed, Reply, Selection, Skipped, Timestamp};
use mongodb::Client;
use mongodb::error::Error;
use mongodb::raw_batch_cursor::RawBatchCursor;

use super::error::StreamError;
use super::request::{ChangeStreamRequest, StreamOptions};
use super::scope::{Scope, WatchedScope};
use crate::batch::SourceBatch;
use crate::error::SourceError;
use crate::fewer_entries::fewer_entries;
use crate::live::SourceConfig;
use crate::position::{Position, just_before};
use crate::source::{Source, SourceEnd};
use crate::start_at::StartAt;

/// The number of events that a reply is assumed to have had if it was too large and no number was asked for.
const MAX_EVENTS: u32 = 1000;

/// A change stream from a position on, without end.
pub struct ChangeStream {
    client: Client,
    request: ChangeStreamRequest,
    /// Grows to the scope of this stream when the server lets it be watched.
    watched: WatchedScope,
    decoder: ChangeEventDecoder,
    /// After everything that was decoded.
    position: StartAt,
    /// The time of the last op.
    last_time: Option<Timestamp>,
    cursor: Option<ChangeStreamCursor>,
    /// The maximum number of events per reply. None: as many as the server sends in 16 MB.
    max_events: Option<u32>,
    /// What the reply that opened the cursor contained, until it is returned.
    opening: Option<SourceBatch>,
    backoff: Backoff,
}

struct ChangeStreamCursor {
    batches: RawBatchCursor,
    wait: Wait,
}

impl ChangeStream {
    /// Opens a stream of the changes in `scope` that `selection` wants, from `start` on. The cursor is open when this
    /// returns. A server that cannot open it now is asked again, without a limit. Whether the server can still read from
    /// the start is known after the first [`next`](Self::next).
    ///
    /// # Errors
    /// See [`StreamError`].
    pub async fn open(
        client: &Client,
        scope: Scope,
        selection: Selection,
        start: StartAt,
        options: StreamOptions,
    ) -> Result<Self, StreamError> {
        if start == StartAt::Oldest {
            return Err(StreamError::NoOldest);
        }
        let request = ChangeStreamRequest::new(scope.clone(), &selection, options)
            .map_err(|error| not_bson(&scope, &start, &error))?;
        let mut stream = Self {
            client: client.clone(),
            request,
            watched: WatchedScope::default(),
            decoder: ChangeEventDecoder::new(selection),
            position: start,
            last_time: None,
            cursor: None,
            max_events: None,
            opening: None,
            backoff: Backoff::default(),
        };
        stream.open_cursor().await?;
        Ok(stream)
    }

    /// Opens the stream of a deployment that is followed. Its scope has everything that the streams of the host watch.
    pub(crate) async fn follow(config: &SourceConfig) -> Result<Self, SourceError> {
        let SourceConfig { client, selection, watched, start, health, .. } = config;
        let scope = watched.with(selection);
        let mut stream =
            Self::open(client, scope, selection.clone(), start.clone(), StreamOptions::default()).await?;
        watched.add_scope(stream.request.scope());
        stream.watched = watched.clone();
        stream.backoff.report_to(health.reader());
        Ok(stream)
    }

    /// Returns the next wanted ops, in the order of the stream; no ops if none came for about a second. Waits for a server
    /// that does not answer, without a limit. The future can be dropped: nothing is lost, or returned twice.
    ///
    /// # Errors
    /// See [`StreamError`]. The stream must not be used again.
    pub async fn next(&mut self) -> Result<SourceBatch, StreamError> {
        loop {
            self.open_cursor().await?;
            if let Some(opening) = self.opening.take() {
                return Ok(opening);
            }
            let Some(cursor) = &mut self.cursor else { continue };
            let read = async { cursor.batches.next().await.transpose() };
            let error = match cursor.wait.timed_for(self.backoff.limit(), read).await {
                Ok(Some(batch)) => return self.decode(&reply(batch), false),
                Ok(None) => Error::custom("the server has closed its cursor"),
                Err(error) => error,
            };
            self.failed(&error).await?;
        }
    }

    /// Returns how many ops were read and not returned yet.
    pub fn left(&self) -> usize {
        self.opening.as_ref().map_or(0, |opening| opening.ops.len())
    }

    /// Returns the position after everything that was returned. It advances while no events come, too. None: the server
    /// has not sent a position yet, or ops are [left](Self::left).
    pub fn position(&self) -> Option<Position> {
        match &self.position {
            StartAt::After(position @ Position::ChangeStream(_)) if self.left() == 0 => {
                Some(position.clone())
            }
            _ => None,
        }
    }

    /// Replaces the selection for the events that are not read yet. Must be called only if no ops are
    /// [left](Self::left).
    ///
    /// If the server has to send other events, or to watch more, the cursor is opened again at the position; it is open
    /// when this returns. The scope only grows.
    ///
    /// # Errors
    /// See [`StreamError`]. The stream must not be used again.
    pub async fn reselect(&mut self, selection: Selection) -> Result<(), StreamError> {
        let is_other = self.request.reselect(&selection);
        if is_other.map_err(|error| not_bson(self.request.scope(), &self.position, &error))? {
            self.cursor = None;
            self.decoder.reopened();
        }
        self.decoder.reselect(selection);
        self.open_cursor().await
    }

    /// Returns how many events were skipped, by reason.
    pub fn into_skipped(self) -> Skipped {
        self.decoder.into_skipped()
    }

    /// Opens the cursor if it is not open.
    async fn open_cursor(&mut self) -> Result<(), StreamError> {
        while self.cursor.is_none() {
            match self.aggregate().await {
                Ok((batches, opening)) => {
                    self.watched.add_scope(self.request.scope());
                    self.cursor = Some(ChangeStreamCursor { batches, wait: Wait::default() });
                    self.opening = Some(self.decode(&opening, true)?);
                    return Ok(());
                }
                Err(error) if self.request.drop_unsupported(&error) => {}
                Err(error) => self.failed(&error).await?,
            }
        }
        Ok(())
    }

    /// Opens a cursor. Returns it with the reply that opened it.
    async fn aggregate(&mut self) -> mongodb::error::Result<(RawBatchCursor, Reply)> {
        let database = self.client.database(self.request.scope().database());
        let mut command = database.run_raw_cursor_command(self.request.command(&self.position));
        if let Some(max_events) = self.max_events {
            command = command.batch_size(max_events);
        }
        let opened = async {
            let mut batches = command.max_time(MAX_AWAIT_TIME).batch().await?;
            let opening = batches.next().await.transpose()?;
            let opening =
                opening.ok_or_else(|| Error::custom("the server opened a cursor without a reply"))?;
            Ok((batches, reply(opening)))
        };
        timed_for(self.backoff.limit(), opened).await
    }

    /// Waits after an error that another attempt may not meet. A cursor is of no use after any error.
    async fn failed(&mut self, error: &Error) -> Result<(), StreamError> {
        self.cursor = None;
        self.decoder.reopened();
        self.max_events = fewer_entries(self.max_events.unwrap_or(MAX_EVENTS), error).or(self.max_events);
        let token_time = match &self.position {
            // Not each server writes the time into its tokens.
            StartAt::After(position @ Position::ChangeStream(_)) => {
                position.cluster_time().or(self.last_time)
            }
            _ => None,
        };
        match (StreamError::of(error, self.request.scope(), &self.position), token_time) {
            // The server does not find the token's event: it may be of a collection that only a former, wider stream watched.
            (Some(error @ StreamError::Fatal { .. }), Some(time)) => {
                tracing::warn!(
                    event = "change_stream.resume_at_time", position = %self.position, %error,
                    "the server cannot resume after this event; resuming at its time, so changes of that time may repeat"
                );
                self.position = StartAt::Time(just_before(time));
                Ok(())
            }
            (Some(error), _) => Err(error),
            (None, _) => {
                self.backoff.pause("source.read_failed", "the change stream cannot be read", error).await;
                Ok(())
            }
        }
    }

    /// Returns the ops of a reply, and advances the position. `opened`: the reply opened the cursor, so it says nothing
    /// about the next one.
    fn decode(&mut self, reply: &Reply, opened: bool) -> Result<SourceBatch, StreamError> {
        let batch = self.decoder.read(reply)?;
        self.last_time = batch.ops.last().map(|op| op.timestamp).or(self.last_time);
        let is_empty = reply.documents()?.is_empty();
        // The request asks for no events in the reply that opens the cursor, so an empty one says nothing of the stream.
        let is_at_end = !opened && is_empty;
        let has_token = matches!(self.position, StartAt::After(Position::ChangeStream(_)));
        match batch.position {
            Some(_) if opened && is_empty && has_token => {}
            Some(token) => self.position = StartAt::After(Position::ChangeStream(token)),
            // This server sends no token before the first event: then its time.
            None if opened && self.position == StartAt::Now => self.position = time_of(reply)?,
            None => {}
        }
        if is_at_end && self.max_events.take().is_some() {
            // The events that were too large together are read.
            self.cursor = None;
            self.decoder.reopened();
        }
        if batch.invalidated {
            self.cursor = None;
            tracing::info!(
                event = "change_stream.reopen", scope = %self.request.scope(),
                "what the change stream watched was dropped or renamed; opening it again"
            );
        }
        if !opened && self.backoff.recovered() {
            tracing::info!(event = "source.recover", position = %self.position, "reading the change stream again");
        }
        Ok(SourceBatch {
            ops: batch.ops,
            position: self.position(),
            bytes: reply.size(),
            is_at_end,
            ..SourceBatch::default()
        })
    }
}

#[async_trait]
impl Source for ChangeStream {
    fn describe(&self) -> String {
        format!("the change stream of {}", self.request.scope())
    }

    async fn next(&mut self) -> Result<Option<SourceBatch>, SourceError> {
        Ok(Some(Self::next(self).await?))
    }

    fn left(&self) -> usize {
        Self::left(self)
    }

    fn position(&self) -> Option<Position> {
        Self::position(self)
    }

    async fn reselect(&mut self, selection: Selection) -> Result<(), SourceError> {
        Ok(Self::reselect(self, selection).await?)
    }

    fn end(self: Box<Self>) -> SourceEnd {
        SourceEnd { skipped: self.into_skipped(), files: None }
    }
}

fn not_bson(scope: &Scope, position: &StartAt, error: &bson::error::Error) -> StreamError {
    let reason = format!("a stage of its pipeline is not BSON: {error}");
    StreamError::Refused { scope: scope.clone(), position: position.clone(), reason }
}

/// Returns the position of a stream that began at "now": the time of the reply that opened it.
fn time_of(reply: &Reply) -> Result<StartAt, Malformed> {
    let time = reply.as_document()?.get_timestamp("operationTime");
    let time = time.map_err(|_| Malformed::Missing("operationTime"))?;
    Ok(StartAt::Time(just_before(time.into())))
}
