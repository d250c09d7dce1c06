//! How a plugin is set up, whatever version of it comes and goes.

use std::path::Path;

use bson::doc;
use gtm_runtime::{Engine, Handler, Limits, Plugin, PluginHandle, PluginSetup, Secret, Services};
use gtm_test_support::Server;
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{path_in, put_another};
use crate::hostile::filter_batch::ops;
use crate::support::{Database, Host, plugin, run};

/// A plugin that panics in `handle` if it is set up so.
fn load(engine: &Engine, handle: &str) -> Plugin {
    let mut setup = PluginSetup::new("p", Limits::default());
    setup.config.insert("handle".to_owned(), Secret::Value(handle.to_owned()));
    Plugin::load(engine, plugin("misbehave").as_ref(), &setup).unwrap()
}

#[tokio::test]
async fn a_trap_does_not_return_to_how_a_plugin_was_set_up() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::new(directory.path()).unwrap();
    let slot = PluginHandle::new(load(&engine, ""), Services::default());
    let mut handler = Handler::new(&slot);
    let op = ops(1).remove(0);
    assert!(handler.call(&op, 1).await.unwrap().is_ok());
    slot.replace(load(&engine, "panic"), None).unwrap();
    for _ in 0..2 {
        assert!(handler.call(&op, 1).await.is_err());
    }
    assert_eq!(slot.rolled_back(), None);

    // A version on trial has nothing to return to, either, when it is set up in another way.
    let file = path_in(&directory, "p.wasm");
    let slot = PluginHandle::new(load(&engine, ""), Services::default());
    put_another("misbehave", 1, &file);
    slot.swap(slot.current().successor(&file).unwrap()).unwrap();
    slot.replace(load(&engine, "panic"), None).unwrap();
    let mut handler = Handler::new(&slot);
    for _ in 0..2 {
        assert!(handler.call(&op, 1).await.is_err());
    }
}

#[test]
fn a_version_that_was_loaded_with_settings_of_before_does_not_take_over() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::new(directory.path()).unwrap();
    let slot = PluginHandle::new(load(&engine, ""), Services::default());
    let file = path_in(&directory, "p.wasm");
    put_another("misbehave", 1, &file);
    let late = slot.current().successor(&file).unwrap();
    slot.replace(load(&engine, "panic"), None).unwrap();
    let before = slot.current().version().to_owned();
    assert_eq!(
        slot.swap(late).unwrap_err().to_string(),
        "the settings of the plugin p have changed since this version was loaded. help: swap it again"
    );
    assert_eq!(slot.current().version(), before);
    slot.swap(slot.current().successor(&file).unwrap()).unwrap();
    assert_ne!(slot.current().version(), before);
}

#[tokio::test]
async fn what_sighup_revokes_is_not_granted_again_by_a_trap() {
    let (server, directory) = (Server::ready().unwrap(), tempfile::tempdir().unwrap());
    let own = Database::new(server.uri()).await;
    let config = path_in(&directory, "gtm.toml");
    let write = |handle: &str| {
        let (path, name) = (plugin("misbehave"), &own.name);
        let text = format!(
            "[plugins.p]\npath = \"{path}\"\nconfig = {{ namespace = \"{name}.things\", handle = \"{handle}\" }}\n"
        );
        std::fs::write(&config, text).unwrap();
    };
    write("");
    let arguments =
        ["--config", config.to_str().unwrap(), "--uri", server.uri(), "--retry-max-attempts", "1"];
    let mut host = Host::start(&arguments);
    host.wait_for("source.tail", &[]);
    write("panic");
    host.signal(Signal::SIGHUP);
    host.wait_for("plugin.swap", &[("plugin", "p")]);
    for n in 0..2 {
        own.collection("things").insert_one(doc! { "_id": n }).await.unwrap();
        host.wait_for("op.give_up", &[("attempts", "1")]);
    }
    assert_eq!(host.count("plugin.roll_back", &[]), 0);
}

#[tokio::test]
async fn a_file_and_its_pin_change_together() {
    let (server, directory) = (Server::ready().unwrap(), tempfile::tempdir().unwrap());
    let (config, file) = (path_in(&directory, "gtm.toml"), path_in(&directory, "p.wasm"));
    let write = |number: usize, file: &Path| {
        put_another("print_ops", number, file);
        let (_, checked, _) = run(&["check", file.to_str().unwrap(), "--output", "json"]);
        let checked: Value = serde_json::from_str(&checked).unwrap();
        let pin = checked["sha256"].as_str().unwrap();
        let text = format!("watch = false\n[plugins.p]\npath = \"{}\"\nsha256 = \"{pin}\"\n", file.display());
        std::fs::write(&config, text).unwrap();
    };
    write(1, &file);
    let mut host = Host::start(&["--config", config.to_str().unwrap(), "--uri", server.uri()]);
    host.wait_for("source.tail", &[]);
    write(2, &file);
    host.signal(Signal::SIGHUP);
    let line = host.wait_until("the record", |line| line["target"] == "gtm_host::audit");
    assert_eq!((&line["event"], &line["outcome"]), (&"audit.swap".into(), &"done".into()), "{line}");
}
