//! What the attribute [`#[plugin]`](macro@crate::plugin) expands to. Not for use by hand.

use crate::bindings;
pub use crate::bindings::gtm::plugin::subscriptions::Subscription;
use crate::{Op, Plugin};

/// Lets a [`Plugin`] be called by the host.
pub fn filter<P: Plugin>(op: bindings::gtm::plugin::types::Op) -> bool {
    P::filter(&Op::from(op))
}

/// Lets a [`Plugin`] be called by the host.
pub fn handle<P: Plugin>(
    op: bindings::gtm::plugin::types::Op,
) -> Result<(), bindings::gtm::plugin::types::Failure> {
    P::handle(&Op::from(op)).map_err(Into::into)
}
