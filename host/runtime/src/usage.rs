//! Counts the calls of a plugin and their results, over all its instances and versions.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::call::CallError;
use super::metrics::Histogram;

/// The upper bounds of the buckets of durations, in nanoseconds: from a call of a filter to a time-out.
const BOUNDS: [u64; 12] = [
    2_500,
    10_000,
    50_000,
    250_000,
    1_000_000,
    5_000_000,
    25_000_000,
    100_000_000,
    500_000_000,
    2_500_000_000,
    10_000_000_000,
    60_000_000_000,
];

/// The counts of one plugin. They take no lock, as every call is counted.
#[derive(Debug, Default)]
pub(super) struct PluginUsage {
    pub(super) filter: Durations,
    pub(super) handle: Durations,
    timeouts: AtomicU64,
    out_of_memory: AtomicU64,
    trapped: AtomicU64,
    restarts: AtomicU64,
    mails: Outcomes,
    requests: Outcomes,
    connections: Outcomes,
    lines_left_out: AtomicU64,
    bytes_left_out: AtomicU64,
}

/// The durations of calls.
#[derive(Debug, Default)]
pub(super) struct Durations {
    /// One more than there are bounds, for durations over the last bound.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

#[derive(Debug, Default)]
struct Outcomes {
    succeeded: AtomicU64,
    failed: AtomicU64,
}

/// The counts of a plugin since the host started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageStatus {
    /// The durations of calls of `filter`, in seconds. A batch is one call.
    pub filter_seconds: Histogram,
    /// The durations of calls of `handle`, in seconds. A batch is one call.
    pub handle_seconds: Histogram,
    /// Calls that ended an instance.
    pub traps: TrapCounts,
    /// Instances that replaced another: after a trap, for a new version, or after many calls.
    pub instance_restarts: u64,
    /// E-mails, by whether the mail server accepted them.
    pub mails: SentCounts,
    /// HTTP requests, by whether they were answered.
    pub requests: SentCounts,
    /// TCP connections, by whether they were made.
    #[serde(default)]
    pub connections: ConnectionCounts,
    /// Lines that were not logged, as the plugin exceeded its limits.
    #[serde(default)]
    pub log_lines_left_out: u64,
    /// Bytes of these lines.
    #[serde(default)]
    pub log_bytes_left_out: u64,
}

/// Calls that ended an instance, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrapCounts {
    /// It panicked, or did something that WebAssembly does not allow; or the host panicked while it served the call.
    pub trapped: u64,
    /// It exceeded its time limit.
    pub timed_out: u64,
    /// It exceeded a limit of its memory, or of the host's memory for it.
    pub out_of_memory: u64,
}

/// Counts of messages or requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentCounts {
    /// Those that were sent.
    pub sent: u64,
    /// Those that failed.
    pub failed: u64,
}

/// Counts of TCP connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionCounts {
    /// Those that were made.
    pub made: u64,
    /// Those that failed.
    pub failed: u64,
}

impl PluginUsage {
    /// Counts a call that failed and ended its instance.
    pub(super) fn trapped(&self, error: &CallError) {
        let count = match error {
            CallError::TimedOut { .. } => &self.timeouts,
            CallError::OutOfMemory { .. } | CallError::OutOfHostMemory { .. } => &self.out_of_memory,
            CallError::InFilter { error, .. } => return self.trapped(error),
            CallError::Busy { .. } => return,
            CallError::Trapped { .. } | CallError::Defect { .. } => &self.trapped,
        };
        count.fetch_add(1, Relaxed);
    }

    /// Counts an instance that replaced another.
    pub(super) fn restarted(&self) {
        self.restarts.fetch_add(1, Relaxed);
    }

    /// Counts a message, by whether the mail server accepted it.
    pub(super) fn mail(&self, sent: bool) {
        self.mails.count(sent);
    }

    /// Counts a request that was sent, by whether it was answered.
    pub(super) fn request(&self, sent: bool) {
        self.requests.count(sent);
    }

    /// Counts a TCP connection, by whether it was made.
    pub(super) fn connection(&self, made: bool) {
        self.connections.count(made);
    }

    /// Counts a line with this many bytes that was not logged.
    pub(super) fn left_out(&self, bytes: u64) {
        self.lines_left_out.fetch_add(1, Relaxed);
        self.bytes_left_out.fetch_add(bytes, Relaxed);
    }

    pub(super) fn status(&self) -> UsageStatus {
        UsageStatus {
            filter_seconds: self.filter.status(),
            handle_seconds: self.handle.status(),
            traps: TrapCounts {
                trapped: self.trapped.load(Relaxed),
                timed_out: self.timeouts.load(Relaxed),
                out_of_memory: self.out_of_memory.load(Relaxed),
            },
            instance_restarts: self.restarts.load(Relaxed),
            mails: self.mails.sent(),
            requests: self.requests.sent(),
            connections: self.connections.made(),
            log_lines_left_out: self.lines_left_out.load(Relaxed),
            log_bytes_left_out: self.bytes_left_out.load(Relaxed),
        }
    }
}

impl Durations {
    pub(super) fn record(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let index = BOUNDS.iter().position(|bound| nanos <= *bound).unwrap_or(BOUNDS.len());
        if let Some(bucket) = self.buckets.get(index) {
            bucket.fetch_add(1, Relaxed);
        }
        self.nanos.fetch_add(nanos, Relaxed);
    }

    fn status(&self) -> Histogram {
        let counts = self.buckets.each_ref().map(|bucket| bucket.load(Relaxed));
        let seconds = |nanos: u64| Duration::from_nanos(nanos).as_secs_f64();
        Histogram {
            sum: seconds(self.nanos.load(Relaxed)),
            count: counts.iter().sum(),
            buckets: BOUNDS.into_iter().map(seconds).zip(counts).collect(),
        }
    }
}

impl Outcomes {
    fn count(&self, succeeded: bool) {
        let count = if succeeded { &self.succeeded } else { &self.failed };
        count.fetch_add(1, Relaxed);
    }

    fn sent(&self) -> SentCounts {
        SentCounts { sent: self.succeeded.load(Relaxed), failed: self.failed.load(Relaxed) }
    }

    fn made(&self) -> ConnectionCounts {
        ConnectionCounts { made: self.succeeded.load(Relaxed), failed: self.failed.load(Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_counted_in_buckets() {
        let durations = Durations::default();
        for nanos in [1, 2_500, 2_501, 999_999, 61_000_000_000] {
            durations.record(Duration::from_nanos(nanos));
        }
        let Histogram { sum, count, buckets } = durations.status();
        assert_eq!((count, buckets.len()), (5, BOUNDS.len()));
        assert!((sum - 61.001_005_001).abs() < 1e-9, "{sum}");
        let counts: Vec<_> = buckets.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert!((buckets[0].0 - 2.5e-6).abs() < 1e-12);
    }
}
