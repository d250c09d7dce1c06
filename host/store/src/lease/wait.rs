//! Getting a lease: immediately where it is free, else when its holder has given it up, is known to have ended, or has not been
//! seen to live for as long as a lease lives.

use std::time::Duration;

use gtm_mongo::Backoff;
use tokio::time::{Instant, sleep};

use super::LeaseError;
use super::document::{LeaseState, Stored};
use super::leases::{Failed, Leases};

/// A lease that was given up is noticed after this at the latest.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// An attempt that no server answers takes as long as a lease lives, so that the pauses between need not grow to be long: a lease
/// that is this host's own is to be had soon after the server is back.
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Whom a host waits for, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct LeaseWait<'a> {
    /// Who has the lease.
    pub holder: &'a str,
    /// This host takes over in at most this time, if the holder does not renew its lease.
    pub at_most: Duration,
}

/// A lease that is held.
pub(super) struct Held {
    pub(super) epoch: i64,
    /// When the command that last showed it began.
    pub(super) since: Instant,
}

/// What is known so far.
#[derive(Default)]
struct SeenLease {
    /// What the lease was when it last changed, and when that was first seen.
    last: Option<(LeaseState, Instant)>,
    /// The epoch that this host last tried to have. It may have it, where the answer was lost.
    tried: Option<i64>,
}

/// Waits until this host holds the lease. `on_wait` is told who has it, when the wait begins and when that changes.
pub(super) async fn wait(
    leases: &Leases,
    ttl: Duration,
    mut on_wait: impl FnMut(LeaseWait<'_>),
) -> Result<Held, LeaseError> {
    let mut patience = Backoff::with_max_pause(MAX_POLL_INTERVAL);
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
            Err(Failed::Now(error)) => {
                patience.pause("lease.take_failed", "the lease cannot be read or taken", &error).await;
                continue;
            }
            Err(Failed::Always(error)) => return Err(error),
        }
        patience.recovered();
    }
}

/// What came of one look at the lease.
enum LeaseAttempt {
    Held(Held),
    /// It has this holder.
    Other(String),
    /// It became another between the look and the grip.
    Changed,
}

async fn attempt(leases: &Leases, ttl: Duration, seen: &mut SeenLease) -> Result<LeaseAttempt, Failed> {
    let Some(stored) = leases.read(ttl).await? else {
        let since = Instant::now();
        seen.tried = Some(1);
        let created = leases.create(ttl).await?;
        return Ok(if created {
            LeaseAttempt::Held(Held { epoch: 1, since })
        } else {
            LeaseAttempt::Changed
        });
    };
    let Stored { holder, released, process, state } = stored;
    let since = Instant::now();
    let is_mine = holder == leases.holder.name();
    if is_mine && !released && seen.tried == Some(state.epoch) {
        // An attempt worked whose answer was lost, or a majority was slow: a renewal shows it.
        let renewed = leases.renew(state.epoch, ttl).await?;
        return Ok(if renewed {
            LeaseAttempt::Held(Held { epoch: state.epoch, since })
        } else {
            LeaseAttempt::Changed
        });
    }
    let first = match seen.last {
        Some((before, first)) if before == state => first,
        // Not when the look began: what it saw may be as young as its answer.
        _ => since,
    };
    seen.last = Some((state, first));
    // What this host had before is its own; a new epoch fences off what may still be under way under the old one.
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
    Ok(taken.map_or(LeaseAttempt::Changed, |epoch| LeaseAttempt::Held(Held { epoch, since })))
}
