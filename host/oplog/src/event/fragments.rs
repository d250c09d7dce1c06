//! Events over 16 MB, which the server splits by their fields: put together again. Pure.

use std::collections::HashSet;

use bson::{RawDocument, RawDocumentBuf};

use crate::event::header::Split;

/// The fragments of an event that have come so far.
#[derive(Debug)]
pub(super) struct Fragments {
    open: Option<OpenEvent>,
    bound: usize,
}

#[derive(Debug)]
struct OpenEvent {
    last: Split,
    /// None: it is larger than what is held, or a fragment of it could not be read.
    event: Option<RawDocumentBuf>,
    /// The fields of `event`.
    names: HashSet<Box<str>>,
    too_large: bool,
}

/// What a fragment makes of those before it.
#[derive(Debug, PartialEq)]
pub(super) enum JoinedFragments {
    /// More are to come.
    More,
    /// This was the last one: the event.
    Event(RawDocumentBuf),
    /// This was the last one, and the event is larger than what is held.
    TooLarge,
    /// This was the last one, and one of them cannot be read.
    Unreadable,
    /// The fragments before it were not seen.
    Lone,
}

impl Fragments {
    /// Holds events of up to `bound` bytes.
    pub(super) fn new(bound: usize) -> Self {
        Self { open: None, bound }
    }

    /// Whether more fragments of an event are to come.
    pub(super) fn are_open(&self) -> bool {
        self.open.is_some()
    }

    /// Forgets the event of which more were to come. Gives back how many fragments of it had come.
    pub(super) fn forget(&mut self) -> u64 {
        self.open.take().map_or(0, |open| open.last.fragment.unsigned_abs())
    }

    /// Whether it is the one after those that have come.
    pub(super) fn expect(&self, split: Split) -> bool {
        match &self.open {
            None => split.fragment == 1,
            Some(open) => split.fragment == open.last.fragment + 1 && split.of == open.last.of,
        }
    }

    /// Adds the next fragment.
    pub(super) fn add(&mut self, fragment: &RawDocument, split: Split) -> JoinedFragments {
        if !self.expect(split) {
            return JoinedFragments::Lone;
        }
        let mut open = self.open.take().unwrap_or_else(|| OpenEvent::new(split));
        open.last = split;
        open.join(fragment, self.bound);
        if split.fragment < split.of {
            self.open = Some(open);
            return JoinedFragments::More;
        }
        match open.event {
            Some(event) => JoinedFragments::Event(event),
            None if open.too_large => JoinedFragments::TooLarge,
            None => JoinedFragments::Unreadable,
        }
    }
}

impl OpenEvent {
    fn new(first: Split) -> Self {
        Self { last: first, event: Some(RawDocumentBuf::new()), names: HashSet::new(), too_large: false }
    }

    /// Adds the fields of a fragment that the event does not have yet. (Each has an `_id`: the event's is
    /// that of the first.)
    fn join(&mut self, fragment: &RawDocument, bound: usize) {
        let Some(mut event) = self.event.take() else { return };
        if event.as_bytes().len() + fragment.as_bytes().len() > bound {
            self.too_large = true;
            return;
        }
        for element in fragment.iter_elements() {
            let Ok((name, value)) = element.and_then(|element| Ok((element.key(), element.value()?))) else {
                return;
            };
            if name.as_str() != "splitEvent" && self.names.insert(name.as_str().into()) {
                event.append(name, value);
            }
        }
        self.event = Some(event);
    }
}
