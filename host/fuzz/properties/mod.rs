//! What is true of any bytes: each is a target of `cargo xtask fuzz`, and is tried with its seeds by the tests.

pub mod admin;
pub mod delta;
pub mod entry;
pub mod extended_json;
pub mod files;
pub mod grants;
pub mod pipeline;
pub mod request;
