//! Follows a change stream, and comes back after a failure where it was.

use futures_util::StreamExt;
use gtm_mongo::wire::{MAX_AWAIT_TIME, reply, timed_for};
use gtm_mongo::{Backoff, SourceHealth, Wait};
use gtm_oplog::{ChangeEventDecoder, Malformed, Reply, ResumeToken, Selection, Skipped, StreamStart};
use mongodb::Client;
use mongodb::error::Error;
use mongodb::raw_batch_cursor::RawBatchCursor;

use super::error::StreamError;
use super::request::{ChangeStreamRequest, StreamOptions};
use super::scope::Scope;
use crate::batch::SourceBatch;
use crate::position::Position;

/// A reader of a change stream, from a position on, without end.
pub struct ChangeStream {
    client: Client,
    request: ChangeStreamRequest,
    reader: ChangeEventDecoder,
    /// Everything up to here was given out.
    position: StreamStart,
    cursor: Option<ChangeStreamCursor>,
    patience: Backoff,
}

struct ChangeStreamCursor {
    batches: RawBatchCursor,
    wait: Wait,
    /// The reply to the command that opened it has not been read yet. It says nothing of the next one.
    fresh: bool,
}

impl ChangeStream {
    /// Reads what changes in `scope`, from `start` on. The cursor is open when this returns. A server that
    /// cannot do it now is asked again, without end. Whether the place can still be read, it says at the first
    /// [`next`](Self::next).
    ///
    /// # Errors
    /// See [`StreamError`].
    pub async fn open(
        client: &Client,
        scope: Scope,
        selection: Selection,
        start: StreamStart,
        options: StreamOptions,
    ) -> Result<Self, StreamError> {
        let request =
            ChangeStreamRequest::new(scope.clone(), options).map_err(|error| StreamError::Refused {
                scope,
                position: start.clone(),
                reason: format!("a stage of its pipeline is not BSON: {error}"),
            })?;
        let mut stream = Self {
            client: client.clone(),
            request,
            reader: ChangeEventDecoder::new(selection),
            position: start,
            cursor: None,
            patience: Backoff::default(),
        };
        stream.cursor().await?;
        Ok(stream)
    }

    /// Returns the next wanted ops, in the order of the stream; no ops if there are none for about a second. Waits without
    /// end for a server that does not answer. This can be cancelled: nothing is lost, or given out twice.
    ///
    /// # Errors
    /// See [`StreamError`]. The stream is of no more use then.
    pub async fn next(&mut self) -> Result<SourceBatch, StreamError> {
        loop {
            let limit = self.patience.limit();
            let cursor = self.cursor().await?;
            let read = async { cursor.batches.next().await.transpose() };
            let error = match cursor.wait.timed_for(limit, read).await {
                Ok(Some(batch)) => return self.read(&reply(batch)),
                Ok(None) => Error::custom("the server has closed its cursor"),
                Err(error) => error,
            };
            self.failed(&error).await?;
        }
    }

    /// Everything up to here was given out. It moves on while nothing comes, too. None: the server has not said
    /// yet where the stream stands.
    pub fn position(&self) -> Option<ResumeToken> {
        match &self.position {
            StreamStart::After(token) => Some(token.clone()),
            _ => None,
        }
    }

    /// From now on, reports there whether the stream can be read.
    pub fn report_to(&mut self, health: &SourceHealth) {
        self.patience.report_to(health.reader());
    }

    /// How much was skipped, by reason.
    pub fn into_skipped(self) -> Skipped {
        self.reader.into_skipped()
    }

    /// The open cursor, opened where there is none.
    async fn cursor(&mut self) -> Result<&mut ChangeStreamCursor, StreamError> {
        loop {
            match self.cursor.take() {
                Some(cursor) => return Ok(self.cursor.insert(cursor)),
                None => match self.aggregate().await {
                    Ok(batches) => {
                        self.cursor = Some(ChangeStreamCursor { batches, wait: Wait::default(), fresh: true })
                    }
                    Err(error) if self.request.lower(&error) => {}
                    Err(error) => self.failed(&error).await?,
                },
            }
        }
    }

    async fn aggregate(&mut self) -> mongodb::error::Result<RawBatchCursor> {
        let database = self.client.database(self.request.scope().database());
        let command = database.run_raw_cursor_command(self.request.command(&self.position));
        timed_for(self.patience.limit(), command.max_time(MAX_AWAIT_TIME).batch()).await
    }

    /// Waits after what a further attempt may mend. A cursor is of no use after any error.
    async fn failed(&mut self, error: &Error) -> Result<(), StreamError> {
        self.cursor = None;
        self.reader.reopened();
        match StreamError::of(error, self.request.scope(), &self.position) {
            Some(error) => Err(error),
            None => {
                self.patience.pause("source.read_failed", "the change stream cannot be read", error).await;
                Ok(())
            }
        }
    }

    /// The ops of a reply.
    fn read(&mut self, reply: &Reply) -> Result<SourceBatch, StreamError> {
        let batch = self.reader.read(reply)?;
        let opened = self.cursor.as_mut().is_some_and(|cursor| std::mem::take(&mut cursor.fresh));
        // The reply that opened the cursor is always empty.
        let is_at_end = !opened && reply.documents()?.is_empty();
        match batch.position {
            Some(position) => self.position = position,
            // A server that gives no token for the place where nothing has come yet: then its time.
            None if opened && self.position == StreamStart::Now => self.position = time_of(reply)?,
            None => {}
        }
        if batch.invalidated {
            self.cursor = None;
            tracing::info!(
                event = "change_stream.reopen", scope = %self.request.scope(),
                "what the change stream watched was dropped or renamed; opening it again"
            );
        }
        if !opened && self.patience.recovered() {
            tracing::info!(event = "source.recover", position = %self.position, "reading the change stream again");
        }
        Ok(SourceBatch {
            ops: batch.ops,
            position: self.position().map(Position::ChangeStream),
            bytes: reply.size(),
            is_at_end,
            ..SourceBatch::default()
        })
    }
}

/// From when on a stream goes on that began at "now": the time of the reply that opened it.
fn time_of(reply: &Reply) -> Result<StreamStart, Malformed> {
    let time = reply.as_document()?.get_timestamp("operationTime");
    time.map(|time| StreamStart::At(time.into())).map_err(|_| Malformed::Missing("operationTime"))
}
