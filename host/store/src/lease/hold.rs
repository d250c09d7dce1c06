//! Holds a lease: renews it in the background until it is lost or released.

use std::sync::Arc;
use std::time::Duration;

use bson::Document;
use bson::oid::ObjectId;
use gtm_mongo::server_error::sentence;
use mongodb::Client;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::leases::{CommandFailure, Leases};
use super::process::HolderProcess;
use super::wait::{HeldLease, LeaseWait, wait};
use super::{LeaseError, LeaseKey};

/// A lease that this host holds. After it is dropped, it is no longer renewed, and free after its time to live.
#[derive(Debug)]
pub struct Lease {
    leases: Leases,
    epoch: i64,
    ttl: Duration,
    lost: watch::Receiver<Option<LeaseError>>,
    renewing: AbortOnDropHandle<()>,
}

impl Lease {
    /// Waits for the lease as long as another host holds it or no server replies. Calls `on_wait` with the holder when the wait begins and
    /// when the holder changes. It returns immediately if this holder had the lease before and nobody took it since.
    ///
    /// The future may be dropped at any time, but a new one starts measuring from zero for how long the lease is unchanged. So do not call
    /// it again in a loop.
    ///
    /// # Errors
    /// See [`LeaseError`].
    pub async fn acquire(
        client: &Client,
        key: &LeaseKey,
        ttl: Duration,
        holder: &LeaseHolder,
        on_wait: impl FnMut(LeaseWait<'_>),
    ) -> Result<Self, LeaseError> {
        let leases = Leases::new(client, key.clone(), holder.clone());
        let held = wait(&leases, ttl, on_wait).await?;
        let (sender, lost) = watch::channel(None);
        let epoch = held.epoch;
        let renewing = AbortOnDropHandle::new(tokio::spawn(keep(leases.clone(), held, ttl, sender)));
        Ok(Self { leases, epoch, ttl, lost, renewing })
    }

    /// Returns the fencing token: greater than that of every holder before.
    pub fn epoch(&self) -> u64 {
        self.epoch.unsigned_abs()
    }

    /// Waits until the lease is lost, and returns why. The work under it must stop immediately then. The future may be dropped, and the
    /// function called again.
    pub async fn lost(&mut self) -> LeaseError {
        let lost = self.lost.wait_for(Option::is_some).await.ok().and_then(|lost| lost.clone());
        lost.unwrap_or_else(|| LeaseError::Server {
            key: self.leases.key.to_string(),
            reason: "it is no longer renewed".to_owned(),
        })
    }

    /// Releases the lease, so that another host takes it immediately. To be called after the work under it has ended.
    pub async fn release(self) {
        let Self { leases, epoch, ttl, renewing, .. } = self;
        drop(renewing);
        if let Err(error) = leases.release(epoch, ttl / 4).await {
            tracing::warn!(
                event = "lease.release_failed", lease = %leases.key, ttl_ms = ttl.as_millis(), error = error.reason(),
                "the lease could not be released; another host waits until it ends"
            );
        }
    }
}

/// Renews the lease until it is lost.
async fn keep(leases: Leases, held: HeldLease, ttl: Duration, lost: watch::Sender<Option<LeaseError>>) {
    let HeldLease { epoch, mut since } = held;
    let error = loop {
        match renewed(&leases, epoch, since, ttl).await {
            Ok(again) => since = again,
            Err(error) => break error,
        }
    };
    lost.send_replace(Some(error));
}

/// Renews the lease once, retrying as long as it is held. Returns when the successful attempt began.
async fn renewed(leases: &Leases, epoch: i64, since: Instant, ttl: Duration) -> Result<Instant, LeaseError> {
    let deadline = since + ttl * 3 / 4;
    let mut reason = "no server answered".to_owned();
    let mut next = since + ttl / 4;
    loop {
        sleep_until(next.min(deadline)).await;
        let began = Instant::now();
        let attempt = if began < deadline {
            timeout_at(deadline, leases.renew(epoch, ttl / 4)).await.ok()
        } else {
            None
        };
        // A reply after the deadline does not count: the host may have been suspended.
        match attempt.filter(|_| Instant::now() < deadline) {
            Some(Ok(true)) => return Ok(began),
            Some(Ok(false)) => return Err(whose(leases, ttl).await),
            Some(Err(CommandFailure::Always(error))) => return Err(error),
            Some(Err(CommandFailure::Now(error))) => {
                reason = sentence(&error);
                tracing::warn!(
                    event = "lease.renew_failed", lease = %leases.key, error = reason,
                    "the lease could not be renewed; retrying"
                );
            }
            None => {
                let (key, seconds) = (leases.key.to_string(), since.elapsed().as_secs_f64());
                return Err(LeaseError::Expired { key, seconds, reason });
            }
        }
        next = Instant::now() + ttl / 16;
    }
}

/// Returns why this host no longer holds the lease.
async fn whose(leases: &Leases, ttl: Duration) -> LeaseError {
    let key = leases.key.to_string();
    match leases.read(ttl / 4).await {
        Ok(Some(stored)) => LeaseError::Taken { key, holder: stored.holder },
        Ok(None) => LeaseError::Removed { key },
        Err(CommandFailure::Always(error)) => error,
        Err(CommandFailure::Now(_)) => LeaseError::Taken { key, holder: "another host".to_owned() },
    }
}

/// A holder of leases: a host from its start to its end.
#[derive(Clone, Debug)]
pub struct LeaseHolder {
    name: Arc<str>,
    process: Option<HolderProcess>,
}

impl LeaseHolder {
    /// Makes a holder for this process. No other holder equals it, not even a later one in this process.
    pub fn new() -> Self {
        let host = hostname::get().map(|host| host.to_string_lossy().into_owned()).unwrap_or_default();
        let host = if host.is_empty() { "localhost" } else { &host };
        let name = format!("{host}, process {}, {}", std::process::id(), ObjectId::new());
        Self { name: name.into(), process: HolderProcess::this() }
    }

    /// Returns the name of the holder, which shows users where a lease is held.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns its process as a document.
    pub(super) fn process(&self) -> Option<Document> {
        self.process.as_ref().map(|process| process.stored(&self.name))
    }
}

impl Default for LeaseHolder {
    fn default() -> Self {
        Self::new()
    }
}
