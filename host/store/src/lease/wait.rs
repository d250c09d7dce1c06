//! Acquires a lease: immediately if it is free; otherwise when its holder has released it, is known to have ended, or has not renewed it
//! for the time to live.

use std::time::Duration;

use gtm_mongo::Backoff;
use tokio::time::{Instant, sleep};

use super::LeaseError;
use super::document::{LeaseState, StoredLease};
use super::leases::{CommandFailure, Leases};

/// The interval at which a held lease is read, unless the time to live is short.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The longest pause between failed attempts. An attempt without a server takes the time to live, so longer pauses are not needed, and a
/// host gets its own lease back soon after the server is back.
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The holder that a host waits for, and how long.
#[derive(Clone, Copy, Debug)]
pub struct LeaseWait<'a> {
    /// The name of the holder.
    pub holder: &'a str,
    /// The time after which this host takes over if the holder does not renew its lease.
    pub at_most: Duration,
}

/// A held lease.
pub(super) struct HeldLease {
    pub(super) epoch: i64,
    /// When the command began that last confirmed it.
    pub(super) since: Instant,
}

/// What this host knows of the lease so far.
#[derive(Default)]
struct SeenLease {
    /// The last change of the lease, and when this host first saw it.
    last: Option<(LeaseState, Instant)>,
    /// The epoch that this host last tried to write. It may hold the lease if the reply was lost.
    tried: Option<i64>,
}

/// Waits until this host holds the lease. Calls `on_wait` with the holder when the wait begins and when the holder changes.
pub(super) async fn wait(
    leases: &Leases,
    ttl: Duration,
    mut on_wait: impl FnMut(LeaseWait<'_>),
) -> Result<HeldLease, LeaseError> {
    let mut backoff = Backoff::with_max_pause(MAX_POLL_INTERVAL);
    let mut seen = SeenLease::default();
    let mut other = None;
    let look = POLL_INTERVAL.min(ttl / 8);
    loop {
        match attempt(leases, ttl, &mut seen).await {
            Ok(LeaseAttempt::Held(held)) => return Ok(held),
            Ok(LeaseAttempt::Changed) => sleep(look).await,
            Ok(LeaseAttempt::Other(holder)) => {
                if other.as_ref() != Some(&holder) {
                    on_wait(LeaseWait { holder: &holder, at_most: ttl });
                    other = Some(holder);
                }
                sleep(look).await;
            }
            Err(CommandFailure::Now(error)) => {
                backoff.pause("lease.take_failed", "the lease cannot be read or taken", &error).await;
                continue;
            }
            Err(CommandFailure::Always(error)) => return Err(error),
        }
        backoff.recovered();
    }
}

/// The result of one attempt to get the lease.
enum LeaseAttempt {
    Held(HeldLease),
    /// Another holder has it.
    Other(String),
    /// It changed between the read and the write.
    Changed,
}

async fn attempt(
    leases: &Leases,
    ttl: Duration,
    seen: &mut SeenLease,
) -> Result<LeaseAttempt, CommandFailure> {
    let Some(stored) = leases.read(ttl).await? else {
        let since = Instant::now();
        seen.tried = Some(1);
        let created = leases.create(ttl).await?;
        return Ok(if created {
            LeaseAttempt::Held(HeldLease { epoch: 1, since })
        } else {
            LeaseAttempt::Changed
        });
    };
    let StoredLease { holder, released, process, state } = stored;
    let since = Instant::now();
    let is_mine = holder == leases.holder.name();
    if is_mine && !released && seen.tried == Some(state.epoch) {
        // An earlier write worked although its reply was lost, or the majority was slow: a renewal confirms it.
        let renewed = leases.renew(state.epoch, ttl).await?;
        return Ok(if renewed {
            LeaseAttempt::Held(HeldLease { epoch: state.epoch, since })
        } else {
            LeaseAttempt::Changed
        });
    }
    let first = match seen.last {
        Some((before, first)) if before == state => first,
        // Not when the read began: what it saw may be as recent as its reply.
        _ => since,
    };
    seen.last = Some((state, first));
    // This host takes back its own lease with a new epoch, which fences off writes that are still in progress under the old one.
    if !released && !is_mine && first.elapsed() < ttl {
        if !process.is_some_and(|process| process.has_ended()) {
            return Ok(LeaseAttempt::Other(holder));
        }
        tracing::info!(event = "lease.take_over", lease = %leases.key, holder, "taking the lease over: its holder has ended");
    }
    if is_mine && !released {
        tracing::info!(event = "lease.regain", lease = %leases.key, "the lease is this host's again: no other host took it");
    }
    seen.tried = state.epoch.checked_add(1);
    let taken = leases.take(state, ttl).await?;
    Ok(taken.map_or(LeaseAttempt::Changed, |epoch| LeaseAttempt::Held(HeldLease { epoch, since })))
}
