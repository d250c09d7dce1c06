//! Joins events over 16 MB, which the server splits by their fields.

use std::collections::HashSet;

use bson::{RawDocument, RawDocumentBuf};

use crate::event::header::Split;

/// The fragments of an event that have arrived so far.
#[derive(Debug)]
pub(super) struct Fragments {
    open: Option<OpenEvent>,
    max_bytes: usize,
}

#[derive(Debug)]
struct OpenEvent {
    last: Split,
    /// The fields so far. None: the event is larger than the limit, or a fragment of it could not be read.
    event: Option<RawDocumentBuf>,
    /// The names of the fields of `event`.
    names: HashSet<Box<str>>,
    too_large: bool,
}

/// The result of adding a fragment.
#[derive(Debug, PartialEq)]
pub(super) enum JoinedFragments {
    /// Further fragments are expected.
    More,
    /// The fragment was the last one. This is the event.
    Event(RawDocumentBuf),
    /// The fragment was the last one, and the event is larger than the limit.
    TooLarge,
    /// The fragment was the last one, and one of them cannot be read.
    Unreadable,
    /// The previous fragments did not arrive.
    Lone,
}

impl Fragments {
    /// Creates a joiner for events of up to `max_bytes` bytes.
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { open: None, max_bytes }
    }

    /// Returns whether further fragments of an event are expected.
    pub(super) fn are_open(&self) -> bool {
        self.open.is_some()
    }

    /// Drops the incomplete event. Returns how many of its fragments had arrived.
    pub(super) fn forget(&mut self) -> u64 {
        self.open.take().map_or(0, |open| open.last.fragment.unsigned_abs())
    }

    /// Returns whether a fragment is the next one.
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
        open.join(fragment, self.max_bytes);
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

    /// Adds the fields of a fragment that the event does not have yet. Each fragment has an `_id`: that of the first is
    /// the event's.
    fn join(&mut self, fragment: &RawDocument, max_bytes: usize) {
        let Some(mut event) = self.event.take() else { return };
        if event.as_bytes().len() + fragment.as_bytes().len() > max_bytes {
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
