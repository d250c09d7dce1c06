//! Decodes change events into ops.

use std::sync::Arc;

use bson::RawDocument;
use bytes::Bytes;

use super::command::command;
use super::description::update_description;
use super::fragments::{Fragments, JoinedFragments};
use super::token::transaction_index;
use crate::event::header::{ChangeEvent, Split};
use crate::op::{Op, OpPlace, OperationType, Origin, Transaction};
use crate::reply::{Malformed, Reply};
use crate::selection::Selection;
use crate::session::transaction_id;
use crate::skip::{Skip, Skipped, count};

/// The maximum size of an event that is joined from fragments, in bytes. An event has at most three documents, before,
/// after and the difference, each of up to 16 MB.
const MAX_HELD_BYTES: usize = 64 << 20;

/// The effect of an event on the position of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventEffect {
    /// The event is a fragment that others follow: the stream cannot resume after it.
    Fragment,
    /// The stream can resume after the event.
    Whole,
    /// The event ends the stream, which can be opened again after it.
    Invalidate,
}

/// Decodes the events of one change stream into ops, in their order.
#[derive(Debug)]
pub struct ChangeEventDecoder {
    selection: Selection,
    origin: Origin,
    skipped: Skipped,
    unwanted: u64,
    fragments: Fragments,
    transaction: Option<RunningTransaction>,
}

/// The transaction whose events are arriving.
#[derive(Debug)]
struct RunningTransaction {
    session: Box<[u8]>,
    number: i64,
    id: Arc<str>,
    next: u32,
}

impl ChangeEventDecoder {
    /// Creates a decoder that returns the ops that `selection` wants.
    pub fn new(selection: Selection) -> Self {
        Self {
            selection,
            origin: Origin::ChangeStream,
            skipped: Skipped::new(),
            unwanted: 0,
            fragments: Fragments::new(MAX_HELD_BYTES),
            transaction: None,
        }
    }

    /// Limits an event that is joined from fragments to `bytes`.
    #[must_use]
    pub fn with_max_held_bytes(mut self, bytes: usize) -> Self {
        self.fragments = Fragments::new(bytes);
        self
    }

    /// Reads events from a file: they may lack their token and their time, and their ops are marked as read from a
    /// file.
    #[must_use]
    pub fn for_file(mut self) -> Self {
        self.origin = Origin::Replay;
        self
    }

    /// Replaces the selection for the events that follow.
    pub fn reselect(&mut self, selection: Selection) {
        self.selection = selection;
    }

    /// Appends the op of an event to `ops` if it is wanted. The event is `document` in `reply`.
    pub fn read_event(&mut self, reply: &Reply, document: &RawDocument, ops: &mut Vec<Op>) -> EventEffect {
        let event = match self.parse(document) {
            Ok(event) => event,
            Err(malformed) => return self.report_malformed(&malformed),
        };
        match event.split {
            Some(split) if split.of > 1 => self.join(document, &event, split, ops),
            _ => {
                self.forget_fragments();
                self.event(reply, document, &event, ops)
            }
        }
    }

