//! Where a plugin gets its ops: from the reader that all plugins share which keep up, or from its own.

mod hub;
mod intake;

pub(super) use hub::{Hub, HubHandle};
pub(super) use intake::{Intake, IntakeEnd};
