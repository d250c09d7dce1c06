//! Write gtm-host plugins in Rust: your own code, in a sandbox, on every change in MongoDB.
//!
//! A plugin is a crate of type `cdylib` with one type that has the attribute [`#[plugin]`](macro@plugin) and implements [`Plugin`], or
//! [`BatchPlugin`] to handle several ops per call:
//!
//! ```
//! use gtm_plugin::{Config, ConfigError, Op, Outcome, Plugin, log, mail, plugin};
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
//!     fn new(_: Config) -> Result<Self, ConfigError> {
//!         Ok(Self)
//!     }
//!
//!     fn handle(&self, op: &Op) -> Outcome {
//!         let user: User = op.document()?;
//!         let text = format!("Hello {}", user.name);
//!         mail::send(&mail::Message::to(&user.email).subject("Welcome").text(text))?;
//!         log::info!("welcomed {}", user.name);
//!         Ok(())
//!     }
//! }
//! ```
//!
//! Build it with `cargo build --release --target wasm32-wasip2`, and run the result with
//! `gtm-host --plugin target/wasm32-wasip2/release/NAME.wasm`.
//!
//! A component that only filters ops, for other plugins, implements [`FilterPlugin`].
//!
//! [`config`], [`mod@log`] and [`metrics`] are always available. The user of a plugin grants the others: [`http`], [`mail`], [`mongodb`],
//! [`state`]. The plugin's own `cargo test` runs it natively, with all of these: see `testing`. [`settings`] declares what a user can set.
//!
//! The error of a `?` decides what the host does with the op: it [rejects](Failure::Reject) one that cannot be decoded, and
//! [retries](Failure::Retry) one whose mail could not be sent now.

// The attributes refer to this crate by its name, also in its own tests.
extern crate self as gtm_plugin;

#[doc(hidden)]
#[allow(missing_docs, unreachable_pub, unsafe_code, clippy::all, clippy::restriction)]
pub mod bindings;

pub mod config;
mod decode_error;
mod error;
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
mod subscription;
#[rustfmt::skip]
mod worlds;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use bson;
pub use config::{Config, ConfigError};
pub use decode_error::DecodeError;
pub use error::Error;
pub use failure::{Failure, Outcome};
pub use gtm_plugin_macros::plugin;
pub use op::{Namespace, Op, OperationType, Origin, Timestamp, Transaction};
pub use subscription::Subscription;

/// What a plugin does with a change.
///
/// A plugin runs in several instances, which share nothing and may be dropped at any time. The host makes one plugin per instance, with
/// [`new`](Plugin::new). Keep lasting data in [`state`] or [`mongodb`].
pub trait Plugin: export::Registered + Sized {
    /// Makes the plugin of an instance from its settings. The host calls it when it loads the plugin, too, and when a user checks it.
    /// Capabilities that need a grant do not work in it.
    ///
    /// # Errors
    /// A setting is wrong. The host then does not start this version, and shows the sentence.
    fn new(config: Config) -> Result<Self, ConfigError>;

    /// Returns the subscriptions, if they depend on the settings. By default, they are those of the attribute.
    fn subscriptions(&self) -> Option<Vec<Subscription>> {
        None
    }

    /// Returns whether [`handle`](Plugin::handle) gets this op. By default, it gets every op that the plugin subscribed to.
    ///
    /// The host calls it in order, and more than once for an op if necessary. It must be quick, and only [`mod@log`] works in it.
    fn filter(&self, op: &Op) -> bool {
        let _ = op;
        true
    }

    /// Handles the op. The next op in order waits until this one is done.
    ///
    /// # Errors
    /// [`Failure::Retry`]: the host tries again after a pause. [`Failure::Reject`]: it does not.
    fn handle(&self, op: &Op) -> Outcome;
}

/// A plugin that handles several ops per call, for targets with a bulk API. Its attribute says so: `#[plugin(batch)]`.
pub trait BatchPlugin: export::Registered + Sized {
    /// As in [`Plugin::new`].
    ///
    /// # Errors
    /// As in [`Plugin::new`].
    fn new(config: Config) -> Result<Self, ConfigError>;

    /// As in [`Plugin::subscriptions`].
    fn subscriptions(&self) -> Option<Vec<Subscription>> {
        None
    }

    /// As in [`Plugin::filter`].
    fn filter(&self, op: &Op) -> bool {
        let _ = op;
        true
    }

    /// Handles these ops in their order, and returns an outcome for each. From the first retry on, the host delivers all ops of the call
    /// again, regardless of their outcomes, so that their order stays.
    fn handle(&self, ops: &[Op]) -> Vec<Outcome>;
}

/// A filter for other plugins: a component that decides which ops the filter of a plugin sees, and handles none. Its attribute says so:
/// `#[plugin(filter)]`. A user puts it before the filter of a plugin with `gtm-host --filter PLUGIN:FILE`.
///
/// Ops outside of its subscriptions do not pass.
///
/// ```
/// use gtm_plugin::bson::doc;
/// use gtm_plugin::testing::{Harness, insert};
/// use gtm_plugin::{Config, ConfigError, FilterPlugin, Op, plugin};
///
/// #[plugin(filter, namespace = "shop.*")]
/// struct OnlyEu;
///
/// impl FilterPlugin for OnlyEu {
///     fn new(_: Config) -> Result<Self, ConfigError> {
///         Ok(Self)
///     }
///
///     fn filter(&self, op: &Op) -> bool {
///         op.raw_document().is_ok_and(|order| matches!(order.get_str("region"), Ok("eu")))
///     }
/// }
///
/// let order = |namespace, region| insert(namespace, doc! { "_id": 1, "region": region });
/// assert!(Harness::new().passes::<OnlyEu>(&order("shop.orders", "eu")));
/// assert!(!Harness::new().passes::<OnlyEu>(&order("shop.orders", "us")));
/// assert!(!Harness::new().passes::<OnlyEu>(&order("crm.orders", "eu")));
/// ```
pub trait FilterPlugin: export::Registered + Sized {
    /// As in [`Plugin::new`].
    ///
    /// # Errors
    /// As in [`Plugin::new`].
    fn new(config: Config) -> Result<Self, ConfigError>;

    /// As in [`Plugin::subscriptions`].
    fn subscriptions(&self) -> Option<Vec<Subscription>> {
        None
    }

    /// Returns whether the op passes to the next filter, or to the plugin. As [`Plugin::filter`], it must be quick, and may be called more
    /// than once for an op.
    fn filter(&self, op: &Op) -> bool;
}

/// The plugin in the README is compiled by `cargo test`.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
