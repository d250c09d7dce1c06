//! Runs a plugin in its own `cargo test`, natively: no host, no server, no sandbox.
//!
//! The harness records what the plugin does. HTTP servers and collections answer what the test says; state and settings are kept in
//! memory.
//!
//! ```
//! use gtm_plugin::bson::doc;
//! use gtm_plugin::testing::{Harness, insert};
//! use gtm_plugin::{Config, ConfigError, Op, Outcome, Plugin, mail, plugin};
//!
//! #[plugin(namespace = "users.users", operation = insert)]
//! struct Welcome;
//!
//! impl Plugin for Welcome {
//!     fn new(_: Config) -> Result<Self, ConfigError> {
//!         Ok(Self)
//!     }
//!
//!     fn handle(&self, op: &Op) -> Outcome {
//!         let email = op.raw_document()?.get_str("email")?;
//!         mail::send(&mail::Message::to(email).subject("Welcome").text("Hello"))?;
//!         Ok(())
//!     }
//! }
//!
//! let op = insert("users.users", doc! { "_id": 1, "email": "ada@example.com" });
//! let run = Harness::new().run::<Welcome>(&op);
//! assert_eq!(run.outcome, Some(Ok(())));
//! assert_eq!(run.mails[0].to, ["ada@example.com"]);
//! ```

pub(crate) mod extended_json;
pub(crate) mod host;
mod ops;
mod start;
pub(crate) mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::SystemTime;

use bson::Document;

use crate::http::{Request, Response};
use crate::log::Level;
use crate::{
    BatchPlugin, ConfigError, Error, FilterPlugin, Op, Outcome, Plugin, Schedule, SchedulePlugin,
    Subscription, Tick, Timer,
};

pub use crate::bindings::gtm::plugin::mail::Message as Mail;
pub use ops::{OpBuilder, delete, insert, replace, update};

/// The result and the effects of a call.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Run {
    /// Whether the plugin subscribed to the op, and its filter accepted it.
    pub wanted: bool,
    /// The outcome. None: the op was not wanted.
    pub outcome: Option<Outcome>,
    /// The mails that it sent.
    pub mails: Vec<Mail>,
    /// The requests that it sent.
    pub requests: Vec<Request>,
    /// The writes to collections: the namespace, and the command without it.
    pub writes: Vec<(String, Document)>,
    /// The lines that it logged.
    pub log: Vec<(Level, String)>,
    /// What it added to its counters.
    pub counters: BTreeMap<String, u64>,
    /// The last values of its gauges.
    pub gauges: BTreeMap<String, f64>,
    /// The values that it added to its histograms.
    pub recorded: Vec<(String, f64)>,
}

/// The answers of HTTP servers.
type Server = Rc<dyn Fn(&Request) -> Result<Response, Error>>;

/// The host of a plugin in a test. State lasts from one op to the next.
#[derive(Clone, Default)]
pub struct Harness {
    config: BTreeMap<String, String>,
    /// The settings as the plugin reads them.
    values: BTreeMap<String, String>,
    state: state::KeptState,
    collections: BTreeMap<String, Vec<Document>>,
    server: Option<Server>,
    mail_error: Option<Error>,
    write_error: Option<Error>,
    /// Whether the plugin filters or starts, in which most capabilities do not work.
    is_filtering: bool,
    run: Run,
}

