//! What the attribute [`#[plugin]`](macro@crate::plugin) expands to. Not for use by hand.

pub use crate::bindings::gtm::plugin::subscriptions::Subscription;
use crate::bindings::gtm::plugin::types;
use crate::{Op, Plugin, settings};

/// Lets a [`Plugin`] be called by the host.
pub fn filter<P: Plugin>(op: types::Op) -> bool {
    settings::filter::<P>(&Op::from(op))
}

/// Lets a [`Plugin`] be asked of several ops at once.
pub fn filter_batch<P: Plugin>(ops: Vec<types::Op>) -> Vec<bool> {
    ops.into_iter().map(filter::<P>).collect()
}

/// Lets a [`Plugin`] be called by the host.
pub fn handle<P: Plugin>(op: types::Op) -> Result<(), types::Failure> {
    settings::handle::<P>(&Op::from(op)).map_err(Into::into)
}

/// Lets a [`Plugin`] be called by the host.
pub fn handle_batch<P: Plugin>(ops: Vec<types::Op>) -> Vec<Result<(), types::Failure>> {
    let ops: Vec<_> = ops.into_iter().map(Op::from).collect();
    settings::handle_batch::<P>(&ops).into_iter().map(|outcome| outcome.map_err(Into::into)).collect()
}

/// Lets a [`Plugin`] say what it subscribes to, and what is wrong with its settings.
pub fn subscriptions<P: Plugin>(subscriptions: Vec<Subscription>) -> Vec<Subscription> {
    settings::report::<P>();
    subscriptions
}

/// A text as the bytes of a section of the component.
pub const fn stamp<const LENGTH: usize>(text: &str) -> [u8; LENGTH] {
    match text.as_bytes().first_chunk::<LENGTH>() {
        Some(bytes) => *bytes,
        None => [b' '; LENGTH],
    }
}
