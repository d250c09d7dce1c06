//! Getting a lease: at once where it is free, else when its holder has given it up or has not been seen to live for as
//! long as a lease lives.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::LeaseError;
use super::document::{State, Stored};
use super::leases::{Failed, Leases};
use crate::source::patience::Patience;

/// A lease that was given up is noticed after this at the latest.
const LOOK: Duration = Duration::from_millis(200);

/// A lease that is held.
pub(super) struct Held {
    pub(super) epoch: i64,
    /// When the command that last showed it began.
    pub(super) since: Instant,
}

/// Waits until this host holds the lease. `on_wait` is told who has it, when the wait begins and when that changes.
pub(super) async fn wait(
    leases: &Leases,
    ttl: Duration,
    mut on_wait: impl FnMut(&str),
) -> Result<Held, LeaseError> {
    let mut patience = Patience::default();
    let mut seen: Option<(State, Instant)> = None;
    let mut other = None;
    let look = LOOK.min(ttl / 8);
    loop {
        match attempt(leases, ttl, &mut seen).await {
            Ok(Attempt::Held(held)) => return Ok(held),
            Ok(Attempt::Changed) => sleep(look).await,
            Ok(Attempt::Other(holder)) => {
                if other.as_ref() != Some(&holder) {
                    on_wait(&holder);
                    other = Some(holder);
                }
                sleep(look).await;
            }
            Err(Failed::Now(error)) => {
                patience.pause("the lease cannot be read or taken", &error).await;
                continue;
            }
            Err(Failed::Always(error)) => return Err(error),
        }
        patience.recovered();
    }
}

/// What came of one look at the lease.
enum Attempt {
    Held(Held),
    /// It has this holder.
    Other(String),
    /// It became another between the look and the grip.
    Changed,
}

/// `seen`: what it was, since when.
async fn attempt(
    leases: &Leases,
    ttl: Duration,
    seen: &mut Option<(State, Instant)>,
) -> Result<Attempt, Failed> {
    let Some(stored) = leases.read(ttl).await? else {
        let since = Instant::now();
        let created = leases.create(ttl).await?;
        return Ok(if created { Attempt::Held(Held { epoch: 1, since }) } else { Attempt::Changed });
    };
    let Stored { holder, released, state } = stored;
    let since = Instant::now();
    if holder == leases.holder && !released {
        // An attempt worked whose answer was lost, or a majority was slow: a renewal shows it.
        let renewed = leases.renew(state.epoch, ttl).await?;
        return Ok(if renewed {
            Attempt::Held(Held { epoch: state.epoch, since })
        } else {
            Attempt::Changed
        });
    }
    let first = match *seen {
        Some((before, first)) if before == state => first,
        // Not when the look began: what it saw may be as young as its answer.
        _ => since,
    };
    *seen = Some((state, first));
    if !released && first.elapsed() < ttl {
        return Ok(Attempt::Other(holder));
    }
    let taken = leases.take(state, ttl).await?;
    Ok(taken.map_or(Attempt::Changed, |epoch| Attempt::Held(Held { epoch, since })))
}
