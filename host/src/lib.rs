//! gtm-host: runs sandboxed WebAssembly plugins on every change in MongoDB.
//!
//! The work is done by crates, each of which depends only on those above it: [`gtm_text`], [`gtm_oplog`], [`gtm_mongo`],
//! [`gtm_source`], [`gtm_store`], [`gtm_runtime`], [`gtm_delivery`]. This crate has what is left:
//!
//! - [`config`]: the settings, as a file says them;
//! - [`admin`]: the API by which a running host is observed and controlled;
//! - [`memory`]: returns free memory to the system;
//! - [`remedy`]: the options and settings that help against errors of the libraries.
//!
//! The command line is in the binary.

pub mod admin;
pub mod config;
pub mod memory;
pub mod remedy;
