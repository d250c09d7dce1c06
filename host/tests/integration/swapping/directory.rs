//! A directory of plugins.

use bson::doc;
use gtm_test_support::Server;

use super::{path_in, put, put_another};
use crate::log;
use crate::support::{Database, Host, error_of, message, plugin};

#[tokio::test]
async fn plugins_come_change_and_go_with_their_files() {
    let (server, directory) = (Server::ready().unwrap(), tempfile::tempdir().unwrap());
    let own = Database::new(server.uri()).await;
    put(plugin("print_ops"), &path_in(&directory, "first.wasm"));
    std::fs::write(path_in(&directory, "README.md"), "no plugin").unwrap();
    let namespace = format!("namespace={}.things", own.name);
    let directory_path = directory.path().to_str().unwrap();
    let arguments = [
        "--plugin-dir",
        directory_path,
        "--uri",
        server.uri(),
        "--set",
        &namespace,
        "--admin",
        "127.0.0.1:0",
    ];
    let mut host = Host::start(&arguments);
    host.wait_for("source.tail", &[]);
    let names = |host: &Host| {
        let status = host.status();
        let plugins = status["plugins"].as_array().unwrap().iter();
        plugins.map(|plugin| plugin["plugin"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&host), ["first"]);

    let insert = async |n: i32| own.collection("things").insert_one(doc! { "_id": n }).await.unwrap();
    // Came, and gets what changes from then on.
    put(plugin("print_ops"), &path_in(&directory, "second.wasm"));
    host.wait_for("source.tail", &[("plugin", "second")]);
    assert_eq!(names(&host), ["first", "second"]);
    insert(1).await;
    for name in ["first", "second"] {
        let is_op = |line: &serde_json::Value| line["plugin"] == name && message(line).contains("\"_id\":1");
        if !host.logged().iter().any(is_op) {
            host.wait_until("the op", is_op);
        }
    }
    // One that is none leaves the others as they are.
    std::fs::write(path_in(&directory, "third.wasm"), "text").unwrap();
    host.wait_for("plugin.add_failed", &[("plugin", "third")]);
    // Changed.
    put_another("print_ops", 1, &path_in(&directory, "second.wasm"));
    host.wait_for("plugin.swap", &[("plugin", "second")]);
    // Gone, and its ops that were read are handled.
    std::fs::remove_file(path_in(&directory, "first.wasm")).unwrap();
    host.wait_for("plugin.remove", &[("plugin", "first")]);
    insert(2).await;
    host.wait_until("the op", |line| line["plugin"] == "second" && message(line).contains("\"_id\":2"));
    if host.count("plugin.stop", &[("plugin", "first")]) == 0 {
        host.wait_for("plugin.stop", &[("plugin", "first")]);
    }
    // The one that could not be loaded is shown.
    assert_eq!(names(&host), ["second", "third"]);
    // Even without any plugin, the host waits for the next.
    std::fs::remove_file(path_in(&directory, "second.wasm")).unwrap();
    host.wait_for("plugin.remove", &[("plugin", "second")]);
    put(plugin("print_ops"), &path_in(&directory, "first.wasm"));
    host.wait_for("source.tail", &[("plugin", "first")]);
    // It goes on where it was: what came meanwhile is not lost.
    host.wait_until("the op", |line| line["plugin"] == "first" && message(line).contains("\"_id\":2"));
    // One that was never loaded is what whoever stops the host is told of.
    let (code, log) = host.stop();
    assert_eq!(code, Some(1), "{log:?}");
    assert_eq!(log::count(&log, "host.stop_without_plugins", &[("plugins", "third")]), 1, "{log:?}");
}

#[test]
fn a_directory_that_cannot_be_read_is_said() {
    let said = error_of(&["--plugin-dir", "/no/such/directory"]);
    assert!(said.contains("/no/such/directory cannot be read: No such file"), "{said}");
}
