//! Follows the oplog, and comes back after a failure where it was.

use std::collections::VecDeque;
use std::time::Duration;

use async_trait::async_trait;
use bson::Document;
use gtm_mongo::Wait;
use gtm_mongo::server_error::is_timeout;
use gtm_mongo::wire::timed;
use gtm_oplog::compact::compact_documents;
use gtm_oplog::entry::pushdown::wanted_entries;
use gtm_oplog::{Malformed, Op, OpPlace, OplogDecoder, OplogEntry, Reply, Selection, Skipped, Timestamp};
use mongodb::{Client, Namespace};

use super::batch_size::BatchSize;
use super::collection::Oplog;
use super::error::OplogError;
use super::lookup::{self, RefusedNamespaces};
use super::read_ahead::ReadAhead;
use crate::batch::SourceBatch;
use crate::error::SourceError;
use crate::live::SourceConfig;
use crate::position::Position;
use crate::source::{Source, SourceEnd};
use crate::start::Start;

/// Between reads of an oplog that is empty: the server closes a cursor on an empty capped collection.
const EMPTY: Duration = Duration::from_millis(250);
/// Of so many replies without an entry, one makes the position move on: five seconds' worth.
const IDLE: u32 = 5;

/// Where in the oplog reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OplogStart {
    /// After the last entry that a majority has.
    Now,
    /// With the oldest entry.
    Oldest,
    /// After the entry at this place, or where it would stand.
    After(Timestamp),
    /// After this op of the entry at this place.
    AfterOp(Timestamp, u32),
    /// After the entry at this place, or this op of it. It was read before, so it must be there still.
    Resume(Timestamp, Option<u32>),
}

/// A reader of the oplog, from a position on, without end.
pub struct OplogTailer {
    oplog: Oplog,
    reader: OplogDecoder,
    /// Which entries the server is asked for. None: all.
    wanted: Option<Document>,
    /// Read, and not yet given out.
    decoded: VecDeque<Op>,
    /// Of how many ops the documents are looked up next.
    at_once: usize,
    /// Everything up to here was read.
    position: Timestamp,
    /// Of the entry at `position`, only the ops up to this one were given out before. None: all of them.
    given_out: Option<u32>,
    /// Whether an entry was read at `position`, so that it must be there again.
    anchored: bool,
    cursor: Option<OplogCursor>,
    batch_size: BatchSize,
    /// Replies without an entry, one after another.
    empty: u32,
    /// When the cursor next finds nothing, everything up to here was read.
    probe: Option<Timestamp>,
    said_empty: bool,
    /// The memory that those of `decoded` keep in use: each part of a reply keeps all of it.
    kept: usize,
    /// Whose documents may not be looked up.
    refused: RefusedNamespaces,
}

struct OplogCursor {
    batches: ReadAhead,
    wait: Wait,
    /// An entry has come: where the tail is anchored, the first was the anchor.
    confirmed: bool,
    /// Nothing past the position has come.
    fresh: bool,
    /// A reply is being decoded. Where it is still so when more is wanted, that was cancelled, and the rest of the reply
    /// must be read again.
    decoding: bool,
}

impl OplogTailer {
    /// Reads `oplog` from `start` on. The cursor is open when this returns.
    ///
    /// # Errors
    /// The server does not let it be read, the oplog begins after the start, or has not come to it.
    pub async fn open(
        client: &Client,
        oplog: &Namespace,
        selection: Selection,
        start: OplogStart,
    ) -> Result<Self, OplogError> {
        let mut oplog = Oplog::new(client, oplog);
        let (position, given_out) = match start {
            OplogStart::Now => (oplog.newest().await?.unwrap_or_default(), None),
            OplogStart::Oldest => (Timestamp::default(), None),
            OplogStart::After(position) => (position, None),
            OplogStart::AfterOp(position, index) => (position, Some(index)),
            OplogStart::Resume(position, index) => (position, index),
        };
        // Where an entry stands at the position, it must still be there when the oplog is next opened.
        // (The test server's time of the last write is that of no entry.)
        let was_read = matches!(start, OplogStart::Resume(..));
        let anchored = was_read || oplog.entry_at(position).await?.is_some();
        let mut tail = Self {
            oplog,
            wanted: wanted_entries(&selection),
            reader: OplogDecoder::new(selection),
            decoded: VecDeque::new(),
            at_once: lookup::MOST,
            position,
            given_out: given_out.filter(|_| anchored),
            anchored,
            cursor: None,
            batch_size: BatchSize::default(),
            empty: 0,
            probe: None,
            said_empty: false,
            kept: 0,
            refused: RefusedNamespaces::default(),
        };
        tail.cursor().await?;
        Ok(tail)
    }

