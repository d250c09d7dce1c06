//! The position of a cursor, and its next batch as bytes.
//!
//! If a batch has the same layout as the one before it, its bytes are reused: only times and numbers are overwritten.

use std::io::Write;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::entries::{CYCLE, Entries};
use super::timestamp;

/// The maximum size of the documents in a reply, in bytes, and the number of documents in the first reply, as on a real server.
const MAX_BATCH_BYTES: usize = 16 * 1024 * 1024 - 64 * 1024;
const FIRST_BATCH_DOCUMENTS: u64 = 101;
/// The maximum size of an array element's type, name and zero byte, in bytes. The name is a number.
const ELEMENT_BYTES: usize = 8;

/// How fast entries are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    started: Instant,
    rate: Option<f64>,
}

impl Pace {
    pub(super) fn new(rate: Option<f64>) -> Self {
        Self { started: Instant::now(), rate }
    }

    /// Returns how many of `of` entries are written by now.
    pub(super) fn written(&self, of: u64) -> u64 {
        match self.rate {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
            Some(rate) => ((self.started.elapsed().as_secs_f64() * rate) as u64).min(of),
            None => of,
        }
    }

    /// Waits until more than `written` entries are written, or for `limit`.
    fn wait(&self, written: u64, of: u64, limit: Duration) {
        let deadline = Instant::now() + limit;
        while self.written(of) <= written {
            #[expect(clippy::cast_precision_loss, reason = "a time")]
            let due = self
                .rate
                .filter(|_| written < of)
                .map(|rate| self.started + Duration::from_secs_f64((written + 1) as f64 / rate));
            let until = due.map_or(deadline, |due| due.min(deadline));
            if until <= Instant::now() && Instant::now() >= deadline {
                return;
            }
            thread::sleep(until.saturating_duration_since(Instant::now()));
        }
    }
}

/// A cursor on the oplog.
pub(super) struct Stream {
    id: i64,
    next: u64,
    is_first: bool,
    batch_size: Option<u64>,
    /// The bytes of the last reply.
    bytes: Vec<u8>,
    /// The layout of these bytes: the place of the first entry in the cycle, the number of entries, whether they end the stream, and
    /// whether it is the first reply.
    layout: Option<(u64, u64, bool, bool)>,
    times: Vec<(usize, u64)>,
    numbers: Vec<(usize, u64)>,
    sent: Vec<usize>,
}

impl Stream {
    pub(super) fn new(next: u64, batch_size: Option<u64>) -> Self {
        static IDS: AtomicI64 = AtomicI64::new(7_000_000_001);
        Self {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            next,
            is_first: true,
            batch_size: batch_size.filter(|size| *size > 0),
            bytes: Vec::new(),
            layout: None,
            times: Vec::new(),
            numbers: Vec::new(),
            sent: Vec::new(),
        }
    }

    pub(super) fn id(&self) -> i64 {
        self.id
    }

    /// Returns the reply with the next entries as a document. It waits up to `wait` for an entry.
    pub(super) fn reply(&mut self, entries: &Entries, pace: Pace, wait: Duration) -> anyhow::Result<&[u8]> {
        if !self.is_first {
            pace.wait(self.next, entries.len(), wait);
        }
        let written = pace.written(entries.len());
        // The entries that end the stream come in a batch of their own.
        let is_end = self.next >= entries.count;
        let there = if is_end { written } else { written.min(entries.count) }.saturating_sub(self.next);
        let most = self
            .batch_size
            .unwrap_or(if self.is_first { FIRST_BATCH_DOCUMENTS } else { u64::MAX })
            .min(there);
        let layout = self.layout(entries, most, is_end);
        if self.layout != Some(layout) {
            self.build(entries, layout)?;
        }
        self.overwrite();
        self.next += layout.1;
        self.is_first = false;
        Ok(&self.bytes)
    }

    /// Returns the layout of the next reply: as many entries as fit.
    fn layout(&self, entries: &Entries, most: u64, is_end: bool) -> (u64, u64, bool, bool) {
        let average = usize::try_from(entries.average()).unwrap_or(usize::MAX) + ELEMENT_BYTES;
        // Whole cycles, which all have the same length.
        let fit = u64::try_from(MAX_BATCH_BYTES / (average * 100)).unwrap_or(1).max(1) * CYCLE;
        let count = match (is_end, fit) {
            (false, CYCLE) => {
                let mut room = MAX_BATCH_BYTES;
                let fits = |index: &u64| {
                    let size = entries.template(*index).bytes.len() + ELEMENT_BYTES;
                    let rest = room.checked_sub(size);
                    room = rest.unwrap_or(0);
                    rest.is_some()
                };
                u64::try_from((self.next..self.next + most).take_while(fits).count()).unwrap_or(1)
            }
            (false, _) => most.min(fit),
            (true, _) => most,
        };
        (self.next % CYCLE, count, is_end, self.is_first)
    }

    fn build(&mut self, entries: &Entries, layout: (u64, u64, bool, bool)) -> anyhow::Result<()> {
        let (_, count, _, is_first) = layout;
        let Self { id, bytes, times, numbers, sent, next, .. } = self;
        bytes.clear();
        times.clear();
        numbers.clear();
        sent.clear();
        bytes.extend([0; 4]);
        bytes.extend(b"\x03cursor\0");
        let cursor = bytes.len();
        bytes.extend([0; 4]);
        bytes.extend(if is_first { b"\x04firstBatch\0".as_slice() } else { b"\x04nextBatch\0" });
        let batch = bytes.len();
        bytes.extend([0; 4]);
        for place in 0..count {
            bytes.push(3);
            write!(bytes, "{place}\0")?;
            let template = entries.template(*next + place);
            let at = bytes.len();
            times.extend(template.times.iter().map(|offset| (at + offset, place)));
            numbers.extend(template.numbers.iter().map(|offset| (at + offset, place)));
            sent.extend(template.sent.iter().map(|offset| at + offset));
            bytes.extend(&template.bytes);
        }
        end(bytes, batch);
        bytes.extend(b"\x12id\0");
        bytes.extend(id.to_le_bytes());
        bytes.extend(b"\x02ns\0\x0f\0\0\0local.oplog.rs\0");
        end(bytes, cursor);
        bytes.extend(b"\x01ok\0");
        bytes.extend(1_f64.to_le_bytes());
        end(bytes, 0);
        self.layout = Some(layout);
        Ok(())
    }

    fn overwrite(&mut self) {
        let Self { bytes, times, numbers, sent, next, .. } = self;
        let mut put = |at: usize, word: [u8; 8]| {
            if let Some(place) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
                *place = word;
            }
        };
        for (at, place) in times {
            let bson::Timestamp { time, increment } = timestamp(*next + *place);
            put(*at, (u64::from(time) << 32 | u64::from(increment)).to_le_bytes());
        }
        numbers.iter().for_each(|(at, place)| put(*at, (*next + *place).to_le_bytes()));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        sent.iter().for_each(|at| put(*at, now.to_le_bytes()));
    }
}

/// Ends the document that begins at `begin`.
fn end(bytes: &mut Vec<u8>, begin: usize) {
    bytes.push(0);
    let length = u32::try_from(bytes.len() - begin).unwrap_or(u32::MAX).to_le_bytes();
    if let Some(place) = bytes.get_mut(begin..).and_then(|rest| rest.first_chunk_mut()) {
        *place = length;
    }
}
