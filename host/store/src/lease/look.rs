//! Checks whether a host is active, without taking its lease.

use std::time::Duration;

use gtm_mongo::server_error::sentence;
use mongodb::Client;
use tokio::time::{Instant, sleep};

use super::document::StoredLease;
use super::hold::LeaseHolder;
use super::leases::{CommandFailure, Leases};
use super::process::HolderProcess;
use super::{LeaseError, LeaseKey};

/// The interval at which the lease is read, unless the time to live is short.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Returns the holder of a lease who renews it within `ttl`, as a host does several times. Calls `on_wait` with the last holder before it
/// waits. None: nobody renews it, or the process that held it is known to have ended.
///
/// # Errors
/// The lease cannot be read.
pub async fn holder(
    client: &Client,
    key: &LeaseKey,
    ttl: Duration,
    mut on_wait: impl FnMut(&str),
) -> Result<Option<String>, LeaseError> {
    let leases = Leases::new(client, key.clone(), LeaseHolder::new());
    let has_ended = |held: &StoredLease| held.process.as_ref().is_some_and(HolderProcess::has_ended);
    let Some(first) = held(&leases, ttl).await?.filter(|held| !has_ended(held)) else { return Ok(None) };
    on_wait(&first.holder);
    let since = Instant::now();
    while since.elapsed() < ttl {
        sleep(POLL_INTERVAL.min(ttl / 8)).await;
        match held(&leases, ttl).await? {
            None => return Ok(None),
            Some(now) if has_ended(&now) => return Ok(None),
            Some(now) if now.state != first.state => return Ok(Some(now.holder)),
            Some(_) => {}
        }
    }
    Ok(None)
}

/// Returns the lease, unless it was released.
async fn held(leases: &Leases, ttl: Duration) -> Result<Option<StoredLease>, LeaseError> {
    match leases.read(ttl).await {
        Ok(stored) => Ok(stored.filter(|stored| !stored.released)),
        Err(CommandFailure::Always(error)) => Err(error),
        Err(CommandFailure::Now(error)) => {
            Err(LeaseError::Server { key: leases.key.to_string(), reason: sentence(&error) })
        }
    }
}
