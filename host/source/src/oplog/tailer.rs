//! Tails an oplog, and resumes after a failure at its position.

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
use crate::position::{Position, just_before};
use crate::source::{Source, SourceEnd};
use crate::start_at::StartAt;

/// The interval between reads of an empty oplog: the server closes a cursor on an empty capped collection.
const EMPTY_OPLOG_INTERVAL: Duration = Duration::from_millis(250);
/// The number of replies without an entry after which the position advances: they take five seconds.
const EMPTY_REPLIES_PER_PROBE: u32 = 5;

/// The entries of an oplog from a position on, without end.
pub struct OplogTailer {
    oplog: Oplog,
    decoder: OplogDecoder,
    /// The filter for the server. None: all entries.
    wanted: Option<Document>,
    /// The ops that were read and not returned yet.
    decoded: VecDeque<Op>,
    /// The number of ops whose documents are looked up next.
    lookup_size: usize,
    /// The time up to which everything was read.
    position: Timestamp,
    /// The index of the last op of the entry at `position` that was returned before. None: all of them were.
    returned_index: Option<u32>,
    /// Whether an entry was read at `position`, so that it must still be there.
    anchored: bool,
    cursor: Option<OplogCursor>,
    batch_size: BatchSize,
    /// The number of successive replies without an entry.
    empty_replies: u32,
    /// If the next reply has no entry, everything up to this time was read.
    probe: Option<Timestamp>,
    /// An entry that is known to be there.
    expected_entry: Option<Timestamp>,
    is_empty_logged: bool,
    /// The memory that the ops in `decoded` keep in use, in bytes: each slice of a reply keeps all of it.
    decoded_bytes: usize,
    /// The namespaces whose documents may not be looked up.
    refused: RefusedNamespaces,
}

struct OplogCursor {
    batches: ReadAhead,
    wait: Wait,
    /// Whether an entry was read: if the tailer is anchored, the first one was the anchor.
    confirmed: bool,
    /// Whether no entry after the position was read.
    fresh: bool,
    /// Whether a reply is being decoded. If it still is at the next read, the decoding was dropped, and the rest of the reply
    /// must be read again.
    decoding: bool,
}

impl OplogTailer {
    /// Opens `oplog` for the ops after `start` that `selection` wants. The cursor is open when this returns.
    ///
    /// # Errors
    /// The server refuses the read, the oplog begins after the start, or the start is in the future.
    pub async fn open(
        client: &Client,
        oplog: &Namespace,
        selection: Selection,
        start: StartAt,
    ) -> Result<Self, OplogError> {
        let mut oplog = Oplog::new(client, oplog);
        let (position, returned_index, was_read) = match start {
            StartAt::Now => (oplog.newest().await?.unwrap_or_default(), None, false),
            StartAt::Oldest => (Timestamp::default(), None, false),
            StartAt::Time(time) | StartAt::After(Position::OplogTime(time)) => (time, None, false),
            StartAt::After(Position::Oplog(time)) => (time, None, true),
            StartAt::After(Position::OplogOp(time, index)) => (time, Some(index), true),
            // The ops of that time may be repeated, as a token does not contain the index of an op.
            StartAt::After(Position::ChangeStream(token)) => {
                let time = token.cluster_time().ok_or(OplogError::TokenWithoutTime)?;
                (just_before(time), None, false)
            }
        };
        if returned_index.is_some() {
            // People type ids of ops, so a missing entry is reported before anything changes.
            oplog.check_entry(position).await?;
        }
        // If an entry is at the position, it must still be there when the oplog is opened again. (The test server's time of
        // the last write is that of no entry.)
        let anchored = was_read || oplog.entry_at(position).await?.is_some();
        let mut tailer = Self {
            oplog,
            wanted: wanted_entries(&selection),
            decoder: OplogDecoder::new(selection),
            decoded: VecDeque::new(),
            lookup_size: lookup::MAX_OPS,
            position,
            returned_index,
            anchored,
            cursor: None,
            batch_size: BatchSize::default(),
            empty_replies: 0,
            probe: None,
            expected_entry: None,
            is_empty_logged: false,
            decoded_bytes: 0,
            refused: RefusedNamespaces::default(),
        };
        tailer.cursor().await?;
        Ok(tailer)
    }

    /// Opens the oplog of a deployment that is followed.
    pub(crate) async fn follow(config: &SourceConfig, oplog: &Namespace) -> Result<Self, SourceError> {
        let SourceConfig { client, selection, start, health, .. } = config;
        let mut tailer = Self::open(client, oplog, selection.clone(), start.clone()).await?;
        tailer.oplog.backoff.report_to(health.reader());
        Ok(tailer)
    }

