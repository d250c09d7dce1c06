//! gtm-host: runs sandboxed WebAssembly plugins on every change in MongoDB.
//!
//! The rooms, in the direction in which they depend on each other:
//!
//! - [`op`]: what a change is;
//! - [`extended_json`]: BSON for people and scripts;
//! - [`own_database`]: the database of the cluster that is the host's own;
//! - [`display`]: how far long work is, for who waits for it;
//! - [`text`]: a stranger's words, as people may see them;
//! - [`own`]: files that nobody else may change;
//! - [`audit`]: who did what, for the log;
//! - [`memory`]: what is free of it goes back to the system;
//! - [`secret`]: values that are not to be seen;
//! - [`selection`]: which changes are wanted;
//! - [`source`]: where changes come from, the oplog above all;
//! - [`store`]: what is kept for after a restart;
//! - [`plugin`]: what runs on them, in a sandbox;
//! - [`workers`]: which worker of a group an op belongs to;
//! - [`lease`]: which of two hosts of one name works;
//! - [`delivery`]: from a source to a plugin, in order, with retries;
//! - [`admin`]: how a running host is seen and steered;
//! - [`config`]: the settings of it all.
//!
//! The program's command line stands in the binary.

pub mod admin;
pub mod audit;
pub mod config;
pub mod delivery;
pub mod display;
pub mod extended_json;
mod hexadecimal;
pub mod lease;
pub mod memory;
pub mod op;
pub mod own;
pub mod own_database;
pub mod plugin;
pub mod secret;
pub mod selection;
pub mod source;
pub mod store;
pub mod text;
mod throttle;
pub mod workers;
