//! Follows a change stream, and comes back after a failure where it was.

use std::time::Duration;

use bson::RawDocument;
use futures_util::StreamExt;
use mongodb::Client;
use mongodb::error::Error;
use mongodb::raw_batch_cursor::{RawBatch, RawBatchCursor};

use super::error::StreamError;
use super::reader::{Read, Reader};
use super::request::{Request, StreamOptions};
use super::scope::Scope;
use super::token::{ResumeToken, StreamStart};
use crate::op::Op;
use crate::source::patience::Patience;
use crate::source::reply::document;
use crate::source::wire::{reply, timed_for};
use crate::source::{Malformed, Selection, Skipped};

/// How long the server holds a read that finds nothing: the rhythm of an idle stream.
const AWAIT: Duration = Duration::from_secs(1);

/// A read that takes longer than this is given up. The server answers only when it has found an event or read its oplog
/// to the end, which takes minutes where a stream goes on far back and wants little of what is there.
const READ_TIMEOUT: Duration = Duration::from_secs(600);

/// A reader of a change stream, from a position on, without end.
pub struct ChangeStream {
    client: Client,
    request: Request,
    reader: Reader,
    /// Everything up to here was given out.
    position: StreamStart,
    cursor: Option<Cursor>,
    patience: Patience,
}

struct Cursor {
    batches: RawBatchCursor,
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
        let request = Request::new(scope.clone(), options).map_err(|error| StreamError::Refused {
            scope,
            position: start.clone(),
            reason: format!("a stage of its pipeline is not BSON: {error}"),
        })?;
        let mut stream = Self {
            client: client.clone(),
            request,
            reader: Reader::new(selection),
            position: start,
            cursor: None,
            patience: Patience::default(),
        };
        stream.cursor().await?;
        Ok(stream)
    }

    /// The next wanted ops, in the order of the stream; where there are none for about a second, no ops. A
    /// server that does not answer is waited for, without end. Nothing that was read is lost, or given twice,
    /// when this is dropped before it is done.
    ///
    /// # Errors
    /// See [`StreamError`]. The stream is of no more use then.
    pub async fn next(&mut self) -> Result<Vec<Op>, StreamError> {
        loop {
            let cursor = self.cursor().await?;
            let read = async { cursor.batches.next().await.transpose() };
            let error = match timed_for(READ_TIMEOUT, read).await {
                Ok(Some(batch)) => return self.read(batch),
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

    /// How much was skipped, by reason.
    pub fn into_skipped(self) -> Skipped {
        self.reader.into_skipped()
    }

    /// The open cursor, opened where there is none.
    async fn cursor(&mut self) -> Result<&mut Cursor, StreamError> {
        loop {
            match self.cursor.take() {
                Some(cursor) => return Ok(self.cursor.insert(cursor)),
                None => match self.aggregate().await {
                    Ok(batches) => self.cursor = Some(Cursor { batches, fresh: true }),
                    Err(error) if self.request.lower(&error) => {}
                    Err(error) => self.failed(&error).await?,
                },
            }
        }
    }

    async fn aggregate(&self) -> mongodb::error::Result<RawBatchCursor> {
        let database = self.client.database(self.request.scope().database());
        let command = database.run_raw_cursor_command(self.request.command(&self.position));
        timed_for(READ_TIMEOUT, command.max_time(AWAIT).batch()).await
    }

    /// Waits after what a further attempt may mend. A cursor is of no use after any error.
    async fn failed(&mut self, error: &Error) -> Result<(), StreamError> {
        self.cursor = None;
        self.reader.reopened();
        match StreamError::of(error, self.request.scope(), &self.position) {
            Some(error) => Err(error),
            None => {
                self.patience.pause("the change stream cannot be read", error).await;
                Ok(())
            }
        }
    }

    /// The ops of a reply.
    fn read(&mut self, batch: RawBatch) -> Result<Vec<Op>, StreamError> {
        let after_batch = place_after(batch.as_raw_document(), &self.position);
        let reply = reply(batch);
        let mut ops = Vec::new();
        let mut last = None;
        let mut invalidated = false;
        for value in reply.documents()? {
            match value.map_err(Malformed::from).and_then(document) {
                Ok(event) => {
                    let read = self.reader.read(&reply, event, &mut ops);
                    if read != Read::Fragment {
                        last = event.get_document("_id").ok().or(last);
                    }
                    invalidated |= read == Read::Invalidate;
                }
                Err(malformed) => {
                    self.reader.malformed(&malformed);
                }
            }
        }
        let read = last.map(|token| StreamStart::After(ResumeToken::new(token)));
        let fresh = self.cursor.as_mut().is_some_and(|cursor| std::mem::take(&mut cursor.fresh));
        // Amid the fragments of an event, the place after the batch is amid them too.
        let position =
            if invalidated || self.reader.is_amid_fragments() { read } else { after_batch.or(read) };
        self.position = position.unwrap_or_else(|| self.position.clone());
        if invalidated {
            self.cursor = None;
            tracing::info!(
                "the change stream of {} has ended, as what it watched was dropped or renamed: it is opened again",
                self.request.scope()
            );
        } else if !fresh && self.patience.recovered() {
            tracing::info!("reading the change stream again, from {} on", self.position);
        }
        Ok(ops)
    }
}

/// The place after a reply, as the server says it: a token, or in the first reply of servers without, the time.
fn place_after(reply: &RawDocument, position: &StreamStart) -> Option<StreamStart> {
    let token = reply.get_document("cursor").and_then(|cursor| cursor.get_document("postBatchResumeToken"));
    match (token, position) {
        (Ok(token), _) => Some(StreamStart::After(ResumeToken::new(token))),
        (Err(_), StreamStart::Now) => {
            Some(StreamStart::At(reply.get_timestamp("operationTime").ok()?.into()))
        }
        _ => None,
    }
}