    fn parse<'a>(&self, document: &'a RawDocument) -> Result<ChangeEvent<'a>, Malformed> {
        match self.origin {
            Origin::Replay => ChangeEvent::parse_from_file(document),
            _ => ChangeEvent::parse(document),
        }
    }

    /// Counts and logs an event that cannot be read. A file may contain any number of those, so only its first is
    /// logged.
    pub(super) fn report_malformed(&mut self, malformed: &Malformed) -> EventEffect {
        if count(&mut self.skipped, Skip::Malformed) == 1 || self.origin != Origin::Replay {
            tracing::error!(event = "change_event.skip", error = %malformed, "skipped a change event that cannot be read");
        }
        EventEffect::Whole
    }

    /// Returns whether further fragments of an event are expected.
    pub(super) fn is_amid_fragments(&self) -> bool {
        self.fragments.are_open()
    }

    /// Prepares for a stream that was opened again, in which the event whose fragments are held arrives again.
    pub fn reopened(&mut self) {
        self.fragments.forget();
    }

    /// Returns how many events were skipped so far, by reason.
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// Returns how many ops the selection did not want so far.
    pub fn unwanted(&self) -> u64 {
        self.unwanted
    }

    /// Returns how many events were skipped, by reason.
    pub fn into_skipped(self) -> Skipped {
        self.skipped
    }

    fn join(
        &mut self,
        document: &RawDocument,
        fragment: &ChangeEvent<'_>,
        split: Split,
        ops: &mut Vec<Op>,
    ) -> EventEffect {
        if !self.fragments.expect(split) {
            self.forget_fragments();
        }
        match self.fragments.add(document, split) {
            JoinedFragments::More => return EventEffect::Fragment,
            JoinedFragments::Event(event) => {
                let reply = Reply::new(event.into_bytes().into());
                let whole = reply.as_document().and_then(|event| Ok((event, self.parse(event)?)));
                return match whole {
                    Ok((document, event)) => self.event(&reply, document, &event, ops),
                    Err(malformed) => self.report_malformed(&malformed),
                };
            }
            JoinedFragments::TooLarge => {
                count(&mut self.skipped, Skip::TooLarge);
                tracing::error!(
                    event = "change_event.skip_large",
                    token = fragment.token,
                    fragments = split.of,
                    "skipped a change event: its fragments are larger than the host holds of one event"
                );
            }
            JoinedFragments::Unreadable => {
                return self.report_malformed(&Malformed::Missing("fields that can be read"));
            }
            JoinedFragments::Lone => self.report_lone(1, fragment.token),
        }
        if split.fragment < split.of { EventEffect::Fragment } else { EventEffect::Whole }
    }

    fn forget_fragments(&mut self) {
        match self.fragments.forget() {
            0 => {}
            count => self.report_lone(count, "before another event"),
        }
    }

    fn report_lone(&mut self, count: u64, place: &str) {
        *self.skipped.entry(Skip::Fragment).or_default() += count;
        tracing::error!(
            event = "change_event.skip_fragments",
            fragments = count,
            place,
            help = "if the stream starts in the middle of the event, start before it",
            "skipped fragments of a change event: the others were not seen"
        );
    }

    fn event(
        &mut self,
        reply: &Reply,
        document: &RawDocument,
        event: &ChangeEvent<'_>,
        ops: &mut Vec<Op>,
    ) -> EventEffect {
        match event.kind {
            "invalidate" => return EventEffect::Invalidate,
            "endOfTransaction" => {
                count(&mut self.skipped, Skip::Noop);
                return EventEffect::Whole;
            }
            _ => {}
        }
        let whole = if self.origin == Origin::Replay { event.named() } else { event.complete() };
        match whole.and_then(|event| self.op(reply, document, &event)) {
            Ok(op) => {
                ops.extend(op);
                EventEffect::Whole
            }
            Err(malformed) => self.report_malformed(&malformed),
        }
    }

    fn op(
        &mut self,
        reply: &Reply,
        document: &RawDocument,
        event: &ChangeEvent<'_>,
    ) -> Result<Option<Op>, Malformed> {
        // The place counts unwanted ops too. Without tokens that contain the place, events that the server does not
        // send are not counted.
        let transaction = self.place_in_transaction(event);
        let operation = event.operation();
        let (database, collection) = (event.database, event.collection);
        let namespace = match event.renamed_to() {
            Some(to) => self.selection.select_rename(database, collection, &to),
            None => self.selection.select(database, collection, operation),
        };
        let Some(namespace) = namespace else {
            self.unwanted += 1;
            return Ok(None);
        };
        let cut = |document: Option<&RawDocument>| document.map(|document| reply.cut(document));
        let mut op = Op {
            timestamp: event.timestamp,
            place: if event.token.is_empty() {
                OpPlace::Document
            } else {
                OpPlace::Token(event.token.into())
            },
            origin: self.origin,
            operation_type: operation,
            namespace,
            wall_time: event.wall_time,
            document_key: cut(event.document_key),
            full_document: cut(event.full_document),
            full_document_before_change: cut(event.full_document_before_change),
            update_description: None,
            command: match operation {
                OperationType::Other => Some(reply.cut(document)),
                _ => command(operation, event)?.map(|command| Bytes::from(command.into_bytes())),
            },
            transaction,
        };
        if operation == OperationType::Update {
            self.describe(&mut op, reply, event.update_description);
        }
        Ok(Some(op))
    }

    fn describe(&mut self, op: &mut Op, reply: &Reply, description: Option<&RawDocument>) {
        let described = description
            .ok_or(Malformed::Missing("updateDescription"))
            .and_then(|description| update_description(reply, description));
        match described {
            Ok(description) => op.update_description = Some(description),
            Err(error) => {
                op.command = description.map(|description| reply.cut(description));
                if count(&mut self.skipped, Skip::BadDelta) == 1 {
                    tracing::warn!(
                        event = "op.drop_description", op = %op.id(), %error,
                        "the description of the update cannot be read; it is delivered without one. Further such updates are \
                         counted, not logged"
                    );
                }
            }
        }
    }

    /// Returns the place of an event in its transaction. The events of a transaction arrive one after the other. If
    /// their tokens do not contain their places, they are counted from where this stream began to read.
    fn place_in_transaction(&mut self, event: &ChangeEvent<'_>) -> Option<Transaction> {
        let (session, number) = (event.session?, event.transaction_number?);
        let same = |running: &RunningTransaction| {
            running.number == number && *running.session == *session.as_bytes()
        };
        if !self.transaction.as_ref().is_some_and(same) {
            let id = transaction_id(session, number)?;
            self.transaction =
                Some(RunningTransaction { session: session.as_bytes().into(), number, id, next: 0 });
        }
        let running = self.transaction.as_mut()?;
        let index = transaction_index(event.token, event.timestamp).unwrap_or(running.next);
        running.next = index.saturating_add(1);
        Some(Transaction { id: Arc::clone(&running.id), index })
    }
}
