//! The plugins that ship, each against a real counterpart: a live MongoDB, and servers that look at what they are sent. (The mails
//! of `send_welcome_email` are in `main_job`.)

mod audit_log;
mod index_documents;
mod sinks;
mod webhook;

use std::time::{Duration, Instant};

use bson::Document;
use xtask::testbed::Server;

use crate::support::{Database, Host, LIMIT, plugin};

/// A host with one of them.
pub struct Shipped {
    pub own: Database,
    pub host: Host,
    _server: Server,
}

impl Shipped {
    /// `grants` and `values` may name the database of this test as `OWN`.
    pub async fn start(name: &str, grants: &[&str], values: &[&str], more: &[&str]) -> Self {
        let server = Server::ready().unwrap();
        let own = Database::new(server.uri()).await;
        let path = plugin(name);
        let mut arguments: Vec<String> =
            ["--plugin", &path, "--uri", server.uri(), "--retry-delay", "50ms"].map(str::to_owned).into();
        let owned = |text: &&str| text.replace("OWN", &own.name);
        grants.iter().map(owned).for_each(|grant| arguments.extend(["--grant".to_owned(), grant]));
        values.iter().map(owned).for_each(|value| arguments.extend(["--set".to_owned(), value]));
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        Self { host: Host::tailing(&arguments), own, _server: server }
    }

    pub fn things(&self) -> mongodb::Collection<Document> {
        self.own.collection("things")
    }
}

/// Waits until this is so.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so().await {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
