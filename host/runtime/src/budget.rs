//! Limits the bytes that the host keeps for an instance, in addition to the memory of the instance.
//!
//! wasmtime bounds the arguments that it lifts out of the instance by the rest of the budget. A host function charges what it keeps in
//! addition before it keeps it: an answer, output, an open body. A charge is released with the value that it is for.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use gtm_text::sanitize::size_in_memory;

use super::limits::Limits;
use super::remedy::PluginRemedy;
use super::setup::ComponentKind;

/// Resources that an instance may hold at the same time: streams, requests, files.
pub(super) const MAX_RESOURCES: usize = 256;
/// Bytes that are charged for each possible resource in advance, for what has about the same size in all of them, such as the buffer
/// of a file. Larger things are charged when they are made: bodies, responses, listings of directories, and headers with their
/// request.
const RESOURCE_BYTES: usize = 4 * 1024;

/// The budget of one instance. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<Account>);

#[derive(Debug)]
struct Account {
    kind: ComponentKind,
    name: Arc<str>,
    limit: usize,
    charged: AtomicUsize,
}

/// Bytes that are charged to a budget, until this is dropped.
#[derive(Debug)]
pub(super) struct Charge {
    budget: Budget,
    bytes: usize,
}

/// The budget has too few bytes left.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the host would keep {needed} bytes more for an instance of the {kind} {name}, and {left} of its {} are left{}",
    size_in_memory(*limit),
    PluginRemedy::Limits { component: Some((*kind, name)), limits: &["host_memory"] }
)]
pub(super) struct BudgetExceeded {
    kind: ComponentKind,
    name: Arc<str>,
    needed: usize,
    left: usize,
    limit: usize,
}

impl Budget {
    pub(super) fn new(kind: ComponentKind, name: &Arc<str>, limits: &Limits) -> Self {
        let resources = (MAX_RESOURCES * RESOURCE_BYTES).min(limits.host_memory / 2);
        Self(Arc::new(Account {
            kind,
            name: Arc::clone(name),
            limit: limits.host_memory,
            charged: resources.into(),
        }))
    }

    /// Returns how many resources the instance may hold, which are charged in advance.
    pub(super) fn resources(limits: &Limits) -> usize {
        MAX_RESOURCES.min(limits.host_memory / 2 / RESOURCE_BYTES).max(1)
    }

    pub(super) fn limit(&self) -> usize {
        self.0.limit
    }

    /// Returns how many bytes can still be charged.
    pub(super) fn left(&self) -> usize {
        self.0.limit.saturating_sub(self.0.charged.load(Relaxed))
    }

    /// Returns a charge of 0 bytes.
    pub(super) fn nothing(&self) -> Charge {
        Charge { budget: self.clone(), bytes: 0 }
    }

    /// Charges this many bytes.
    pub(super) fn charge(&self, bytes: usize) -> Result<Charge, BudgetExceeded> {
        let mut charge = self.nothing();
        charge.add(bytes)?;
        Ok(charge)
    }
}

impl Charge {
    /// Charges more bytes for the same value.
    pub(super) fn add(&mut self, bytes: usize) -> Result<(), BudgetExceeded> {
        let Account { kind, name, limit, charged } = &*self.budget.0;
        let more = |charged: usize| charged.checked_add(bytes).filter(|charged| charged <= limit);
        match charged.try_update(Relaxed, Relaxed, more) {
            Ok(_) => {
                self.bytes += bytes;
                Ok(())
            }
            Err(charged) => Err(BudgetExceeded {
                kind: *kind,
                name: Arc::clone(name),
                needed: bytes,
                left: limit.saturating_sub(charged),
                limit: *limit,
            }),
        }
    }

    /// Changes the charge to this many bytes. If too few are left, it stays unchanged.
    pub(super) fn resize(&mut self, bytes: usize) -> Result<(), BudgetExceeded> {
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
    fn charges_are_released_and_an_excess_is_refused() {
        let limits = Limits { host_memory: 4 << 20, ..Limits::default() };
        let budget = Budget::new(ComponentKind::Plugin, &"p".into(), &limits);
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
    fn a_small_budget_allows_fewer_resources() {
        let limits = |host_memory| Limits { host_memory, ..Limits::default() };
        assert_eq!(Budget::resources(&Limits::default()), MAX_RESOURCES);
        assert_eq!(Budget::resources(&limits(1 << 20)), 128);
        assert_eq!(Budget::resources(&limits(0)), 1);
        assert_eq!(Budget::new(ComponentKind::Plugin, &"p".into(), &limits(1 << 20)).left(), 512 << 10);
    }
}
