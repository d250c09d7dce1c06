//! The ops that were read and are not all done, and up to where everything is. Pure.

use std::collections::VecDeque;

use gtm_oplog::{Op, OpPlace, Timestamp};
use gtm_source::Position;

/// The ops between the first that is not done and the last that was read, in their order.
///
/// They may be done in any order. The watermark is behind the last before the first that is not.
#[derive(Debug, Default)]
pub(super) struct OpWindow {
    entries: VecDeque<WindowEntry>,
    /// The number of the first entry.
    first: u64,
    bytes: usize,
    watermark: Option<Watermark>,
    /// Of the watermark, as far as it is known: everything before this time is done.
    time: Option<Timestamp>,
}

#[derive(Debug)]
struct WindowEntry {
    done: bool,
    bytes: usize,
    time: Timestamp,
    /// When it is done, and all before it, everything up to here is.
    through: Watermark,
}

/// Up to where everything is done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Watermark {
    /// This op.
    Op(Timestamp, OpPlace),
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

    fn time(&self) -> Option<Timestamp> {
        match self {
            Self::Op(timestamp, _) => Some(*timestamp),
            Self::Read(position) => position.cluster_time(),
        }
    }
}

impl From<&Op> for Watermark {
    fn from(op: &Op) -> Self {
        Self::Op(op.timestamp, op.place.clone())
    }
}

impl OpWindow {
    /// With nothing in it, and everything up to here done; `time` is that of the place, if it is known.
    pub(super) fn new(watermark: Option<Position>, time: Option<Timestamp>) -> Self {
        let time = time.or_else(|| watermark.as_ref().and_then(Position::cluster_time));
        Self { watermark: watermark.map(Watermark::Read), time, ..Self::default() }
    }

    /// An op that is to be done, and what it keeps in memory. Gives back its number.
    pub(super) fn begin(&mut self, op: &Op, bytes: usize) -> u64 {
        self.entries.push_back(WindowEntry { done: false, bytes, time: op.timestamp, through: op.into() });
        self.bytes += bytes;
        self.next_number() - 1
    }

    /// Up to here there was nothing more to do.
    pub(super) fn pass(&mut self, through: Watermark) {
        // Where a place says no time, that of the op before it is the latest that is known.
        let time = through.time();
        match self.entries.back_mut() {
            Some(last) => (last.through, last.time) = (through, time.unwrap_or(last.time)),
            None => (self.watermark, self.time) = (Some(through), time.or(self.time)),
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
            (self.watermark, self.time) = (Some(entry.through), Some(entry.time));
        }
    }

    /// Returns the cluster time of the watermark, or the latest before it that is known: everything before this time is done.
    pub(super) fn time(&self) -> Option<Timestamp> {
        self.time
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
    use crate::testing::op;

    fn at(n: u32) -> Watermark {
        Watermark::Op(Timestamp { time: n, increment: 0 }, OpPlace::Index(0))
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
            let mut window = OpWindow::default();
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
        let mut window = OpWindow::default();
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

    #[test]
    fn the_time_of_the_watermark_is_that_of_the_last_op_before_the_first_that_is_not_done() {
        let at = |n| Some(Timestamp { time: n, increment: 0 });
        let token = || Watermark::Read(Position::ChangeStream("0a".parse().unwrap()));
        let mut window = OpWindow::new(Some(Position::ChangeStream("0a".parse().unwrap())), at(1));
        assert_eq!(window.time(), at(1), "as it was before");
        window.pass(token());
        assert_eq!(window.time(), at(1), "the token says none");
        let numbers: Vec<_> = (2..5).map(|n| window.begin(&op(n), 0)).collect();
        window.pass(token());
        window.done(numbers[1]);
        window.done(numbers[2]);
        assert_eq!(window.time(), at(1), "later ops are done, but not the first");
        window.done(numbers[0]);
        assert_eq!(window.time(), at(4));
        let of_mongod = "82635019A0000000012B0429296E1404".parse().unwrap();
        window.pass(Watermark::Read(Position::ChangeStream(of_mongod)));
        assert_eq!(window.time(), Some(Timestamp { time: 0x6350_19a0, increment: 1 }));
    }
}
