//! The program as users run it: a real server, a real mail server, real plugins in the sandbox.
//!
//! `cargo xtask test` builds the plugins and starts the server that these tests share. One that kills
//! its server, or wants it in a special state, starts its own.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "a test that fails should say where"
)]

mod capabilities;
mod cases;
mod log;
mod proxy;
mod support;

mod admin;
mod bad_plugins;
mod bad_servers;
mod bson_cases;
mod chains;
mod change_stream;
mod commands;
mod contract_0_1;
mod delivery;
mod delta_property;
mod documents;
mod files;
mod files_archive;
mod files_compressed;
mod files_damaged;
mod files_events;
mod following;
mod fuzzed;
mod hostile;
mod languages;
mod large_replies;
mod lease;
mod main_job;
mod observed;
mod odd_bytes;
mod oplog_cases;
mod oplog_collection;
mod reconnect;
mod sandbox;
mod shipped;
mod snapshot;
mod steering;
mod stopping;
mod store;
mod swapping;
mod workers;
