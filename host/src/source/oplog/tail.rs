//! Follows the oplog, and comes back after a failure where it was.

use std::time::Duration;

use bson::{RawDocument, RawDocumentBuf, doc};
use bytes::Bytes;
use futures_util::StreamExt;
use mongodb::error::Error;
use mongodb::options::{CursorType, ReadConcern};
use mongodb::raw_batch_cursor::{RawBatch, RawBatchCursor};
use mongodb::{Client, Collection, Namespace};

use super::entry::Entry;
use super::lookup::{self, Refused};
use super::reader::Reader;
use crate::op::{Op, Timestamp};
use crate::source::connect::Deployment;
use crate::source::patience::Patience;
use crate::source::reply::{Reply, document};
use crate::source::server_error::{UNAUTHORIZED, command_code, sentence};
use crate::source::wire::{reply, timed};
use crate::source::{Malformed, Selection, Skipped, Start};

/// How long the server holds a read that finds nothing: the rhythm of an idle stream.
const AWAIT: Duration = Duration::from_secs(1);
/// Between reads of an oplog that is empty: the server closes a cursor on an empty capped collection.
const EMPTY: Duration = Duration::from_millis(250);

const BAD_VALUE: i32 = 2;
/// The server's answers that no second try mends: BadValue, Unauthorized, AuthenticationFailed,
/// CommandNotFound, InvalidNamespace, CommandNotSupported.
const FINAL: [i32; 6] = [BAD_VALUE, UNAUTHORIZED, 18, 59, 73, 115];

/// Why a tail ends.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// The server refuses to be read, now and later.
    #[error("the oplog {oplog} cannot be read: {reason}. {remedy}")]
    Refused {
        /// Which oplog.
        oplog: Namespace,
        /// What the server says.
        reason: String,
        /// What can be done.
        remedy: &'static str,
    },
    /// The oplog has moved on past the start that was asked for.
    #[error(
        "the oplog begins at {oldest}, after the start {start}: changes between the two cannot be read any more. To go on \
         without them, start with --start oldest"
    )]
    StartLost {
        /// The start.
        start: Timestamp,
        /// The oldest entry there is.
        oldest: Timestamp,
    },
    /// The oplog has moved on past the position.
    #[error(
        "history is lost: the last change read is of {position}, but the oplog now begins at {oldest}. Changes \
         between the two were not seen. Make the oplog larger (replSetResizeOplog) or the pauses shorter; started \
         again, gtm-host goes on from now"
    )]
    HistoryLost {
        /// Up to which all was read.
        position: Timestamp,
        /// The oldest entry there is.
        oldest: Timestamp,
    },
    /// The last entry read is not in the oplog any more, though older ones are.
    #[error(
        "the oplog has another history: the change of {position}, read before, is not in it any more, and {found} comes \
         next. Was the server restored from a backup? Started again, gtm-host goes on from now"
    )]
    Diverged {
        /// The last entry read.
        position: Timestamp,
        /// What stands in its place.
        found: Timestamp,
    },
    /// The server answers in a way that is no MongoDB's.
    #[error("the server's reply cannot be read: {0}")]
    Reply(#[from] Malformed),
}

/// A reader of the oplog, from a position on, without end.
pub struct Tail {
    client: Client,
    oplog: Collection<RawDocumentBuf>,
    reader: Reader,
    /// Read, and not yet given out.
    decoded: Vec<Op>,
    /// Of how many ops the documents are looked up next.
    at_once: usize,
    /// Everything up to here was read.
    position: Timestamp,
    /// Whether an entry was read at `position`, so that it must be there again.
    anchored: bool,
    cursor: Option<Cursor>,
    patience: Patience,
    said_empty: bool,
    /// Whose documents may not be looked up.
    refused: Refused,
}

struct Cursor {
    batches: RawBatchCursor,
    /// An entry has come: where the tail is anchored, the first was the anchor.
    confirmed: bool,
    /// Nothing past the position has come.
    fresh: bool,
}

impl Tail {
    /// Reads `oplog` from `start` on. The cursor is open when this returns.
    ///
    /// # Errors
    /// The server does not let it be read, or the oplog begins after the start.
    pub async fn open(
        client: &Client,
        oplog: &Namespace,
        deployment: &Deployment,
        selection: Selection,
        start: Start,
    ) -> Result<Self, TailError> {
        let mut tail = Self {
            client: client.clone(),
            oplog: client.database(&oplog.db).collection(&oplog.coll),
            reader: Reader::new(selection),
            decoded: Vec::new(),
            at_once: lookup::MOST,
            position: Timestamp::default(),
            anchored: false,
            cursor: None,
            patience: Patience::default(),
            said_empty: false,
            refused: Refused::default(),
        };
        tail.position = match start {
            Start::Now => tail.now(deployment).await?,
            Start::Oldest => Timestamp::default(),
            Start::After(position) => position,
        };
        // Where an entry stands at the position, it must still be there when the oplog is next opened.
        // (The test server's time of the last write is that of no entry.)
        tail.anchored = tail.entry_at(tail.position).await?.is_some();
        if let (Start::After(start), false) = (start, tail.anchored) {
            tail.begins_before(start).await?;
        }
        tail.cursor = Some(tail.find().await.map_err(|error| tail.refusal(&error))?);
        Ok(tail)
    }

