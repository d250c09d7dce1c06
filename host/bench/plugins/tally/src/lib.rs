//! What the plugins of the benchmarks have in common: they do nothing with an op but add it up, and say what came when the stream
//! ends. So the host is measured, and it is known whether each op came as often as it should.
//!
//! The stream ends with some ops in [`END`], enough that each lane gets one; each has the instance that gets it say what it
//! has added up since the last.
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
/// How many ops were handled so many sixteenths of a power of two of microseconds after they were sent.
static LATENCIES: [AtomicU64; BUCKETS] = [const { AtomicU64::new(0) }; BUCKETS];
const BUCKETS: usize = 512;

/// What is wanted: nothing (`none`), or everything.
fn wants_all() -> bool {
    static WANTS: OnceLock<bool> = OnceLock::new();
    *WANTS.get_or_init(|| config::get("want").as_deref() != Some("none"))
}

/// Whether the time from sending to handling is measured.
fn is_timed() -> bool {
    static TIMED: OnceLock<bool> = OnceLock::new();
    *TIMED.get_or_init(|| config::get("timed").is_some())
}

/// Whether each op is said.
fn is_said() -> bool {
    static SAID: OnceLock<bool> = OnceLock::new();
    *SAID.get_or_init(|| config::get("said").is_some())
}

/// Wants what its config says, and always the end.
pub fn filter(op: &Op) -> bool {
    if is_end(op) {
        log::info!("filtered {}", FILTERED.swap(0, Relaxed));
        return true;
    }
    FILTERED.fetch_add(1, Relaxed);
    wants_all()
}

/// Adds it up.
///
/// # Errors
/// None.
pub fn handle(op: &Op) -> Outcome {
    if is_end(op) {
        say();
        return Ok(());
    }
    HANDLED.fetch_add(1, Relaxed);
    let index = op.transaction().map_or(0, |transaction| transaction.index);
    SUM.fetch_add(digest(op.timestamp().time, op.timestamp().increment, index), Relaxed);
    if is_timed() {
        time(op);
    }
    if is_said() {
        log::info!("an op");
    }
    Ok(())
}

fn is_end(op: &Op) -> bool {
    op.namespace().database == END
}

/// Of which op: sums of it tell one set of ops from another, in any order.
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

/// The bucket of so many microseconds: sixteen to each power of two.
fn bucket(micros: u64) -> usize {
    let power = micros.max(16).ilog2() - 4;
    let row = if micros < 16 { 0 } else { power + 1 };
    let bucket = u64::from(row) * 16 + ((micros >> power) & 15);
    usize::try_from(bucket).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The most microseconds that this bucket is for.
pub fn micros(bucket: u32) -> u64 {
    let first = |bucket: u32| match bucket / 16 {
        0 => bucket.into(),
        power => u64::from(16 + bucket % 16) << (power - 1),
    };
    first(bucket + 1) - 1
}

fn say() {
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
    fn a_time_is_in_the_bucket_that_says_no_less_and_hardly_more() {
        for time in (0..100_000).step_by(7) {
            let said = micros(u32::try_from(bucket(time)).unwrap());
            assert!(said >= time && said <= time + time / 16, "{time}: {said}");
            assert_eq!(bucket(said), bucket(time));
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn an_op_more_or_less_or_another_is_another_digest() {
        let digests = [digest(1, 1, 0), digest(1, 2, 0), digest(2, 1, 0), digest(1, 1, 1)];
        for (n, one) in digests.iter().enumerate() {
            assert!(digests.iter().skip(n + 1).all(|other| other != one));
        }
    }
}
