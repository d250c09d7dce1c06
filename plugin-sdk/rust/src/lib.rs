//! Write gtm-host plugins in Rust: your own code, in a sandbox, on every change in MongoDB.
//!
//! A plugin is a crate of type `cdylib` with one type in it that has the attribute
//! [`#[plugin]`](macro@plugin) and implements [`Plugin`]:
//!
//! ```
//! use gtm_plugin::{Op, Outcome, Plugin, log, mail, plugin};
//!
//! #[derive(serde::Deserialize)]
//! struct User {
//!     name: String,
//!     email: String,
//! }
//!
//! #[plugin(namespace = "users.users", operation = insert)]
//! struct SendWelcomeEmail;
//!
//! impl Plugin for SendWelcomeEmail {
//!     fn handle(op: &Op) -> Outcome {
//!         let user: User = op.document()?;
//!         let text = format!("Hello {}", user.name);
//!         mail::send(&mail::Message::to(&user.email).subject("Welcome").text(text))?;
//!         log::info!("welcomed {}", user.name);
//!         Ok(())
//!     }
//! }
//! ```
//!
//! It is built by `cargo build --release --target wasm32-wasip2`, and what that gives is run by
//! `gtm-host --plugin target/wasm32-wasip2/release/NAME.wasm`.
//!
//! What a plugin asks for beyond [`config`], [`mod@log`] and [`metrics`] it is granted by whoever runs it: [`http`], [`mail`],
//! [`mongodb`], [`state`]. Its own `cargo test` runs it natively, with all of these at hand: see `testing`.
//!
//! The error of a `?` says what becomes of the op: one that cannot be decoded is
//! [rejected](Failure::Reject), one whose mail could not be sent now is [tried again](Failure::Retry).

#[doc(hidden)]
#[allow(missing_docs, unreachable_pub, unsafe_code, clippy::all, clippy::restriction)]
pub mod bindings;

pub mod config;
mod decode_error;
#[doc(hidden)]
pub mod export;
pub mod extended_json;
mod failure;
pub mod http;
pub mod log;
pub mod mail;
pub mod metrics;
pub mod mongodb;
mod op;
pub mod settings;
pub mod state;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use bson;
pub use decode_error::DecodeError;
pub use failure::{Failure, Outcome};
pub use gtm_plugin_macros::plugin;
pub use op::{Namespace, Op, OperationType, Origin, Timestamp, Transaction};

/// What a plugin does with a change.
///
/// The functions take no `self`: a plugin runs in several instances that share nothing and may be
/// thrown away at any time, so what it wants to keep has no place in memory.
pub trait Plugin {
    /// The settings that the plugin knows. By default it accepts any.
    const SETTINGS: settings::Settings = settings::Settings::ANY;

    /// Checks the values of the settings. As long as a setting is wrong, the host's log says so and every op waits.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    fn check_settings() -> Result<(), String> {
        Ok(())
    }

    /// Says whether [`handle`](Plugin::handle) is to get this op. Without it, every op that the
    /// plugin subscribed to is handled.
    ///
    /// It is called in order, quickly, more than once for an op where need be, and can use
    /// [`config`] and [`mod@log`] only.
    fn filter(op: &Op) -> bool {
        let _ = op;
        true
    }

    /// Does the work. The next op in order waits until this one is done.
    ///
    /// # Errors
    /// [`Failure::Retry`]: the host tries again after a pause. [`Failure::Reject`]: it does not.
    fn handle(op: &Op) -> Outcome;

    /// Does the work for several ops at once, and gives back an outcome for each, in their order: for sinks with a bulk API.
    /// Called instead of [`handle`](Plugin::handle) where the attribute says `batch`. Ops after the first that is to be
    /// retried come again too, so that their order stays, whatever their outcome.
    fn handle_batch(ops: &[Op]) -> Vec<Outcome> {
        ops.iter().map(Self::handle).collect()
    }
}

/// The plugin in the README is compiled by `cargo test`.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
