//! The ops that were read and are not all done, and up to where everything is. Pure.

use std::collections::VecDeque;

use crate::op::{Op, Place, Timestamp};
use crate::source::Position;

/// The ops between the first that is not done and the last that was read, in their order.
///
/// They may be done in any order. The watermark is behind the last before the first that is not.
#[derive(Debug, Default)]
pub(super) struct Window {
    entries: VecDeque<Entry>,
    /// The number of the first entry.
    first: u64,
    bytes: usize,
    watermark: Option<Watermark>,
}

#[derive(Debug)]
struct Entry {
    done: bool,
    bytes: usize,
    /// When it is done, and all before it, everything up to here is.
    through: Watermark,
}

/// Up to where everything is done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Watermark {
    /// This op.
    Op(Timestamp, Place),
    /// Everything that was read.
    Read(Position),
}

impl Watermark {
    /// As a place to go on from. None: a document that was found is none.
    pub(super) fn position(&self) -> Option<Position> {
        match self {
            Self::Op(timestamp, place) => Position::at(*timestamp, place),
            Self::Read(position) => Some(position.clone()),
        }
    }
}

impl From<&Op> for Watermark {
    fn from(op: &Op) -> Self {
        Self::Op(op.timestamp, op.place.clone())
    }
}

impl Window {
    /// With nothing in it, and everything up to here done.
    pub(super) fn new(watermark: Option<Position>) -> Self {
        Self { watermark: watermark.map(Watermark::Read), ..Self::default() }
    }

    /// An op that is to be done, and what it keeps in memory. Gives back its number.
    pub(super) fn begin(&mut self, op: &Op, bytes: usize) -> u64 {
        self.entries.push_back(Entry { done: false, bytes, through: op.into() });
        self.bytes += bytes;
        self.next_number() - 1
    }

    /// Up to here there was nothing more to do.
    pub(super) fn pass(&mut self, through: Watermark) {
        match self.entries.back_mut() {
            Some(last) => last.through = through,
            None => self.watermark = Some(through),
        }
    }

    /// The op of this number is done.
    pub(super) fn done(&mut self, number: u64) {
        let index = number.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        if let Some(entry) = index.and_then(|index| self.entries.get_mut(index)) {
            entry.done = true;
        }
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.done) {
            self.first += 1;
            self.bytes -= entry.bytes;
            self.watermark = Some(entry.through);
        }
    }

    /// Whether the op of this number is done.
    pub(super) fn is_done(&self, number: u64) -> bool {
        let Some(index) = number.checked_sub(self.first) else { return true };
        let entry = usize::try_from(index).ok().and_then(|index| self.entries.get(index));
        entry.is_some_and(|entry| entry.done)
    }

    /// Everything up to here is done. None: nothing is known yet.
    pub(super) fn watermark(&self) -> Option<&Watermark> {
        self.watermark.as_ref()
    }

    /// The first op that is not done was written then.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        match &self.entries.front()?.through {
            Watermark::Op(timestamp, _) => Some(*timestamp),
            Watermark::Read(position) => position.timestamp(),
        }
    }

    /// How many ops there are from the first that is not done on.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many of them are not done.
    pub(super) fn unfinished(&self) -> usize {
        self.entries.iter().filter(|entry| !entry.done).count()
    }

    /// What they keep in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of the next op.
    pub(super) fn next_number(&self) -> u64 {
        self.first + u64::try_from(self.entries.len()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::testing::op;

    fn at(n: u32) -> Watermark {
        Watermark::Op(Timestamp { time: n, increment: 0 }, Place::Index(0))
    }

    /// Every order in which `n` can be done.
    fn orders(n: u32) -> Vec<Vec<u32>> {
        if n == 0 {
            return vec![Vec::new()];
        }
        let shorter = orders(n - 1);
        let with = |order: &Vec<u32>, at: usize| {
            let mut order = order.clone();
            order.insert(at, n - 1);
            order
        };
        shorter.iter().flat_map(|order| (0..=order.len()).map(move |at| with(order, at))).collect()
    }

    #[test]
    fn the_watermark_is_before_the_first_that_is_not_done_in_any_order() {
        // Some ops are not wanted: those after an odd one.
        let place = |n: u32| 2 * n + 1;
        for order in orders(7) {
            let mut window = Window::default();
            window.pass(at(0));
            for n in 0..7 {
                assert_eq!(window.begin(&op(place(n)), 10), u64::from(n));
                if n % 2 == 1 {
                    window.pass(at(place(n) + 1));
                }
            }
            let mut done = [false; 7];
            for n in order {
                window.done(n.into());
                done[n as usize] = true;
                let first = done.iter().position(|done| !done).unwrap_or(7);
                let expected = match u32::try_from(first).unwrap() {
                    0 => at(0),
                    n if (n - 1) % 2 == 1 => at(place(n - 1) + 1),
                    n => at(place(n - 1)),
                };
                assert_eq!(window.watermark(), Some(&expected), "{done:?}");
                assert_eq!(window.len(), 7 - first);
                assert_eq!(window.bytes(), 10 * (7 - first));
                assert_eq!(window.unfinished(), done.iter().filter(|done| !**done).count());
            }
        }
    }

    #[test]
    fn what_is_not_wanted_moves_the_watermark_only_when_all_before_is_done() {
        let mut window = Window::default();
        let first = window.begin(&op(1), 0);
        window.pass(at(5));
        assert_eq!(window.watermark(), None);
        window.done(first);
        assert_eq!(window.watermark(), Some(&at(5)));
        window.pass(at(6));
        assert_eq!(window.watermark(), Some(&at(6)));
        window.done(first);
        window.done(99);
        assert_eq!((window.len(), window.next_number()), (0, 1), "twice, or never begun: nothing");
    }
}
