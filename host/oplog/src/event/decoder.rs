//! Makes ops of change events. Pure: bytes in, ops out.

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

/// How large an event may be that is put together of fragments. It has three documents at the most, before,
/// after and the difference, each of up to 16 MB.
const LARGEST: usize = 64 << 20;

/// What an event means for the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventEffect {
    /// It is a fragment of an event, of which more are to come: the stream cannot go on after it.
    Fragment,
    /// The stream can go on after it.
    Whole,
    /// It ends the stream, which can be opened again after it.
    Invalidate,
}

/// Makes ops of the events of one change stream, in their order.
#[derive(Debug)]
pub struct ChangeEventDecoder {
    selection: Selection,
    origin: Origin,
    skipped: Skipped,
    unwanted: u64,
    fragments: Fragments,
    transaction: Option<RunningTransaction>,
}

/// The transaction whose events come.
#[derive(Debug)]
struct RunningTransaction {
    session: Box<[u8]>,
    number: i64,
    id: Arc<str>,
    next: u32,
}

impl ChangeEventDecoder {
    /// Makes ops of what `selection` wants.
    pub fn new(selection: Selection) -> Self {
        Self {
            selection,
            origin: Origin::ChangeStream,
            skipped: Skipped::new(),
            unwanted: 0,
            fragments: Fragments::new(LARGEST),
            transaction: None,
        }
    }

    /// The same, putting together no more than `bytes` of an event.
    #[must_use]
    pub fn holding(mut self, bytes: usize) -> Self {
        self.fragments = Fragments::new(bytes);
        self
    }

    /// The same, of events that stand in a file: they may lack their token and their time.
    #[must_use]
    pub fn of_file(mut self) -> Self {
        self.origin = Origin::Replay;
        self
    }

    /// Adds the op of an event to `ops`, if it is one that is wanted. The event is `document` in `reply`.
    pub fn read_event(&mut self, reply: &Reply, document: &RawDocument, ops: &mut Vec<Op>) -> EventEffect {
        let event = match self.parse(document) {
            Ok(event) => event,
            Err(malformed) => return self.malformed(&malformed),
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
            Origin::Replay => ChangeEvent::parse_of_file(document),
            _ => ChangeEvent::parse(document),
        }
    }

    /// Counts and reports an event that is none: of a file, which may have any number of them, the first.
    pub(super) fn malformed(&mut self, malformed: &Malformed) -> EventEffect {
        if count(&mut self.skipped, Skip::Malformed) == 1 || self.origin != Origin::Replay {
            tracing::error!("skipped a change event that cannot be read: {malformed}");
        }
        EventEffect::Whole
    }

    /// Whether more fragments of an event are to come.
    pub(super) fn is_amid_fragments(&self) -> bool {
        self.fragments.are_open()
    }

    /// The stream is opened again, where the event whose fragments are held will come again.
    pub fn reopened(&mut self) {
        self.fragments.forget();
    }

    /// How much was skipped so far, by reason.
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// How many ops the selection did not want so far.
    pub fn unwanted(&self) -> u64 {
        self.unwanted
    }

    /// How much was skipped, by reason.
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
                    Err(malformed) => self.malformed(&malformed),
                };
            }
            JoinedFragments::TooLarge => {
                count(&mut self.skipped, Skip::TooLarge);
                tracing::error!(
                    "skipped the change event that ends at the resume token {}: its {} fragments are larger than \
                     gtm-host holds of one event",
                    fragment.token,
                    split.of
                );
            }
            JoinedFragments::Unreadable => {
                return self.malformed(&Malformed::Missing("fields that can be read"));
            }
            JoinedFragments::Lone => self.lone(1, fragment.token),
        }
        if split.fragment < split.of { EventEffect::Fragment } else { EventEffect::Whole }
    }

    fn forget_fragments(&mut self) {
        match self.fragments.forget() {
            0 => {}
            count => self.lone(count, "before another event"),
        }
    }

    fn lone(&mut self, count: u64, place: &str) {
        *self.skipped.entry(Skip::Fragment).or_default() += count;
        tracing::error!(
            "skipped {count} of the fragments of a change event ({place}), as the others were not seen. \
             Did the stream begin in the middle of the event? Then start before it"
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
        let whole = if self.origin == Origin::Replay { event.named() } else { event.whole() };
        match whole.and_then(|event| self.op(reply, document, &event)) {
            Ok(op) => {
                ops.extend(op);
                EventEffect::Whole
            }
            Err(malformed) => self.malformed(&malformed),
        }
    }

    fn op(
        &mut self,
        reply: &Reply,
        document: &RawDocument,
        event: &ChangeEvent<'_>,
    ) -> Result<Option<Op>, Malformed> {
        // Counted whether it is wanted or not. (What the server does not send is not counted, but where tokens say the
        // place.)
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
                        "the update {} is delivered without a description, as the event's cannot be read: {error}; more \
                         are counted, not logged",
                        op.id()
                    );
                }
            }
        }
    }

    /// The events of a transaction come one after the other. Where their tokens do not say their places, they
    /// are counted, from where this stream began to read.
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
