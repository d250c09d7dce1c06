//! Settings that are read anew.

use bson::doc;
use gtm_test_support::Server;
use nix::sys::signal::Signal;

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
