//! Runs a plugin in its own `cargo test`, natively: no host, no server, no sandbox.
//!
//! What the plugin does to the world outside is taken down, and looked at afterwards. HTTP servers and collections answer what
//! the test has them answer; state and config are kept in memory.
//!
//! ```
//! use gtm_plugin::bson::doc;
//! use gtm_plugin::testing::{Harness, insert};
//! use gtm_plugin::{Op, Outcome, Plugin, mail, plugin};
//!
//! #[plugin(namespace = "users.users", operation = insert)]
//! struct Welcome;
//!
//! impl Plugin for Welcome {
//!     fn handle(op: &Op) -> Outcome {
//!         let email = op.raw_document()?.get_str("email").map_err(gtm_plugin::Failure::reject)?;
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

use std::collections::BTreeMap;
use std::rc::Rc;

use bson::Document;

use crate::http::{self, Request, Response};
use crate::log::Level;
use crate::{Op, Outcome, Plugin, settings};

pub use crate::bindings::gtm::plugin::mail::Message as Mail;
pub use ops::{OpBuilder, delete, insert, replace, update};

/// What a plugin did with an op.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// What its filter said.
    pub wanted: bool,
    /// What came of it. None: the filter did not want it.
    pub outcome: Option<Outcome>,
    /// The mails that it sent.
    pub mails: Vec<Mail>,
    /// The requests that it sent.
    pub requests: Vec<Request>,
    /// What it wrote: the namespace, and the command without it.
    pub writes: Vec<(String, Document)>,
    /// The lines that it logged.
    pub log: Vec<(Level, String)>,
    /// What it counted.
    pub counters: BTreeMap<String, u64>,
}

/// What HTTP servers answer.
type Server = Rc<dyn Fn(&Request) -> Result<Response, http::Error>>;

/// The world around a plugin in a test. State lasts from one op to the next.
#[derive(Clone, Default)]
pub struct Harness {
    config: BTreeMap<String, String>,
    state: BTreeMap<String, Vec<u8>>,
    collections: BTreeMap<String, Vec<Document>>,
    server: Option<Server>,
    mail_error: Option<crate::mail::Error>,
    run: Run,
}

impl std::fmt::Debug for Harness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Harness").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Harness {
    /// A world in which everything is granted: mails are taken, requests are answered by 200 with nothing in it, and collections are
    /// empty.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a value of the plugin's config.
    #[must_use]
    pub fn config(mut self, key: &str, value: &str) -> Self {
        self.config.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Has HTTP servers answer what `server` says.
    #[must_use]
    pub fn server(mut self, server: impl Fn(&Request) -> Result<Response, http::Error> + 'static) -> Self {
        self.server = Some(Rc::new(server));
        self
    }

    /// Has each query of a collection, whatever it asks for, give these documents.
    #[must_use]
    pub fn collection(mut self, namespace: &str, documents: Vec<Document>) -> Self {
        self.collections.insert(namespace.to_owned(), documents);
        self
    }

    /// Has each mail fail.
    #[must_use]
    pub fn failing_mail(mut self, error: crate::mail::Error) -> Self {
        self.mail_error = Some(error);
        self
    }

    /// What the plugin keeps under a key.
    pub fn state(&self, key: &str) -> Option<&[u8]> {
        self.state.get(key).map(Vec::as_slice)
    }

    /// Has the plugin's settings checked, as when the host loads it. Returns what is logged.
    pub fn load<P: Plugin>(&mut self) -> Vec<(Level, String)> {
        let run = self.enter(|| {
            settings::report::<P>();
            (false, None)
        });
        run.log
    }

    /// Asks the plugin's filter and, if it wants the op, has it handled. Whether the plugin subscribes to it is not looked at.
    pub fn run<P: Plugin>(&mut self, op: &Op) -> Run {
        self.enter(|| {
            let wanted = settings::filter::<P>(op);
            (wanted, wanted.then(|| settings::handle::<P>(op)))
        })
    }

    /// Has these ops handled at once, whatever the filter says. The outcomes are those of each.
    pub fn run_batch<P: Plugin>(&mut self, ops: &[Op]) -> (Vec<Outcome>, Run) {
        let mut outcomes = Vec::new();
        let run = self.enter(|| {
            outcomes = settings::handle_batch::<P>(ops);
            (true, None)
        });
        (outcomes, run)
    }

    fn enter(&mut self, work: impl FnOnce() -> (bool, Option<Outcome>)) -> Run {
        host::enter(std::mem::take(self));
        let (wanted, outcome) = work();
        *self = host::leave();
        let run = std::mem::take(&mut self.run);
        Run { wanted, outcome, ..run }
    }
}
