//! Settings that are read anew.

use bson::doc;
use gtm_test_support::Server;
use nix::sys::signal::Signal;
use serde_json::Value;

use super::path_in;
use crate::log;
use crate::support::{Database, Host, message, plugin};

#[tokio::test]
async fn sighup_takes_up_what_changed_and_leaves_the_rest() {
    let (server, directory) = (Server::ready().unwrap(), tempfile::tempdir().unwrap());
    let own = Database::new(server.uri()).await;
    let config = path_in(&directory, "gtm.toml");
    let (print_ops, errand) = (plugin("print_ops"), plugin("errand"));
    let printing = |name: &str, more: &str| {
        format!(
            "[plugins.{name}]\npath = \"{print_ops}\"\nconfig.namespaces = \"{}.things\"\n{more}\n",
            own.name
        )
    };
    let errands = |grants: &str| {
        format!("[plugins.errand]\npath = \"{errand}\"\nconfig.database = \"{}\"\n{grants}\n", own.name)
    };
    let write = |texts: &[String]| std::fs::write(&config, texts.concat()).unwrap();
    write(&[printing("a", ""), printing("b", ""), errands("")]);
    let arguments = ["--config", config.to_str().unwrap(), "--uri", server.uri(), "--admin", "127.0.0.1:0"];
    let mut host = Host::start(&arguments);
    (0..3).for_each(|_| drop(host.wait_for("source.tail", &[])));
    let errand = async |n: i32| {
        own.collection("errands").insert_one(doc! { "_id": n, "do": "get", "key": "k" }).await.unwrap();
    };
    errand(1).await;
    host.wait_for_plugin_log("1 error state is not granted");

    // b goes, c comes, errand is granted something, a stays; the store needs a start.
    let other = "store = \"none\"\nshutdown_grace = \"7s\"\n".to_owned();
    write(&[other, printing("a", ""), printing("c", ""), errands("grants.state = true")]);
    host.signal(Signal::SIGHUP);
    host.wait_for("settings.defer", &[("settings", "store, shutdown_grace")]);
    host.wait_for("plugin.remove", &[("plugin", "b")]);
    host.wait_for("source.tail", &[("plugin", "c")]);
    errand(2).await;
    host.wait_for_plugin_log("2 ok nothing");
    assert_eq!(host.count("plugin.stop", &[("plugin", "a")]), 0, "a is not disturbed");

    // In another order, a begins again, where it was.
    write(&[printing("a", "ordering = \"oplog\"\nlanes = 2"), printing("c", ""), errands("")]);
    host.signal(Signal::SIGHUP);
    host.wait_for("source.tail", &[("plugin", "a")]);
    errand(3).await;
    host.wait_for_plugin_log("3 error state is not granted");

    // What is wrong changes nothing.
    write(&["plugin = 3".to_owned()]);
    host.signal(Signal::SIGHUP);
    let line = host.wait_for("settings.read_failed", &[]);
    assert!(log::field(&line, "error").ends_with("Did you mean `plugins`?"), "{line}");
    own.collection("things").insert_one(doc! { "_id": 4 }).await.unwrap();
    host.wait_until("a goes on", |line| line["plugin"] == "a" && message(line).contains("\"_id\":4"));
    let (code, log) = host.stop();
    assert_eq!(code, Some(0), "{log:?}");
}

#[tokio::test]
async fn a_plugin_of_another_database_joins_a_change_stream_and_leaves_the_others_alone() {
    let (server, directory) = (Server::ready().unwrap(), tempfile::tempdir().unwrap());
    let (own, other) = (Database::new(server.uri()).await, Database::new(server.uri()).await);
    let config = path_in(&directory, "gtm.toml");
    let print_ops = plugin("print_ops");
    let printing = |name: &str, database: &Database| {
        let namespace = format!("{}.things", database.name);
        format!("[plugins.{name}]\npath = \"{print_ops}\"\nconfig.namespaces = \"{namespace}\"\n")
    };
    let write = |texts: &[String]| std::fs::write(&config, texts.concat()).unwrap();
    let insert = async |into: &Database, ids: std::ops::RangeInclusive<i64>| {
        let documents: Vec<_> = ids.map(|id| doc! { "_id": id }).collect();
        into.collection("things").insert_many(documents).await.unwrap();
    };
    let ids = |lines: &[Value], plugin: &str| -> Vec<i64> {
        let printed = lines.iter().filter(|line| line["plugin"] == plugin && line["event"] == "plugin.log");
        let ops = printed.filter_map(|line| serde_json::from_str::<Value>(message(line)).ok());
        ops.filter_map(|op| op["documentKey"]["_id"].as_i64()).collect()
    };
    write(&[printing("a", &own)]);
    let arguments =
        ["--config", config.to_str().unwrap(), "--uri", server.uri(), "--source-kind", "change-stream"];
    let mut host = Host::start(&arguments);
    host.wait_for("source.tail", &[("plugin", "a")]);
    insert(&own, 1..=5).await;
    write(&[printing("a", &own), printing("b", &other)]);
    host.signal(Signal::SIGHUP);
    insert(&own, 6..=10).await;
    host.wait_for("source.tail", &[("plugin", "b")]);
    insert(&other, 1..=5).await;
    insert(&own, 11..=15).await;
    let mut of_b = Vec::new();
    host.wait_until("b has all", |line| {
        of_b.extend(ids(std::slice::from_ref(line), "b"));
        of_b.len() == 5
    });
    // A plugin that goes takes its namespaces with it.
    write(&[printing("a", &own)]);
    host.signal(Signal::SIGHUP);
    host.wait_for("plugin.remove", &[("plugin", "b")]);
    insert(&own, 16..=20).await;
    host.wait_until("a has all", |line| ids(std::slice::from_ref(line), "a") == [20]);
    let mut lines = host.logged().to_vec();
    let (code, rest) = host.stop();
    assert_eq!(code, Some(0), "{rest:?}");
    lines.extend(rest);
    assert_eq!(ids(&lines, "a"), (1..=20).collect::<Vec<_>>(), "none missing, none twice, in order");
    assert_eq!(ids(&lines, "b"), (1..=5).collect::<Vec<_>>());
    let begun = log::count(&lines, "source.tail", &[("plugin", "a")]);
    assert_eq!(begun, 1, "a was not begun again");
}
