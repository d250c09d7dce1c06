//! What the plugins of a host say came to them, beside what should have.

use std::collections::BTreeMap;

use bson::Timestamp;

/// Ops, told from others by a sum of their digests: one that is missing, or came twice, makes another sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ops {
    pub(crate) count: u64,
    pub(crate) sum: u64,
}

impl Ops {
    pub(crate) fn of(ops: impl Iterator<Item = (Timestamp, u32)>) -> Self {
        ops.fold(Self::default(), |Self { count, sum }, (Timestamp { time, increment }, index)| Self {
            count: count + 1,
            sum: sum.wrapping_add(tally::digest(time, increment, index)),
        })
    }

    /// So many times the same.
    pub(crate) fn times(self, times: u64) -> Self {
        Self { count: self.count * times, sum: self.sum.wrapping_mul(times) }
    }
}

/// What plugins have said so far.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) handled: Ops,
    pub(crate) filtered: u64,
    /// Microseconds from sending to handling, and how many ops took about so long.
    pub(crate) latencies: BTreeMap<u64, u64>,
    /// How many ops that end the stream were handled.
    pub(crate) ends: u64,
}

impl Said {
    /// Takes down a message of a plugin. Any other is none of these.
    pub(crate) fn take(&mut self, message: &str) {
        let mut words = message.split_whitespace();
        let number = |words: &mut std::str::SplitWhitespace<'_>| words.next()?.parse::<u64>().ok();
        match words.next() {
            Some("filtered") => self.filtered += number(&mut words).unwrap_or(0),
            Some("handled") => {
                self.ends += 1;
                self.handled.count += number(&mut words).unwrap_or(0);
                self.handled.sum = self.handled.sum.wrapping_add(number(&mut words).unwrap_or(0));
                let buckets =
                    words.next().unwrap_or_default().split(',').filter_map(|pair| pair.split_once(':'));
                for (bucket, count) in buckets {
                    let (Ok(bucket), Ok(count)) = (bucket.parse(), count.parse::<u64>()) else { continue };
                    *self.latencies.entry(tally::micros(bucket)).or_default() += count;
                }
            }
            _ => {}
        }
    }
}
