//! The ops that the plugins of a host report, and those that are expected.

use std::collections::BTreeMap;

use bson::Timestamp;

/// A number of ops and the sum of their digests. An op that is missing, or came twice, changes the sum.
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

    /// Returns the same ops `times` times.
    pub(crate) fn times(self, times: u64) -> Self {
        Self { count: self.count * times, sum: self.sum.wrapping_mul(times) }
    }
}

/// What plugins have reported so far.
#[derive(Debug, Default)]
pub(crate) struct PluginReports {
    pub(crate) handled: Ops,
    pub(crate) filtered: u64,
    /// The number of ops by the time from sending to handling, in microseconds.
    pub(crate) latencies: BTreeMap<u64, u64>,
    /// The number of handled ops that end the stream.
    pub(crate) ends: u64,
}

impl PluginReports {
    /// Records a message of a plugin, if it is a report.
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
