//! The bytes that the host keeps for an instance, beside its own memory: one account for all of them.
//!
//! Arguments that are lifted out of the instance are bounded by wasmtime, by what is left of the account. What a host function keeps
//! beside them it charges first: an answer, the output, a body that is open. A charge ends with what it is for.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use gtm_text::sanitize::size_in_memory;

use super::limits::Limits;
use super::remedy::PluginRemedy;

/// Resources that an instance may hold at a time: streams, requests, files.
pub(super) const RESOURCES: usize = 256;
/// Bytes that are charged for each of them, whether it is held or not: for what is of about the same size with each, such as a
/// buffer of a file. What may be larger is charged when it is made: bodies, responses, listings of
/// directories, and headers with the request that they are of.
const RESOURCE_BYTES: usize = 4 * 1024;

/// The account of one instance. Clones are of the same one.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<Account>);

#[derive(Debug)]
struct Account {
    plugin: Arc<str>,
    limit: usize,
    charged: AtomicUsize,
}

/// Bytes that are charged. They are returned when this is dropped.
#[derive(Debug)]
pub(super) struct Charge {
    budget: Budget,
    bytes: usize,
}

/// The account has too little left.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the host would keep {needed} bytes more for an instance of the plugin {plugin}, and {left} of its {} are left{}",
    size_in_memory(*limit),
    PluginRemedy::Limits { plugin: Some(plugin), limits: &["host_memory"] }
)]
pub(super) struct Overdrawn {
    plugin: Arc<str>,
    needed: usize,
    left: usize,
    limit: usize,
}

impl Budget {
    pub(super) fn new(plugin: &Arc<str>, limits: &Limits) -> Self {
        let resources = (RESOURCES * RESOURCE_BYTES).min(limits.host_memory / 2);
        Self(Arc::new(Account {
            plugin: Arc::clone(plugin),
            limit: limits.host_memory,
            charged: resources.into(),
        }))
    }

    /// Returns how many resources the instance may hold, which are charged already.
    pub(super) fn resources(limits: &Limits) -> usize {
        RESOURCES.min(limits.host_memory / 2 / RESOURCE_BYTES).max(1)
    }

    pub(super) fn limit(&self) -> usize {
        self.0.limit
    }

    /// Returns how many bytes can still be charged.
    pub(super) fn left(&self) -> usize {
        self.0.limit.saturating_sub(self.0.charged.load(Relaxed))
    }

    /// Charges nothing yet.
    pub(super) fn nothing(&self) -> Charge {
        Charge { budget: self.clone(), bytes: 0 }
    }

    /// Charges so many bytes.
    pub(super) fn charge(&self, bytes: usize) -> Result<Charge, Overdrawn> {
        let mut charge = self.nothing();
        charge.add(bytes)?;
        Ok(charge)
    }
}

impl Charge {
    /// Charges more, for the same thing.
    pub(super) fn add(&mut self, bytes: usize) -> Result<(), Overdrawn> {
        let Account { plugin, limit, charged } = &*self.budget.0;
        let more = |charged: usize| charged.checked_add(bytes).filter(|charged| charged <= limit);
        match charged.try_update(Relaxed, Relaxed, more) {
            Ok(_) => {
                self.bytes += bytes;
                Ok(())
            }
            Err(charged) => Err(Overdrawn {
                plugin: Arc::clone(plugin),
                needed: bytes,
                left: limit.saturating_sub(charged),
                limit: *limit,
            }),
        }
    }

    /// Makes it so many bytes. If there are too few, it stays as it is.
    pub(super) fn resize(&mut self, bytes: usize) -> Result<(), Overdrawn> {
        match bytes.checked_sub(self.bytes) {
            Some(more) => self.add(more),
            None => {
                let less = self.bytes - bytes;
                self.budget.0.charged.fetch_sub(less, Relaxed);
                self.bytes = bytes;
                Ok(())
            }
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.0.charged.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_charged_is_returned_and_what_is_too_much_is_said() {
        let limits = Limits { host_memory: 4 << 20, ..Limits::default() };
        let budget = Budget::new(&"p".into(), &limits);
        let at_first = budget.left();
        assert_eq!(at_first, 3 << 20, "resources are charged");
        let mut charge = budget.charge(1 << 20).unwrap();
        charge.add(1 << 20).unwrap();
        assert_eq!(budget.left(), 1 << 20);
        assert_eq!(
            charge.add((1 << 20) + 1).unwrap_err().to_string(),
            "the host would keep 1048577 bytes more for an instance of the plugin p, and 1048576 of its 4 MiB are left"
        );
        assert!(budget.charge(usize::MAX).is_err());
        charge.resize(1 << 19).unwrap();
        assert_eq!(budget.left(), at_first - (1 << 19));
        assert!(charge.resize(usize::MAX).is_err());
        charge.resize(1 << 20).unwrap();
        assert_eq!(budget.left(), at_first - (1 << 20));
        drop(charge);
        assert_eq!(budget.left(), at_first);
    }

    #[test]
    fn a_small_account_has_room_for_fewer_resources() {
        let limits = |host_memory| Limits { host_memory, ..Limits::default() };
        assert_eq!(Budget::resources(&Limits::default()), RESOURCES);
        assert_eq!(Budget::resources(&limits(1 << 20)), 128);
        assert_eq!(Budget::resources(&limits(0)), 1);
        assert_eq!(Budget::new(&"p".into(), &limits(1 << 20)).left(), 512 << 10);
    }
}