impl std::fmt::Debug for Harness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Harness").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Harness {
    /// Makes a host that grants everything: mail is accepted, requests are answered by 200 with an empty body, and collections
    /// are empty.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the value of a setting, as a user writes it.
    #[must_use]
    pub fn config(mut self, key: &str, value: &str) -> Self {
        self.config.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Sets the function that answers HTTP requests.
    #[must_use]
    pub fn server(mut self, server: impl Fn(&Request) -> Result<Response, Error> + 'static) -> Self {
        self.server = Some(Rc::new(server));
        self
    }

    /// Sets the documents that each query of a collection returns, whatever the query asks for.
    #[must_use]
    pub fn collection(mut self, namespace: &str, documents: Vec<Document>) -> Self {
        self.collections.insert(namespace.to_owned(), documents);
        self
    }

    /// Lets each mail fail.
    #[must_use]
    pub fn failing_mail(mut self, error: Error) -> Self {
        self.mail_error = Some(error);
        self
    }

    /// Lets each write to a collection fail.
    #[must_use]
    pub fn failing_writes(mut self, error: Error) -> Self {
        self.write_error = Some(error);
        self
    }

    /// Limits the state of the plugin, as the user of a host can: to this many keys, and to this many bytes of keys and values. 0: no limit.
    #[must_use]
    pub fn state_quota(mut self, max_keys: u64, max_bytes: u64) -> Self {
        (self.state.max_keys, self.state.max_bytes) = (max_keys, max_bytes);
        self
    }

    /// Returns what the plugin keeps under a key.
    pub fn state(&self, key: &str) -> Option<&[u8]> {
        self.state.values.get(key).map(|(value, _)| value.as_slice())
    }

    /// Starts the plugin as a host does when it loads it: checks the settings, makes it, and returns its subscriptions.
    ///
    /// # Errors
    /// The settings are wrong: the host refuses the version with this sentence.
    pub fn start<P: Plugin>(&mut self) -> Result<Vec<Subscription>, ConfigError> {
        let (started, _) = self.enter(start::plugin::<P>);
        started.map(|(_, subscriptions)| subscriptions)
    }

    /// As [`start`](Self::start), for a plugin that handles batches.
    ///
    /// # Errors
    /// As there.
    pub fn start_batch<P: BatchPlugin>(&mut self) -> Result<Vec<Subscription>, ConfigError> {
        let (started, _) = self.enter(start::batch_plugin::<P>);
        started.map(|(_, subscriptions)| subscriptions)
    }

    /// As [`start`](Self::start), for a filter for other plugins.
    ///
    /// # Errors
    /// As there.
    pub fn start_filter<P: FilterPlugin>(&mut self) -> Result<Vec<Subscription>, ConfigError> {
        let (started, _) = self.enter(start::filter::<P>);
        started.map(|(_, subscriptions)| subscriptions)
    }

    /// Starts a filter for other plugins, and returns whether the op passes it.
    ///
    /// # Panics
    /// The settings are wrong. [`start_filter`](Self::start_filter) returns that as an error.
    pub fn passes<P: FilterPlugin>(&mut self, op: &Op) -> bool {
        let (passes, _) = self.enter(|| {
            let (filter, subscriptions) = start::accepted(start::filter::<P>());
            start::covers(&subscriptions, op) && host::filtering(|| filter.filter(op))
        });
        passes
    }

    /// Starts the plugin, and has it handle the op if it subscribed to the op and its filter accepts it.
    ///
    /// # Panics
    /// The settings are wrong. [`start`](Self::start) returns that as an error.
    pub fn run<P: Plugin>(&mut self, op: &Op) -> Run {
        let (outcome, run) = self.enter(|| {
            let (plugin, subscriptions) = start::accepted(start::plugin::<P>());
            let is_wanted = start::covers(&subscriptions, op) && host::filtering(|| plugin.filter(op));
            is_wanted.then(|| plugin.handle(op))
        });
        Run { wanted: outcome.is_some(), outcome, ..run }
    }

    /// As [`run`](Self::run), for a plugin that handles batches: in a batch of this op alone.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub fn run_in_batch<P: BatchPlugin>(&mut self, op: &Op) -> Run {
        let (outcome, run) = self.enter(|| {
            let (plugin, subscriptions) = start::accepted(start::batch_plugin::<P>());
            let is_wanted = start::covers(&subscriptions, op) && host::filtering(|| plugin.filter(op));
            is_wanted.then(|| plugin.handle(std::slice::from_ref(op)).pop().unwrap_or(Ok(())))
        });
        Run { wanted: outcome.is_some(), outcome, ..run }
    }

    /// Starts the plugin, and has it handle these ops in one call, whether it subscribed to them or not. Returns the outcome of each.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub fn run_batch<P: BatchPlugin>(&mut self, ops: &[Op]) -> (Vec<Outcome>, Run) {
        self.enter(|| {
            let (plugin, _) = start::accepted(start::batch_plugin::<P>());
            plugin.handle(ops)
        })
    }

    /// Starts the plugin, and returns its timers.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub fn timers<P: Plugin + Schedule>(&mut self) -> Vec<Timer> {
        self.enter(|| start::accepted(start::plugin::<P>()).0.timers()).0
    }

    /// Starts the plugin, and has it do the work of a tick of this timer.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub fn tick<P: Plugin + Schedule>(&mut self, timer: &str, at: SystemTime) -> Run {
        self.ticked(timer, at, || start::accepted(start::plugin::<P>()).0)
    }

    /// As [`timers`](Self::timers), for a plugin that works at set times only.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub fn timers_only<P: SchedulePlugin>(&mut self) -> Vec<Timer> {
        self.enter(|| start::accepted(start::schedule_plugin::<P>()).timers()).0
    }

    /// As [`tick`](Self::tick), for a plugin that works at set times only.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub fn tick_only<P: SchedulePlugin>(&mut self, timer: &str, at: SystemTime) -> Run {
        self.ticked(timer, at, || start::accepted(start::schedule_plugin::<P>()))
    }

    fn ticked<P: Schedule>(&mut self, timer: &str, at: SystemTime, start: impl FnOnce() -> P) -> Run {
        let (outcome, run) = self.enter(|| start().tick(&Tick::new(timer, at)));
        Run { wanted: true, outcome: Some(outcome), ..run }
    }

    fn enter<T>(&mut self, work: impl FnOnce() -> T) -> (T, Run) {
        host::enter(std::mem::take(self));
        let result = work();
        *self = host::leave();
        (result, std::mem::take(&mut self.run))
    }
}