    /// Returns the time up to which a majority has `oplog`. None: it is empty.
    ///
    /// # Errors
    /// The server refuses the read.
    pub async fn newest(client: &Client, oplog: &Namespace) -> Result<Option<Timestamp>, OplogError> {
        Oplog::new(client, oplog).newest().await
    }

    /// Returns the time of the oldest entry of `oplog` if entries after `start` were rolled off.
    ///
    /// # Errors
    /// The server refuses the read.
    pub async fn rolled_off(
        client: &Client,
        oplog: &Namespace,
        start: Timestamp,
    ) -> Result<Option<Timestamp>, OplogError> {
        Oplog::new(client, oplog).rolled_off(start).await
    }

    /// Returns the position up to which everything was returned. None: ops are [left](Self::left).
    pub fn position(&self) -> Option<Position> {
        let position = if self.anchored { Position::Oplog } else { Position::OplogTime };
        self.decoded.is_empty().then(|| position(self.position))
    }

    /// Replaces the selection for the entries that are not read yet. Must be called only if no ops are [left](Self::left).
    /// The cursor is open when this returns.
    ///
    /// # Errors
    /// See [`OplogError`]. The tailer must not be used again.
    pub async fn reselect(&mut self, selection: Selection) -> Result<(), OplogError> {
        let wanted = wanted_entries(&selection);
        self.decoder.reselect(selection);
        if wanted != self.wanted {
            (self.wanted, self.cursor) = (wanted, None);
        }
        self.cursor().await.map(drop)
    }

    /// Returns how many entries were skipped, by reason.
    pub fn into_skipped(self) -> Skipped {
        self.decoder.into_skipped()
    }

    /// Returns the next wanted ops, in the order of the oplog; no ops if none came for about a second. A batch has a position
    /// if no ops are [left](Self::left) after it. Waits for a server that does not answer, without a limit. The future can be
    /// dropped: nothing is lost.
    ///
    /// # Errors
    /// See [`OplogError`]. The tailer must not be used again.
    pub async fn next(&mut self) -> Result<SourceBatch, OplogError> {
        if self.decoded.is_empty() {
            let reply = self.reply().await?;
            self.decoded_bytes = reply.size();
            self.set_decoding(true);
            let entries = self.decode(&reply).await?;
            self.set_decoding(false);
            self.decoded_bytes = compact_documents(self.decoded.make_contiguous(), reply.size());
            // Another batch size needs another cursor. Without progress, the cursor is kept.
            let moved = self.anchored && self.cursor.as_ref().is_some_and(|cursor| !cursor.fresh);
            if moved && self.batch_size.adjust(entries, reply.size()) {
                self.cursor = None;
            }
        }
        Ok(self.look_up().await)
    }

    /// Returns how many ops were read and not returned yet. The next batches have them without asking the server.
    pub fn left(&self) -> usize {
        self.decoded.len()
    }