    async fn now(&mut self, deployment: &Deployment) -> Result<Timestamp, TailError> {
        let oplog = self.oplog.namespace();
        match deployment.majority {
            // The server's own time of the last write says nothing of another collection.
            Some(majority) if (oplog.db.as_str(), oplog.coll.as_str()) == ("local", "oplog.rs") => {
                Ok(majority)
            }
            _ => Ok(self.edge(-1).await.map_err(|error| self.refusal(&error))?.unwrap_or_default()),
        }
    }

    async fn begins_before(&mut self, start: Timestamp) -> Result<(), TailError> {
        let oldest = self.edge(1).await.map_err(|error| self.refusal(&error))?;
        let Some(oldest) = oldest.filter(|oldest| *oldest > start) else { return Ok(()) };
        // The first entry that a replica set ever writes: nothing was before it.
        let entry = self.entry_at(oldest).await?;
        let entry = entry.as_ref().and_then(|entry| Entry::parse(RawDocument::from_bytes(entry).ok()?).ok());
        let message = entry.and_then(|entry| entry.object?.get_str("msg").ok());
        if message == Some("initiating set") { Ok(()) } else { Err(TailError::StartLost { start, oldest }) }
    }

    /// Everything up to here was read.
    pub fn position(&self) -> Timestamp {
        self.position
    }

    /// How many entries were skipped, by reason.
    pub fn into_skipped(self) -> Skipped {
        self.reader.into_skipped()
    }

    /// The next wanted ops, in the order of the oplog; where there are none for about a second, no ops. A
    /// server that does not answer is waited for, without end.
    ///
    /// # Errors
    /// See [`TailError`]. The tail is of no more use then.
    pub async fn next(&mut self) -> Result<Vec<Op>, TailError> {
        if self.decoded.is_empty() {
            let reply = self.reply().await?;
            self.decode(&reply).await?;
        }
        Ok(self.look_up().await)
    }

    /// Some of the ops that were read and not yet given out. None: there are no such ops.
    pub async fn buffered(&mut self) -> Option<Vec<Op>> {
        if self.decoded.is_empty() { None } else { Some(self.look_up().await) }
    }

    /// How many ops were read and not given out.
    pub fn left(&self) -> usize {
        self.decoded.len()
    }

    async fn reply(&mut self) -> Result<Reply, TailError> {
        loop {
            let error = match timed(self.read()).await {
                Ok(Some(batch)) => {
                    self.recovered();
                    return Ok(reply(batch));
                }
                Ok(None) => {
                    self.recovered();
                    self.cursor = None;
                    if !std::mem::replace(&mut self.said_empty, true) {
                        tracing::warn!(
                            "{} is empty or does not exist: waiting for its first entry",
                            self.oplog.namespace()
                        );
                    }
                    tokio::time::sleep(EMPTY).await;
                    continue;
                }
                Err(error) => error,
            };
            // A cursor is of no use after any error.
            self.cursor = None;
            if is_final(&error) {
                return Err(self.refusal(&error));
            }
            self.patience.pause("the oplog cannot be read", &error).await;
        }
    }

    /// The next reply. None: the server has closed the cursor.
    async fn read(&mut self) -> mongodb::error::Result<Option<RawBatch>> {
        let cursor = match self.cursor.take() {
            Some(cursor) => cursor,
            None => self.find().await?,
        };
        self.cursor.insert(cursor).batches.next().await.transpose()
    }

    async fn find(&mut self) -> mongodb::error::Result<Cursor> {
        // `ts` alone at the top of the filter lets the server seek. Nothing else is filtered out
        // there: what is not wanted moves the position of an idle stream.
        let filter = doc! { "ts": { "$gte": bson::Timestamp::from(self.position) } };
        let find = self.oplog.find(filter).cursor_type(CursorType::TailableAwait).max_await_time(AWAIT);
        let batches = timed(find.read_concern(ReadConcern::majority()).batch()).await?;
        Ok(Cursor { batches, confirmed: !self.anchored, fresh: true })
    }

