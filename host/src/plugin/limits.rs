//! What an instance may take: memory and time.

use std::time::Duration;

use wasmtime::ResourceLimiter;

use super::engine::TICK;

/// Elements in all tables of an instance. A table of this size takes 8 MB; real plugins have some
/// thousand functions in theirs.
const TABLE_ELEMENTS: usize = 1_000_000;

/// Core instances, tables and memories, each, that a component may be made of. One in Python, which is
/// made of shared libraries, has some twenty.
const INSTANCES: usize = 200;

/// The limits of each instance of a plugin.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of linear memory.
    pub memory: usize,
    /// How long one call of `filter` may take.
    pub filter_timeout: Duration,
    /// How long one call of `handle` may take, with all that it waits for.
    pub handle_timeout: Duration,
}

/// A time as ticks of the epoch clock, at least what it says.
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
    /// It asked for more than it may have.
    pub(super) exceeded: bool,
}

impl Quota {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { limit: limits.memory, memory: limits.memory, elements: TABLE_ELEMENTS, exceeded: false }
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
        assert_eq!(ticks(Duration::from_millis(10)), 2);
        assert_eq!(ticks(Duration::from_millis(11)), 3);
        assert_eq!(
            ticks(Duration::MAX),
            u64::try_from(Duration::MAX.as_nanos().div_ceil(10_000_000) + 1).unwrap_or(u64::MAX)
        );
    }

    #[test]
    fn all_memories_of_an_instance_share_its_limit() {
        let limits = Limits { memory: 100, filter_timeout: Duration::ZERO, handle_timeout: Duration::ZERO };
        let mut quota = Quota::new(&limits);
        assert!(quota.memory_growing(0, 60, None).unwrap());
        assert!(quota.memory_growing(60, 80, None).unwrap());
        assert!(!quota.exceeded);
        assert!(!quota.memory_growing(0, 40, None).unwrap());
        assert!(quota.exceeded);
    }
}