    async fn reply(&mut self) -> Result<Reply, OplogError> {
        loop {
            let limit = self.oplog.backoff.limit();
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
                    if !std::mem::replace(&mut self.is_empty_logged, true) {
                        tracing::warn!(
                            event = "source.wait", namespace = %self.oplog.namespace(),
                            "the oplog is empty or does not exist; waiting for its first entry"
                        );
                    }
                    tokio::time::sleep(EMPTY_OPLOG_INTERVAL).await;
                }
                Err(error) => {
                    // A cursor is of no use after any error.
                    self.cursor = None;
                    self.batch_size.failed(&error);
                    self.oplog.retry("the oplog cannot be read", &error).await?;
                }
            }
        }
    }

    /// Returns the open cursor, and opens one if there is none.
    async fn cursor(&mut self) -> Result<&mut OplogCursor, OplogError> {
        loop {
            if let Some(cursor) = self.cursor.take().filter(|cursor| !cursor.decoding) {
                return Ok(self.cursor.insert(cursor));
            }
            match self.oplog.tail(self.position, self.wanted.as_ref(), self.batch_size.get()).await {
                Ok(batches) => {
                    // The empty replies of another cursor do not count.
                    (self.empty_replies, self.probe) = (0, None);
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
                Err(error) => {
                    self.batch_size.failed(&error);
                    self.oplog.retry("the oplog cannot be read", &error).await?
                }
            }
        }
    }

    fn set_decoding(&mut self, decoding: bool) {
        if let Some(cursor) = &mut self.cursor {
            cursor.decoding = decoding;
        }
    }

    /// Decodes the ops of a reply. Returns its number of entries.
    async fn decode(&mut self, reply: &Reply) -> Result<usize, OplogError> {
        let mut count = 0;
        let position = self.position;
        let mut fresh = false;
        if let Some(cursor) = &mut self.cursor {
            fresh = cursor.fresh;
            if let (false, Some(first)) = (cursor.confirmed, first_timestamp(reply)?) {
                cursor.confirmed = true;
                if first != position {
                    return Err(self.oplog.history_error(position, first).await);
                }
            }
        }
        let mut entries = reply.entries()?.peekable();
        if entries.peek().is_none() {
            return self.idle().await.map(|()| 0);
        }
        (self.empty_replies, self.probe) = (0, None);
        for document in entries {
            count += 1;
            let entry = document.and_then(|document| Ok((document, OplogEntry::parse(document)?)));
            let (document, entry) = match entry {
                Ok(entry) => entry,
                Err(malformed) => {
                    self.decoder.report_malformed(&malformed);
                    continue;
                }
            };
            let partial = self.returned_index.filter(|_| entry.timestamp == self.position);
            fresh &= entry.timestamp <= position && partial.is_none();
            if fresh {
                continue;
            }
            let before = self.decoded.len();
            while let Err(missing) = self.decoder.read(reply, document, &entry, &mut self.decoded) {
                let earlier = self.oplog.entry_at(missing.0).await?;
                self.decoder.supply(&entry, missing, earlier);
            }
            if let Some(last) = partial {
                let rest = self.decoded.split_off(before);
                self.decoded.extend(
                    rest.into_iter().filter(|op| !matches!(op.place, OpPlace::Index(n) if n <= last)),
                );
            }
            self.returned_index = None;
            if entry.timestamp < self.position {
                self.decoder.report_out_of_order(self.position, entry.timestamp);
            }
            self.position = self.position.max(entry.timestamp);
            self.anchored = true;
        }
        if let Some(cursor) = &mut self.cursor {
            cursor.fresh = fresh;
        }
        Ok(count)
    }

    /// Advances the position after replies without entries. If the server sends only wanted entries, the position would
    /// otherwise stay, until unwanted changes have rolled its entry off.
    async fn idle(&mut self) -> Result<(), OplogError> {
        // Until the anchor arrives, the cursor has not come to the position.
        if !self.cursor.as_ref().is_some_and(|cursor| cursor.confirmed) {
            return Ok(());
        }
        if let Some(probe) = self.probe.take() {
            // The entry was there before the cursor read to the end, and the cursor found nothing.
            self.position = self.position.max(probe);
            self.anchored = true;
            tracing::debug!(event = "source.idle", position = %self.position, "nothing to read");
        }
        self.empty_replies += 1;
        if let Some(expected) = self.expected_entry.filter(|expected| *expected > self.position) {
            // It was there before the next reply is asked for.
            self.probe = Some(expected);
            return Ok(());
        }
        if self.wanted.is_some() && self.empty_replies.is_multiple_of(EMPTY_REPLIES_PER_PROBE) {
            let newest = self.oplog.newest().await?.filter(|newest| *newest > self.position);
            if let Some(newest) = newest
                && self.oplog.entry_at(newest).await?.is_some()
            {
                self.probe = Some(newest);
            }
        }
        Ok(())
    }

    /// Returns some of the decoded ops with their full documents: as many as the documents have room for.
    async fn look_up(&mut self) -> SourceBatch {
        loop {
            let count = self.decoded.len().min(self.lookup_size);
            let Some(ops) = self.decoded.make_contiguous().get_mut(..count) else {
                return SourceBatch::default();
            };
            match timed(lookup::full_documents(&self.oplog.client, ops, &mut self.refused)).await {
                Ok(Some(looked_up)) => {
                    self.lookup_size = (self.lookup_size * 2).min(lookup::MAX_OPS);
                    let ops = self.decoded.drain(..count).collect();
                    return SourceBatch {
                        ops,
                        position: self.position(),
                        bytes: if count > 0 { self.decoded_bytes + looked_up } else { 0 },
                        is_at_end: self.decoded.is_empty() && self.empty_replies > 0,
                        ..SourceBatch::default()
                    };
                }
                Ok(None) => self.lookup_size = (count / 2).max(1),
                Err(error) if is_timeout(&error) && count > 1 => self.lookup_size = count / 2,
                Err(error) => {
                    let what = "the documents of updates cannot be read";
                    self.oplog.backoff.pause("lookup.read_failed", what, &error).await
                }
            }
        }
    }

    fn recovered(&mut self) {
        if self.oplog.backoff.recovered() {
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

    fn expect_entry(&mut self, time: Timestamp) {
        self.expected_entry = Some(time);
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

/// Checks that the oplog has, or had, everything after `start`.
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
