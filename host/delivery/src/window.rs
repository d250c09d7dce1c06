//! The ops between the first that is not done and the last that was read, and the watermark. Pure.

use std::collections::VecDeque;

use gtm_oplog::{Op, OpPlace, Timestamp};
use gtm_source::Position;

/// The ops between the first that is not done and the last that was read, in their order.
///
/// They may become done in any order. Everything up to the watermark is done.
#[derive(Debug, Default)]
pub(super) struct OpWindow {
    entries: VecDeque<WindowEntry>,
    /// The number of the first op.
    first: u64,
    bytes: usize,
    watermark: Option<Watermark>,
    /// The latest known time of the watermark: everything before it is done.
    time: Option<Timestamp>,
}

#[derive(Debug)]
struct WindowEntry {
    done: bool,
    bytes: usize,
    /// The time of the op.
    op_time: Timestamp,
    /// The time of the watermark once this op and all before it are done.
    time: Timestamp,
    /// The watermark once this op and all before it are done.
    through: Watermark,
}

/// The place up to which everything is done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Watermark {
    /// Up to this op.
    Op(Timestamp, OpPlace),
    /// Up to this position, as everything up to it was read.
    Read(Position),
}

impl Watermark {
    /// Returns the position to resume from. None: a document of a snapshot has none.
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
    /// Returns an empty window with this watermark, whose time may be known.
    pub(super) fn new(watermark: Option<Position>, time: Option<Timestamp>) -> Self {
        let time = time.or_else(|| watermark.as_ref().and_then(Position::cluster_time));
        Self { watermark: watermark.map(Watermark::Read), time, ..Self::default() }
    }

    /// Adds an op, and the memory that it keeps in use, in bytes. Returns its number.
    pub(super) fn begin(&mut self, op: &Op, bytes: usize) -> u64 {
        let time = op.timestamp;
        self.entries.push_back(WindowEntry { done: false, bytes, op_time: time, time, through: op.into() });
        self.bytes += bytes;
        self.next_number() - 1
    }

    /// Records that up to here, no more op must be done.
    pub(super) fn pass(&mut self, through: Watermark) {
        // A resume token may have no time: then the time of the op before it is the latest known.
        let time = through.time();
        match self.entries.back_mut() {
            Some(last) => (last.through, last.time) = (through, time.unwrap_or(last.time)),
            None => (self.watermark, self.time) = (Some(through), time.or(self.time)),
        }
    }

    /// Records that the op with this number is done.
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

    /// Returns the cluster time of the watermark, or the latest known time before it: everything before this time is done.
    pub(super) fn time(&self) -> Option<Timestamp> {
        self.time
    }

    /// Returns whether the op with this number is done.
    pub(super) fn is_done(&self, number: u64) -> bool {
        let Some(index) = number.checked_sub(self.first) else { return true };
        let entry = usize::try_from(index).ok().and_then(|index| self.entries.get(index));
        entry.is_some_and(|entry| entry.done)
    }

    /// Returns the watermark. None: not known yet.
    pub(super) fn watermark(&self) -> Option<&Watermark> {
        self.watermark.as_ref()
    }

    /// Returns the time of the first op that is not done, however far was read after it.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.entries.front().map(|entry| entry.op_time)
    }

    /// Returns the number of ops from the first that is not done on.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the number of ops that are not done.
    pub(super) fn unfinished(&self) -> usize {
        self.entries.iter().filter(|entry| !entry.done).count()
    }

    /// Returns the memory that all of them keep in use, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the number of the next op.
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

    /// Returns every order in which `n` ops can become done.
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
    fn the_watermark_is_before_the_first_op_that_is_not_done_whatever_the_order() {
        // Some ops are not wanted: those after an op with an odd number.
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
    fn unwanted_ops_move_the_watermark_only_when_all_before_them_are_done() {
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
        assert_eq!((window.len(), window.next_number()), (0, 1), "an op that is done already, or unknown");
    }

    #[test]
    fn the_oldest_op_stays_the_oldest_however_far_was_read_after_it() {
        let at = |n| Timestamp { time: n, increment: 0 };
        let token = Position::ChangeStream("0a".parse().unwrap());
        let mut window = OpWindow::default();
        assert_eq!(window.oldest(), None);
        let (first, second) = (window.begin(&op(1), 0), window.begin(&op(2), 0));
        for read in [Position::Oplog(at(60)), token] {
            window.pass(Watermark::Read(read));
            assert_eq!(window.oldest(), Some(at(1)));
        }
        window.done(first);
        assert_eq!(window.oldest(), Some(at(2)));
        window.done(second);
        assert_eq!(window.oldest(), None);
    }

    #[test]
    fn the_time_of_the_watermark_is_that_of_the_last_op_before_the_first_that_is_not_done() {
        let at = |n| Some(Timestamp { time: n, increment: 0 });
        let token = || Watermark::Read(Position::ChangeStream("0a".parse().unwrap()));
        let mut window = OpWindow::new(Some(Position::ChangeStream("0a".parse().unwrap())), at(1));
        assert_eq!(window.time(), at(1), "the time it began with");
        window.pass(token());
        assert_eq!(window.time(), at(1), "the token has no time");
        let numbers: Vec<_> = (2..5).map(|n| window.begin(&op(n), 0)).collect();
        window.pass(token());
        window.done(numbers[1]);
        window.done(numbers[2]);
        assert_eq!(window.time(), at(1), "later ops are done, and the first is not");
        window.done(numbers[0]);
        assert_eq!(window.time(), at(4));
        let of_mongod = "82635019A0000000012B0429296E1404".parse().unwrap();
        window.pass(Watermark::Read(Position::ChangeStream(of_mongod)));
        assert_eq!(window.time(), Some(Timestamp { time: 0x6350_19a0, increment: 1 }));
    }
}