    /// Adds the ops of a reply to those that are decoded.
    async fn decode(&mut self, reply: &Reply) -> Result<(), TailError> {
        let position = self.position;
        let mut fresh = false;
        if let Some(cursor) = &mut self.cursor {
            fresh = cursor.fresh;
            if let (false, Some(first)) = (cursor.confirmed, first_timestamp(reply)?) {
                cursor.confirmed = true;
                if first != position {
                    return Err(self.history_error(first).await);
                }
            }
        }
        for value in reply.documents()? {
            let entry = value
                .map_err(Malformed::from)
                .and_then(document)
                .and_then(|document| Ok((document, Entry::parse(document)?)));
            let (document, entry) = match entry {
                Ok(entry) => entry,
                Err(malformed) => {
                    self.reader.malformed(&malformed);
                    continue;
                }
            };
            fresh &= entry.timestamp <= position;
            if fresh {
                continue;
            }
            while let Err(missing) = self.reader.read(reply, document, &entry, &mut self.decoded) {
                let earlier = self.entry_at(missing.0).await?;
                self.reader.supply(&entry, missing, earlier);
            }
            self.position = entry.timestamp;
            self.anchored = true;
        }
        if let Some(cursor) = &mut self.cursor {
            cursor.fresh = fresh;
        }
        Ok(())
    }

    /// The entry at a place, if there is one.
    async fn entry_at(&mut self, timestamp: Timestamp) -> Result<Option<Bytes>, TailError> {
        loop {
            let find = self.oplog.find_one(doc! { "ts": bson::Timestamp::from(timestamp) });
            match timed(async { find.read_concern(ReadConcern::majority()).await }).await {
                Ok(entry) => return Ok(entry.map(|entry| entry.into_bytes().into())),
                Err(error) if is_final(&error) => return Err(self.refusal(&error)),
                Err(error) => self.patience.pause("an entry of the oplog cannot be read", &error).await,
            }
        }
    }

    /// Takes some of the decoded ops, with their full documents: as many as the documents have room for.
    async fn look_up(&mut self) -> Vec<Op> {
        loop {
            let count = self.decoded.len().min(self.at_once);
            let Some(ops) = self.decoded.get_mut(..count) else { return Vec::new() };
            match timed(lookup::full_documents(&self.client, ops, &mut self.refused)).await {
                Ok(true) => {
                    self.at_once = (self.at_once * 2).min(lookup::MOST);
                    let rest = self.decoded.split_off(count);
                    return std::mem::replace(&mut self.decoded, rest);
                }
                Ok(false) => self.at_once = (count / 2).max(1),
                Err(error) => self.patience.pause("the documents of updates cannot be read", &error).await,
            }
        }
    }

    /// Why the anchor is not there.
    async fn history_error(&mut self, found: Timestamp) -> TailError {
        let position = self.position;
        loop {
            match self.edge(1).await {
                Ok(Some(oldest)) if oldest <= position => return TailError::Diverged { position, found },
                Ok(oldest) => return TailError::HistoryLost { position, oldest: oldest.unwrap_or(found) },
                Err(error) if is_final(&error) => return self.refusal(&error),
                Err(error) => {
                    self.patience.pause("the oldest entry of the oplog cannot be read", &error).await
                }
            }
        }
    }

    /// The oldest (1) or newest (-1) entry.
    async fn edge(&mut self, direction: i32) -> mongodb::error::Result<Option<Timestamp>> {
        let find =
            self.oplog.find_one(doc! {}).sort(doc! { "$natural": direction }).projection(doc! { "ts": 1 });
        let entry = timed(async { find.read_concern(ReadConcern::majority()).await }).await?;
        Ok(entry.and_then(|entry| entry.get_timestamp("ts").ok()).map(Timestamp::from))
    }

    fn recovered(&mut self) {
        if self.patience.recovered() {
            tracing::info!("reading the oplog again, from {} on", self.position);
        }
    }

    fn refusal(&self, error: &Error) -> TailError {
        let remedy = match command_code(error) {
            Some(BAD_VALUE) => "--oplog takes local.oplog.rs or another capped collection",
            Some(UNAUTHORIZED) => "Give the user the role read on that database",
            _ => "Is the server well? Then this is for its log to say",
        };
        TailError::Refused { oplog: self.oplog.namespace(), reason: sentence(error), remedy }
    }
}

fn first_timestamp(reply: &Reply) -> Result<Option<Timestamp>, Malformed> {
    let Some(first) = reply.documents()?.into_iter().next() else { return Ok(None) };
    let timestamp = first?.as_document().and_then(|entry| entry.get_timestamp("ts").ok());
    Ok(timestamp.map(Timestamp::from))
}

fn is_final(error: &Error) -> bool {
    command_code(error).is_some_and(|code| FINAL.contains(&code))
}
