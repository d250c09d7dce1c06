//! gtm-host: runs sandboxed WebAssembly plugins on every change in MongoDB.
//!
//! Most of the code is in library crates, each of which depends only on those before it: [`gtm_text`], [`gtm_oplog`], [`gtm_mongo`],
//! [`gtm_source`], [`gtm_store`], [`gtm_runtime`], [`gtm_delivery`]. This crate has the rest:
//!
//! - [`config`]: the settings;
//! - [`admin`]: the API that observes and controls a running host;
//! - [`memory`]: returns free memory to the system;
//! - [`remedy`]: the options and settings that help against errors of the libraries.
//!
//! The command line is in the binary.

pub mod admin;
pub mod config;
pub mod memory;
pub mod remedy;
