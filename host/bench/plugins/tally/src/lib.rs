//! The common part of the benchmarks' plugins: they only count ops, and report the counts when the stream ends. So the host is measured,
//! and the benchmark knows whether each op came as often as it should.
//!
//! The stream ends with some ops in [`END`], enough that each lane gets one. The instance that gets one reports what it counted since
//! the last report.
#![forbid(unsafe_code)]

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{SystemTime, UNIX_EPOCH};

use gtm_plugin::{Op, Outcome, config, log};

/// The database in which the stream ends.
pub const END: &str = "bench";

static FILTERED: AtomicU64 = AtomicU64::new(0);
static HANDLED: AtomicU64 = AtomicU64::new(0);
static SUM: AtomicU64 = AtomicU64::new(0);
/// The number of ops by the time from sending to handling. Each power of two of microseconds has sixteen buckets.
static LATENCIES: [AtomicU64; BUCKETS] = [const { AtomicU64::new(0) }; BUCKETS];
const BUCKETS: usize = 512;

/// Returns whether all ops are wanted. With `want=none`, none is.
fn wants_all() -> bool {
    static WANTS: OnceLock<bool> = OnceLock::new();
    *WANTS.get_or_init(|| config::get("want").as_deref() != Some("none"))
}

/// Returns whether the time from sending to handling is measured.
fn is_timed() -> bool {
    static TIMED: OnceLock<bool> = OnceLock::new();
    *TIMED.get_or_init(|| config::get("timed").is_some())
}

/// Returns whether each op is logged.
fn logs_each() -> bool {
    static LOGS: OnceLock<bool> = OnceLock::new();
    *LOGS.get_or_init(|| config::get("each").is_some())
}

/// Returns whether an op is wanted: by the config, and always at the end of the stream.
pub fn filter(op: &Op) -> bool {
    if is_end(op) {
        log::info!("filtered {}", FILTERED.swap(0, Relaxed));
        return true;
    }
    FILTERED.fetch_add(1, Relaxed);
    wants_all()
}

/// Counts an op.
///
/// # Errors
/// It never fails.
pub fn handle(op: &Op) -> Outcome {
    if is_end(op) {
        report();
        return Ok(());
    }
    HANDLED.fetch_add(1, Relaxed);
    let index = op.transaction().map_or(0, |transaction| transaction.index);
    SUM.fetch_add(digest(op.timestamp().time, op.timestamp().increment, index), Relaxed);
    if is_timed() {
        time(op);
    }
    if logs_each() {
        log::info!("an op");
    }
    Ok(())
}

fn is_end(op: &Op) -> bool {
    op.namespace().database == END
}

/// Returns the digest of an op. The sums of digests distinguish sets of ops, in any order.
pub fn digest(time: u32, increment: u32, index: u32) -> u64 {
    // The finalizer of SplitMix64.
    let mut word = (u64::from(time) << 32 | u64::from(increment)).wrapping_add(u64::from(index) << 20);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

fn time(op: &Op) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let sent = op.raw_document().ok().and_then(|document| document.get_i64("sent").ok());
    let Some(took) = sent.and_then(|sent| u64::try_from(now).ok()?.checked_sub(sent.try_into().ok()?)) else {
        return;
    };
    if let Some(bucket) = LATENCIES.get(bucket(took / 1000)) {
        bucket.fetch_add(1, Relaxed);
    }
}

/// Returns the bucket of a time in microseconds.
fn bucket(micros: u64) -> usize {
    let power = micros.max(16).ilog2() - 4;
    let row = if micros < 16 { 0 } else { power + 1 };
    let bucket = u64::from(row) * 16 + ((micros >> power) & 15);
    usize::try_from(bucket).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// Returns the maximum time of a bucket, in microseconds.
pub fn micros(bucket: u32) -> u64 {
    let first = |bucket: u32| match bucket / 16 {
        0 => bucket.into(),
        power => u64::from(16 + bucket % 16) << (power - 1),
    };
    first(bucket + 1) - 1
}

fn report() {
    let latencies: Vec<_> = LATENCIES
        .iter()
        .enumerate()
        .filter_map(|(bucket, count)| {
            Some((bucket, Some(count.swap(0, Relaxed)).filter(|count| *count > 0)?))
        })
        .map(|(bucket, count)| format!("{bucket}:{count}"))
        .collect();
    log::info!("handled {} {} {}", HANDLED.swap(0, Relaxed), SUM.swap(0, Relaxed), latencies.join(","));
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails should say where")]
mod tests {
    use super::*;

    #[test]
    fn the_maximum_of_a_bucket_is_at_most_a_sixteenth_more_than_its_times() {
        for time in (0..100_000).step_by(7) {
            let max = micros(u32::try_from(bucket(time)).unwrap());
            assert!(max >= time && max <= time + time / 16, "{time}: {max}");
            assert_eq!(bucket(max), bucket(time));
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn different_ops_have_different_digests() {
        let digests = [digest(1, 1, 0), digest(1, 2, 0), digest(2, 1, 0), digest(1, 1, 1)];
        for (n, one) in digests.iter().enumerate() {
            assert!(digests.iter().skip(n + 1).all(|other| other != one));
        }
    }
}
