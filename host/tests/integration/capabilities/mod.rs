//! What a plugin may do beside computing, when it is granted it, and what it is told when it is not.

mod blocked;
mod databases;
mod files;
pub mod http;
mod keyvalue;
mod mail;
mod mongodb;
mod signing;
mod state;
mod tcp;

use bson::{Document, doc};
use gtm_test_support::Server;
use serde_json::Value;

use crate::log;
use crate::support::{Database, Host, message, plugin};

/// A host with the plugin `errand`, which does what is written in the documents that it is given.
pub struct Errands {
    pub own: Database,
    pub host: Host,
    next: i32,
    _server: Server,
}

impl Errands {
    pub async fn granted(grants: &[&str]) -> Self {
        Self::with(grants, &[], &[]).await
    }

    pub async fn with(grants: &[&str], more: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::of(&plugin("errand"), grants, more, environment).await
    }

    /// With the plugin at this path, which is named errand too.
    pub async fn of(errand: &str, grants: &[&str], more: &[&str], environment: &[(&str, &str)]) -> Self {
        let server = Server::ready().unwrap();
        let own = Database::new(server.uri()).await;
        let database = format!("database={}", own.name);
        let mut arguments = vec!["--plugin", errand, "--uri", server.uri(), "--set", &database];
        // A namespace of the database of this test is written with its name.
        let grants: Vec<_> = grants.iter().map(|grant| grant.replace("OWN", &own.name)).collect();
        grants.iter().for_each(|grant| arguments.extend(["--grant", grant]));
        let mut host = Host::start_in(&[&arguments[..], more].concat(), environment);
        host.wait_for("source.tail", &[]);
        Self { own, host, next: 0, _server: server }
    }

