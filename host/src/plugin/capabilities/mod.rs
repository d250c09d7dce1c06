//! What a plugin can do beyond computing: one file per host interface.

pub(super) mod config;
pub(super) mod log;
pub(super) mod mail;
