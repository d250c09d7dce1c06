//! What an instance may take: memory and time.

use std::time::Duration;

use wasmtime::ResourceLimiter;

use super::engine::{TABLE_ELEMENTS, TICK};

/// Core instances, tables and memories, each, that a component may be made of. One in Python, which is
/// made of shared libraries, has some twenty.
pub(super) const INSTANCES: usize = 200;

/// Bytes of the file of a plugin. One that brings a Python interpreter with many libraries has half of it.
pub(super) const FILE: u64 = 64 << 20;

/// Subscriptions of a plugin. Each is compared with each namespace, once.
pub(super) const SUBSCRIPTIONS: usize = 1000;
/// Of these, regular expressions, which may each take some MiB: see `selection`.
pub(super) const EXPRESSIONS: usize = 64;
/// Bytes of the pattern of a subscription. A namespace has 255 at most.
pub(super) const PATTERN: usize = 4096;

/// The limits of each instance of a plugin, and of all of them together where that is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory.
    pub memory: usize,
    /// How long one call of `filter` may take.
    pub filter_timeout: Duration,
    /// How long one call of `handle` may take, with all that it waits for.
    pub handle_timeout: Duration,
    /// How long the plugin waits for one answer of the cluster, the store, the mail server or an HTTP server.
    pub call_timeout: Duration,
    /// Bytes that the host keeps for an instance at a time: arguments and answers of its calls, bodies of requests, resources and
    /// output.
    pub host_memory: usize,
    /// Lines that all instances log in a second.
    pub log_lines: u32,
    /// Bytes that all instances log in a second, on average over ten seconds.
    pub log_bytes: u64,
    /// HTTP requests that all instances have under way.
    pub http_requests: usize,
    /// Bytes of the body of an HTTP request, and of that of a response.
    pub http_bytes: usize,
    /// Values that the plugin keeps as its state. 0: any number.
    pub state_keys: u64,
    /// Bytes of them and of their keys. 0: any number.
    pub state_bytes: u64,
    /// Calls after which an instance is replaced by a new one.
    pub recycle_calls: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A document can be 16 MB, and decoding one in an interpreted language takes ten times that.
            memory: 256 << 20,
            filter_timeout: Duration::from_secs(1),
            // More than one slow mail server or HTTP service needs to answer or to time out.
            handle_timeout: Duration::from_secs(30),
            call_timeout: Duration::from_secs(20),
            // Three of the largest documents: one that is handed over, and its text, which may be twice as long.
            host_memory: 48 << 20,
            // More than a person reads; a plugin that logs each op stays below it but in a backlog.
            log_lines: 10_000,
            // As many lines as that, of some hundred bytes each; and a disk has time to be rotated.
            log_bytes: 8 << 20,
            http_requests: 16,
            // As much as a document of the server holds.
            http_bytes: 16 << 20,
            // Counters, cursors and caches have room; a plugin with more has a collection at hand.
            state_keys: 100_000,
            state_bytes: 256 << 20,
            // What leaks a little is gone before it counts, and what is slow to start does not start often.
            recycle_calls: 1_000_000,
        }
    }
}

/// Converts a time to ticks of the epoch clock, rounded up.
pub(super) fn ticks(time: Duration) -> u64 {
    let ticks = time.as_nanos().div_ceil(TICK.as_nanos()) + 1;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

/// Counts what an instance takes, over all its memories and tables.
#[derive(Debug)]
pub(super) struct Quota {
    /// Bytes of memory that there were at first.
    pub(super) limit: usize,
    memory: usize,
    elements: usize,
    /// Bytes taken when it was ready for its first call.
    ready: usize,
    /// It asked for more than it may have.
    pub(super) exceeded: bool,
}

impl Quota {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            limit: limits.memory,
            memory: limits.memory,
            elements: TABLE_ELEMENTS,
            ready: 0,
            exceeded: false,
        }
    }

    /// Notes that the instance has started: what it has taken so far is the least that it takes.
    pub(super) fn started(&mut self) {
        self.ready = self.taken();
    }

    /// It has taken more than half of what it may have, and most of it since it started. WebAssembly gives no memory back,
    /// so a new instance does.
    pub(super) fn has_grown(&self) -> bool {
        self.taken() > (self.limit / 2).max(self.ready.saturating_mul(2))
    }

    /// Bytes of memory.
    pub(super) fn taken(&self) -> usize {
        self.limit - self.memory
    }

    fn take(rest: &mut usize, exceeded: &mut bool, current: usize, desired: usize) -> bool {
        let more = desired.saturating_sub(current);
        let enough = more <= *rest;
        if enough {
            *rest -= more;
        }
        *exceeded |= !enough;
        enough
    }
}

impl ResourceLimiter for Quota {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(Self::take(&mut self.memory, &mut self.exceeded, current, desired))
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        INSTANCES
    }

    fn memories(&self) -> usize {
        INSTANCES
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(Self::take(&mut self.elements, &mut self.exceeded, current, desired))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_never_early() {
        // The current tick may be about to end, so one is added.
        assert_eq!(ticks(TICK), 2);
        assert_eq!(ticks(TICK + Duration::from_nanos(1)), 3);
        assert_eq!(ticks(Duration::MAX), u64::MAX);
    }

    #[test]
    fn all_memories_of_an_instance_share_its_limit() {
        let mut quota = Quota::new(&Limits { memory: 100, ..Limits::default() });
        assert!(quota.memory_growing(0, 60, None).unwrap());
        assert!(quota.memory_growing(60, 80, None).unwrap());
        assert!(!quota.exceeded);
        assert!(!quota.memory_growing(0, 40, None).unwrap());
        assert!(quota.exceeded);
    }

    #[test]
    fn an_instance_has_grown_when_it_took_much_more_than_it_started_with() {
        let mut quota = Quota::new(&Limits { memory: 100, ..Limits::default() });
        assert!(quota.memory_growing(0, 30, None).unwrap());
        quota.started();
        assert!(quota.memory_growing(30, 60, None).unwrap());
        assert!(!quota.has_grown());
        assert!(quota.memory_growing(60, 61, None).unwrap());
        assert!(quota.has_grown());
    }
}