    /// Opens the oplog of a deployment that is followed.
    pub(crate) async fn follow(config: &SourceConfig, oplog: &Namespace) -> Result<Self, SourceError> {
        let start = match &config.start {
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
        let mut tailer = Self::open(&config.client, oplog, config.selection.clone(), start).await?;
        tailer.oplog.patience.report_to(config.health.reader());
        Ok(tailer)
    }

    /// Where a majority has `oplog` now. None: it is empty.
    ///
    /// # Errors
    /// The server does not let it be read.
    pub async fn newest(client: &Client, oplog: &Namespace) -> Result<Option<Timestamp>, OplogError> {
        Oplog::new(client, oplog).newest().await
    }

    /// The oldest entry of `oplog`, if others were rolled off that came after `start`.
    ///
    /// # Errors
    /// The server does not let it be read.
    pub async fn rolled_off(
        client: &Client,
        oplog: &Namespace,
        start: Timestamp,
    ) -> Result<Option<Timestamp>, OplogError> {
        Oplog::new(client, oplog).rolled_off(start).await
    }

    /// Returns the position up to which everything was read. None while ops are [left](Self::left).
    pub fn position(&self) -> Option<Position> {
        let position = if self.anchored { Position::Oplog } else { Position::OplogTime };
        self.decoded.is_empty().then(|| position(self.position))
    }

    /// From now on, reads what this selection wants. To be called when nothing is [left](Self::left). The cursor is open
    /// when this returns.
    ///
    /// # Errors
    /// See [`OplogError`]. The tail is of no more use then.
    pub async fn reselect(&mut self, selection: Selection) -> Result<(), OplogError> {
        let wanted = wanted_entries(&selection);
        self.reader.reselect(selection);
        if wanted != self.wanted {
            (self.wanted, self.cursor) = (wanted, None);
        }
        self.cursor().await.map(drop)
    }

    /// How many entries were skipped, by reason.
    pub fn into_skipped(self) -> Skipped {
        self.reader.into_skipped()
    }

    /// Returns the next wanted ops, in the order of the oplog; no ops if there are none for about a second. A batch has a
    /// position if no ops are [left](Self::left) after it. Waits without end for a server that does not answer. This can
    /// be cancelled: nothing is lost.
    ///
    /// # Errors
    /// See [`OplogError`]. The tail is of no more use then.
    pub async fn next(&mut self) -> Result<SourceBatch, OplogError> {
        if self.decoded.is_empty() {
            let reply = self.reply().await?;
            self.kept = reply.size();
            self.set_decoding(true);
            let entries = self.decode(&reply).await?;
            self.set_decoding(false);
            self.kept = compact_documents(self.decoded.make_contiguous(), reply.size());
            // A cursor keeps the number that it was opened with. Where nothing new has come, it is kept.
            let moved = self.anchored && self.cursor.as_ref().is_some_and(|cursor| !cursor.fresh);
            if moved && self.batch_size.adjust(entries, reply.size()) {
                self.cursor = None;
            }
        }
        Ok(self.look_up().await)
    }

    /// Returns how many ops were read and not given out. The next of them come without asking the server.
    pub fn left(&self) -> usize {
        self.decoded.len()
    }

    async fn reply(&mut self) -> Result<Reply, OplogError> {
        loop {
            let limit = self.oplog.patience.limit();
            let cursor = self.cursor().await?;
            match cursor.wait.timed_for(limit, cursor.batches.next()).await {
                Ok(Some(reply)) => {
                    self.recovered();
                    return Ok(reply);
                }
                // The server has closed the cursor.
                Ok(None) => {
                    self.recovered();
                    self.cursor = None;
                    if !std::mem::replace(&mut self.said_empty, true) {
                        tracing::warn!(
                            event = "source.wait", namespace = %self.oplog.namespace(),
                            "the oplog is empty or does not exist; waiting for its first entry"
                        );
                    }
                    tokio::time::sleep(EMPTY).await;
                }
                Err(error) => {
                    // A cursor is of no use after any error.
                    self.cursor = None;
                    self.oplog.again("the oplog cannot be read", &error).await?;
                }
            }
        }
    }

    /// The open cursor, opened where there is none.
    async fn cursor(&mut self) -> Result<&mut OplogCursor, OplogError> {
        loop {
            if let Some(cursor) = self.cursor.take().filter(|cursor| !cursor.decoding) {
                return Ok(self.cursor.insert(cursor));
            }
            match self.oplog.tail(self.position, self.wanted.as_ref(), self.batch_size.get()).await {
                Ok(batches) => {
                    // What was found for another cursor says nothing of this one.
                    (self.empty, self.probe) = (0, None);
                    if !self.anchored && self.position != Timestamp::default() {
                        check_start(&mut self.oplog, self.position).await?;
                    }
                    let batches = ReadAhead::new(batches);
                    self.cursor = Some(OplogCursor {
                        batches,
                        wait: Wait::default(),
                        confirmed: !self.anchored,
                        fresh: true,
                        decoding: false,
                    });
                }
                Err(error) => self.oplog.again("the oplog cannot be read", &error).await?,
            }
        }
    }

    fn set_decoding(&mut self, decoding: bool) {
        if let Some(cursor) = &mut self.cursor {
            cursor.decoding = decoding;
        }
    }

    /// Adds the ops of a reply to those that are decoded. Gives back how many entries it has.
    async fn decode(&mut self, reply: &Reply) -> Result<usize, OplogError> {
        let mut count = 0;
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
        let mut entries = reply.entries()?.peekable();
        if entries.peek().is_none() {
            return self.idle().await.map(|()| 0);
        }
        (self.empty, self.probe) = (0, None);
        for document in entries {
            count += 1;
            let entry = document.and_then(|document| Ok((document, OplogEntry::parse(document)?)));
            let (document, entry) = match entry {
                Ok(entry) => entry,
                Err(malformed) => {
                    self.reader.report_malformed(&malformed);
                    continue;
                }
            };
            let in_part = self.given_out.filter(|_| entry.timestamp == self.position);
            fresh &= entry.timestamp <= position && in_part.is_none();
            if fresh {
                continue;
            }
            let before = self.decoded.len();
            while let Err(missing) = self.reader.read(reply, document, &entry, &mut self.decoded) {
                let earlier = self.oplog.entry_at(missing.0).await?;
                self.reader.supply(&entry, missing, earlier);
            }
            if let Some(last) = in_part {
                let rest = self.decoded.split_off(before);
                self.decoded.extend(
                    rest.into_iter().filter(|op| !matches!(op.place, OpPlace::Index(n) if n <= last)),
                );
            }
            self.given_out = None;
            if entry.timestamp < self.position {
                self.reader.report_out_of_order(self.position, entry.timestamp);
            }
            self.position = self.position.max(entry.timestamp);
            self.anchored = true;
        }
        if let Some(cursor) = &mut self.cursor {
            cursor.fresh = fresh;
        }
        Ok(count)
    }

    /// Nothing came. Where the server sends only what is wanted, the position moves on all the same, or it
    /// would grow old while changes that nobody wants roll the oplog on.
    async fn idle(&mut self) -> Result<(), OplogError> {
        // Before its anchor has come, the cursor has not looked as far as that.
        if !self.cursor.as_ref().is_some_and(|cursor| cursor.confirmed) {
            return Ok(());
        }
        if let Some(probe) = self.probe.take() {
            // It was there before the cursor looked, and the cursor found nothing up to its end.
            self.position = self.position.max(probe);
            self.anchored = true;
            tracing::debug!(event = "source.idle", position = %self.position, "nothing to read");
        }
        self.empty += 1;
        if self.wanted.is_some() && self.empty.is_multiple_of(IDLE) {
            let newest = self.oplog.newest().await?.filter(|newest| *newest > self.position);
            if let Some(newest) = newest
                && self.oplog.entry_at(newest).await?.is_some()
            {
                self.probe = Some(newest);
            }
        }
        Ok(())
    }

    /// Takes some of the decoded ops, with their full documents: as many as the documents have room for.
    async fn look_up(&mut self) -> SourceBatch {
        loop {
            let count = self.decoded.len().min(self.at_once);
            let Some(ops) = self.decoded.make_contiguous().get_mut(..count) else {
                return SourceBatch::default();
            };
            match timed(lookup::full_documents(&self.oplog.client, ops, &mut self.refused)).await {
                Ok(Some(looked_up)) => {
                    self.at_once = (self.at_once * 2).min(lookup::MOST);
                    let ops = self.decoded.drain(..count).collect();
                    return SourceBatch {
                        ops,
                        position: self.position(),
                        bytes: if count > 0 { self.kept + looked_up } else { 0 },
                        is_at_end: self.decoded.is_empty() && self.empty > 0,
                        ..SourceBatch::default()
                    };
                }
                Ok(None) => self.at_once = (count / 2).max(1),
                Err(error) if is_timeout(&error) && count > 1 => self.at_once = count / 2,
                Err(error) => {
                    let what = "the documents of updates cannot be read";
                    self.oplog.patience.pause("lookup.read_failed", what, &error).await
                }
            }
        }
    }

    /// Why the anchor is not there.
    async fn history_error(&mut self, found: Timestamp) -> OplogError {
        let position = self.position;
        match self.oplog.oldest().await {
            Ok(Some(oldest)) if oldest <= position => OplogError::Diverged { position, found },
            Ok(oldest) => OplogError::HistoryLost { position, oldest: oldest.unwrap_or(found) },
            Err(error) => error,
        }
    }

    fn recovered(&mut self) {
        if self.oplog.patience.recovered() {
            tracing::info!(event = "source.recover", position = %self.position, "reading the oplog again");
        }
    }
}

#[async_trait]
impl Source for OplogTailer {
    fn describe(&self) -> String {
        self.oplog.namespace().to_string()
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

/// Whether the oplog has, or had, all that is after `start`.
async fn check_start(oplog: &mut Oplog, start: Timestamp) -> Result<(), OplogError> {
    match (oplog.rolled_off(start).await?, oplog.newest().await?) {
        (Some(oldest), _) => Err(OplogError::StartLost { start, oldest }),
        (None, Some(newest)) if newest < start => Err(OplogError::StartAhead { start, newest }),
        _ => Ok(()),
    }
}

fn first_timestamp(reply: &Reply) -> Result<Option<Timestamp>, Malformed> {
    let Some(first) = reply.documents()?.into_iter().next() else { return Ok(None) };
    let timestamp = first?.as_document().and_then(|entry| entry.get_timestamp("ts").ok());
    Ok(timestamp.map(Timestamp::from))
}