    /// Has an errand done, and gives back what came of it: `ok …` or `error …`.
    pub async fn run(&mut self, mut errand: Document) -> String {
        self.next += 1;
        let number = self.next;
        errand.insert("_id", number);
        if let Ok(namespace) = errand.get_str("ns") {
            let namespace = namespace.replace("OWN", &self.own.name);
            errand.insert("ns", namespace);
        }
        self.own.collection("errands").insert_one(errand).await.unwrap();
        let start = format!("{number} ");
        let line = self.host.wait_until("what came of it", |line| {
            line["plugin"] == "errand" && line["target"] == "plugin" && message(line).starts_with(&start)
        });
        message(&line).strip_prefix(&start).unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_filter_does_nothing_whatever_is_granted() {
    let mut errands = Errands::granted(&["mongodb-read=OWN.things", "state", "mail", "http=*"]).await;
    for (errand, capability) in [
        (doc! { "do": "find", "ns": "OWN.things" }, "mongodb"),
        (doc! { "do": "get", "key": "k" }, "state"),
        (doc! { "do": "mail", "to": "ada@example.com" }, "mail"),
    ] {
        let mut errand = errand;
        errand.insert("in_filter", true);
        let said = errands.run(errand).await;
        assert_eq!(said, format!("error {capability} can be used in handle only, not in filter"));
    }
    for (by_wasi, said) in [
        (false, "http can be used in handle only"),
        (true, "the host does not let this plugin send the request"),
    ] {
        let request = doc! { "do": "http", "method": "POST", "url": "https://api.example.com/", "body": "b", "in_filter": true, "by_wasi": by_wasi };
        let refused = errands.run(request).await;
        assert!(refused.starts_with(&format!("error {said}")), "{refused}");
    }
    let said = errands.run(doc! { "do": "read-file", "path": "/etc/passwd", "in_filter": true }).await;
    assert!(said.starts_with("error "), "{said}");
}

#[tokio::test]
async fn what_a_plugin_counts_is_seen_beside_what_the_host_does() {
    let mut errands = Errands::with(&[], &["--admin", "127.0.0.1:0"], &[]).await;
    for _ in 0..3 {
        assert_eq!(errands.run(doc! { "do": "count" }).await, "ok counted");
    }
    let status = errands.host.status();
    let metrics = &status["plugins"][0]["metrics"];
    assert_eq!((&metrics["counters"]["errands"], &metrics["gauges"]["level"]), (&3.into(), &0.5.into()));
    let metrics = ureq::get(format!("http://{}/metrics", errands.host.address())).call().unwrap();
    let metrics = metrics.into_body().read_to_string().unwrap();
    for line in [
        "gtm_plugin_counted_total{plugin=\"errand\",name=\"errands\"} 3",
        "gtm_plugin_value{plugin=\"errand\",name=\"level\"} 0.5",
        "gtm_plugin_recorded_count{plugin=\"errand\",name=\"seconds\"} 3",
        "gtm_plugin_recorded_bucket{le=\"0.016\",plugin=\"errand\",name=\"seconds\"} 3",
        "gtm_plugin_recorded_bucket{le=\"0.008\",plugin=\"errand\",name=\"seconds\"} 0",
    ] {
        assert!(metrics.lines().any(|other| other == line), "{line}\n{metrics}");
    }
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let grants = ["mail", "state", "mongodb-write=OWN.things", "http=https://api.example.com"];
    let mut errands = Errands::with(&grants, &["--dry-run"], &[]).await;
    for (errand, said, (capability, effect)) in [
        (doc! { "do": "mail", "to": "ada@example.com" }, "ok <", ("mail", "{\"messageId\"")),
        (doc! { "do": "set", "key": "k", "value": "v" }, "ok set", ("state", "{\"set\":\"k\"")),
        (
            doc! { "do": "insert", "ns": "OWN.things", "document": { "n": 1 } },
            "ok inserted",
            ("mongodb", "{\"insert\":\"things\""),
        ),
        (
            doc! { "do": "http", "method": "POST", "url": "https://api.example.com/x", "body": "b" },
            "ok 200 {}",
            ("http", "{\"method\":\"POST\",\"url\":\"https://api.example.com/x\""),
        ),
    ] {
        let came = errands.run(errand).await;
        assert!(came.starts_with(said), "{came}");
        let is_recorded = |line: &Value| {
            log::is_event(line, "dry_run.record", &[("capability", capability)])
                && log::field(line, "effect").starts_with(effect)
        };
        assert!(errands.host.logged().iter().any(is_recorded), "{effect}");
    }
    assert_eq!(errands.own.collection("things").count_documents(doc! {}).await.unwrap(), 0);
    assert_eq!(errands.run(doc! { "do": "get", "key": "k" }).await, "ok nothing");
    assert_eq!(errands.host.stop().0, Some(0));
    let checkpoints = errands.own.client.database("gtm").collection::<Document>("checkpoints");
    let found = checkpoints.find_one(doc! { "_id.plugin": "errand", "_id.pipeline": "dry" }).await.unwrap();
    assert_eq!(found, None);
}

#[tokio::test]
async fn a_secret_of_the_config_stands_in_the_environment_or_a_file() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("key"), "from a file\n").unwrap();
    let config = directory.path().join("gtm.toml");
    let text = format!(
        "[plugins.errand]\npath = \"{}\"\n[plugins.errand.config]\na = {{ env = \"GTM_TEST_SECRET\" }}\nb = {{ file = \
         \"key\" }}\nc = 3\n",
        plugin("errand")
    );
    std::fs::write(&config, text).unwrap();
    let arguments = ["--config", config.to_str().unwrap()];
    let mut errands = Errands::with(&[], &arguments, &[("GTM_TEST_SECRET", "from outside")]).await;
    for (key, value) in [("a", "from outside"), ("b", "from a file"), ("c", "3"), ("d", "nothing")] {
        assert_eq!(errands.run(doc! { "do": "config", "key": key }).await, format!("ok {value}"));
    }
    let said = crate::support::error_of(&arguments);
    assert!(
        said.starts_with(
            "the value of a in its config of the plugin errand is missing: the variable GTM_TEST_SECRET"
        ),
        "{said}"
    );
}
