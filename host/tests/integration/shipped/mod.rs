//! The plugins that ship, each against a real counterpart: a live MongoDB, and servers that look at what they are sent. (The mails
//! of `send_welcome_email` are in `main_job`.)

mod audit_log;
mod index_documents;
mod print_ops;
mod send_digest;
mod sinks;
mod webhook;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bson::{Document, doc};
use gtm_test_support::Server;
use serde_json::Value;
use sinks::Sink;

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
        let server = Server::start(Default::default()).unwrap();
        let own = Database::new(server.uri()).await;
        let path = plugin(name);
        let mut arguments: Vec<String> =
            ["--plugin", &path, "--uri", server.uri(), "--retry-initial-delay", "50ms"]
                .map(str::to_owned)
                .into();
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

    /// Renames a collection, over another if that is there.
    pub async fn rename(&self, from: &str, to: &str) {
        let name = &self.own.name;
        let command = doc! { "renameCollection": format!("{name}.{from}"), "to": format!("{name}.{to}"), "dropTarget": true };
        self.own.client.database("admin").run_command(command).await.unwrap();
    }
}

/// A dumped oplog in `tests/shipped`.
pub fn dump(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shipped").join(name).with_extension("bson")
}

/// Runs a plugin over a file. Returns the exit code, the summary and the log.
pub fn replay(name: &str, file: &Path, sink: &Sink, values: &[String]) -> (Option<i32>, Value, Vec<Value>) {
    let (path, grant) = (plugin(name), format!("http={}", sink.url()));
    let mut arguments = vec!["replay", file.to_str().unwrap(), "--plugin", &path, "--output", "json"];
    arguments.extend(["--grant", &grant, "--retry-initial-delay", "10ms"]);
    values.iter().for_each(|value| arguments.extend(["--set", value]));
    let host = Host::start(&arguments);
    let printed: String = std::iter::from_fn(|| host.line()).collect();
    let (code, log) = host.all();
    (code, serde_json::from_str(&printed).unwrap_or_default(), log)
}

/// Waits until this is so.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so().await {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
