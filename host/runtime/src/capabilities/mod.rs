//! What a plugin can do beyond computing: one file, or folder, per host interface.

pub(super) mod config;
pub(super) mod extended_json;
pub(super) mod http;
mod letter;
pub(super) mod listing;
pub(super) mod log;
pub(super) mod mail;
pub(super) mod metrics;
pub(super) mod mongodb;
pub(super) mod state;
