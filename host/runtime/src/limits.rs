//! The limits of an instance: memory and time.

use std::time::Duration;

use wasmtime::ResourceLimiter;

use super::engine::{EPOCH_INTERVAL, TABLE_ELEMENTS};

/// The core instances of a component, and also its tables and its memories. A component in Python, which consists of shared libraries,
/// has about twenty.
pub(super) const MAX_INSTANCES: usize = 200;

/// Bytes of the file of a plugin. One with a Python interpreter and many libraries has half as many.
pub(super) const MAX_FILE_BYTES: u64 = 64 << 20;

/// Subscriptions of a plugin. Each is compared with each namespace, once.
pub(super) const MAX_SUBSCRIPTIONS: usize = 1000;
/// Subscriptions with a regular expression, which may take some MiB each: see `selection`.
pub(super) const MAX_EXPRESSIONS: usize = 64;
/// Bytes of the pattern of a subscription. A namespace has at most 255.
pub(super) const MAX_PATTERN_BYTES: usize = 4096;

/// The limits of each instance of a plugin, or of all its instances together where noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory.
    pub memory: usize,
    /// How long one call of `filter` may take.
    pub filter_timeout: Duration,
    /// How long one call of `handle` may take, with all that it waits for.
    pub handle_timeout: Duration,
    /// How long the plugin waits for one reply of the cluster, the store, the mail server or an HTTP server.
    pub call_timeout: Duration,
    /// Bytes that the host keeps for an instance at the same time: arguments and results of its calls, bodies of requests, resources and
    /// output.
    pub host_memory: usize,
    /// Lines per second that all instances together may log.
    pub log_lines: u32,
    /// Bytes per second that all instances together may log, on average over ten seconds.
    pub log_bytes: u64,
    /// HTTP requests that all instances together may have in progress.
    pub http_requests: usize,
    /// Bytes of the body of an HTTP request, and of the body of a response.
    pub http_bytes: usize,
    /// Sockets that the instance may hold.
    pub tcp_sockets: usize,
    /// Values that the plugin may keep as its state. 0: no limit.
    pub state_keys: u64,
    /// Bytes of these values and their keys. 0: no limit.
    pub state_bytes: u64,
    /// Calls after which a new instance replaces an instance.
    pub recycle_calls: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A document can be 16 MB, and decoding one in an interpreted language takes ten times that.
            memory: 256 << 20,
            filter_timeout: Duration::from_secs(1),
            // Longer than one slow mail server or HTTP service takes to reply or to time out.
            handle_timeout: Duration::from_secs(30),
            call_timeout: Duration::from_secs(20),
            // Three of the largest documents: one that is passed, and its text, which may be twice as long.
            host_memory: 48 << 20,
            // More than a person reads. A plugin that logs each op stays below, except in a backlog.
            log_lines: 10_000,
            // As many lines of about a hundred bytes; and log rotation keeps up.
            log_bytes: 8 << 20,
            http_requests: 16,
            // As large as a document of the server.
            http_bytes: 16 << 20,
            // A client holds one or two.
            tcp_sockets: 16,
            // Enough for counters, cursors and caches; a plugin with more data can use a collection.
            state_keys: 100_000,
            state_bytes: 256 << 20,
            // Small leaks do not add up, and an instance that starts slowly does not start often.
            recycle_calls: 1_000_000,
        }
    }
}

/// Converts a time to ticks of the epoch clock, rounded up.
pub(super) fn ticks(time: Duration) -> u64 {
    let ticks = time.as_nanos().div_ceil(EPOCH_INTERVAL.as_nanos()) + 1;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

/// Counts the memory of an instance, over all its memories and tables.
#[derive(Debug)]
pub(super) struct MemoryQuota {
    /// The limit, in bytes.
    pub(super) limit: usize,
    memory: usize,
    elements: usize,
    /// Bytes in use when it was ready for its first call.
    ready: usize,
    /// Whether it asked for more than its limit.
    pub(super) exceeded: bool,
}

impl MemoryQuota {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            limit: limits.memory,
            memory: limits.memory,
            elements: TABLE_ELEMENTS,
            ready: 0,
            exceeded: false,
        }
    }

    /// Records the memory of the instance after its start, which is the least that it needs.
    pub(super) fn started(&mut self) {
        self.ready = self.taken();
    }

    /// Returns whether it uses more than half of its limit, most of it since its start. WebAssembly never releases memory, so a new
    /// instance has to.
    pub(super) fn has_grown(&self) -> bool {
        self.taken() > (self.limit / 2).max(self.ready.saturating_mul(2))
    }

    /// Returns the bytes of memory in use.
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

impl ResourceLimiter for MemoryQuota {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(Self::take(&mut self.memory, &mut self.exceeded, current, desired))
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES
    }

    fn tables(&self) -> usize {
        MAX_INSTANCES
    }

    fn memories(&self) -> usize {
        MAX_INSTANCES
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
        // The current tick may end immediately, so one is added.
        assert_eq!(ticks(EPOCH_INTERVAL), 2);
        assert_eq!(ticks(EPOCH_INTERVAL + Duration::from_nanos(1)), 3);
        assert_eq!(ticks(Duration::MAX), u64::MAX);
    }

    #[test]
    fn all_memories_of_an_instance_share_its_limit() {
        let mut quota = MemoryQuota::new(&Limits { memory: 100, ..Limits::default() });
        assert!(quota.memory_growing(0, 60, None).unwrap());
        assert!(quota.memory_growing(60, 80, None).unwrap());
        assert!(!quota.exceeded);
        assert!(!quota.memory_growing(0, 40, None).unwrap());
        assert!(quota.exceeded);
    }

    #[test]
    fn an_instance_has_grown_when_it_took_much_more_than_it_started_with() {
        let mut quota = MemoryQuota::new(&Limits { memory: 100, ..Limits::default() });
        assert!(quota.memory_growing(0, 30, None).unwrap());
        quota.started();
        assert!(quota.memory_growing(30, 60, None).unwrap());
        assert!(!quota.has_grown());
        assert!(quota.memory_growing(60, 61, None).unwrap());
        assert!(quota.has_grown());
    }
}
