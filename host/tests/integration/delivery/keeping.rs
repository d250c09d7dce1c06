//! What is kept of the work: checkpoints and dead letters, and what is done where they cannot be.

use std::time::Duration;

use bson::{Timestamp, doc};
use gtm_source::Position;
use gtm_store::{Checkpoint, CheckpointKey, Store, StoreKind};
use gtm_test_support::Server;
use tempfile::TempDir;

use super::ledger::{SECOND, Writer};
use crate::log;
use crate::support::{Database, Host, error_of, eventually, plugin, run};

struct Scene {
    writer: Writer,
    directory: TempDir,
    store: String,
    server: Server,
}

impl Scene {
    async fn new(server: Server) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = format!("file:{}", directory.path().display());
        Self { writer: Writer::new(server.uri()).await, directory, store, server }
    }

    fn arguments<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let from = ["--uri", self.server.uri(), "--source-oplog", &self.writer.oplog, "--start", "oldest"];
        [&from[..], &["--name", "keeping", "--store", &self.store], more].concat()
    }

    fn letters(&self, arguments: &[&str]) -> String {
        let (code, out, said) =
            run(&[&["dead-letters"], arguments, &["--name", "keeping", "--store", &self.store]].concat());
        assert_eq!(code, Some(0), "{said}");
        out
    }
}

#[tokio::test]
async fn what_is_given_up_is_a_dead_letter_which_the_checkpoint_passes() {
    let mut scene = Scene::new(Server::ready().unwrap()).await;
    let (misbehave, print_ops) = (plugin("misbehave"), plugin("print_ops"));
    let how = ["-p", &misbehave, "--set", "misbehave:handle=reject", "--admin", "127.0.0.1:0"];
    let mut host = Host::tailing(&[&scene.arguments(&how)[..], &["--plugin", &print_ops]].concat());
    scene.writer.write(3).await;
    host.wait_for_position(".3").await;
    let status = host.status();
    assert_eq!(status["plugins"][0]["deadLetters"], 3, "{status}");
    assert!(status["plugins"][0]["lastError"].as_str().unwrap().contains("not this one"), "{status}");
    let line = host.wait_for("op.reject", &[]);
    let (id, show) = (line["dead_letter"].as_str().unwrap(), line["show"].as_str().unwrap());
    assert_eq!(host.stop().0, Some(0));
    // The command is there to be copied.
    assert_eq!(show, format!("gtm-host dead-letters show {id} --name keeping --store {}", scene.store));
    let (code, shown, said) = run(&show.split(' ').skip(1).collect::<Vec<_>>());
    assert!(code == Some(0) && shown.contains(line["op"].as_str().unwrap()), "{said}");

    let listed = scene.letters(&["list", "--plugin", "misbehave", "--kind", "rejected"]);
    assert!(listed.contains("3 dead letters: 0 failed, 3 rejected"), "{listed}");
    let how = ["retry", "--plugin", "misbehave", "--file", &print_ops];
    assert_eq!(scene.letters(&how), "3 handled, 0 failed again, 0 left\n");
    assert_eq!(scene.letters(&["list"]), "0 dead letters: 0 failed, 0 rejected\n");
    // Nothing of it comes again.
    let how = ["-p", &misbehave, "--admin", "127.0.0.1:0"];
    let mut host = Host::start(&scene.arguments(&how));
    host.wait_for("source.tail", &[]);
    scene.writer.write(1).await;
    host.wait_for_position(".4").await;
    assert_eq!(host.status()["plugins"][0]["counts"]["handled"], 1);
}

#[tokio::test]
async fn a_plugin_with_an_older_checkpoint_catches_up_and_joins_the_others() {
    let mut scene = Scene::new(Server::ready().unwrap()).await;
    let print_ops = plugin("print_ops");
    let late = format!("late={print_ops}");
    let host = Host::tailing(&scene.arguments(&["--plugin", &print_ops, "--admin", "127.0.0.1:0"]));
    scene.writer.write(50).await;
    host.wait_for_position(".50").await;
    assert_eq!(host.stop().0, Some(0));
    let both = ["--plugin", &print_ops, "--plugin", &late, "--admin", "127.0.0.1:0"];
    let host = Host::tailing(&scene.arguments(&both));
    scene.writer.write(50).await;
    host.wait_for_position(".100").await;
    let mut status = host.status();
    eventually("both read with the others", async || {
        status = host.status();
        (0..2).all(|n| status["plugins"][n]["reader"] == "shared")
    })
    .await;
    let handled = |n: usize| status["plugins"][n]["counts"]["handled"].as_u64().unwrap();
    assert_eq!((handled(0), handled(1)), (100, 50), "late, and print_ops from its checkpoint on: {status}");
}

#[tokio::test]
async fn a_paused_plugin_without_work_joins_the_others_again_while_they_have_work() {
    let server = Server::ready().unwrap();
    let (own, others) = (Database::new(server.uri()).await, Database::new(server.uri()).await);
    let print_ops = plugin("print_ops");
    let (busy, idle) = (format!("busy={print_ops}"), format!("idle={}", plugin("misbehave")));
    let set = format!("idle:namespace={}.things", others.name);
    let plugins = ["--plugin", &busy, "--plugin", &idle, "--set", &set, "--log", "info,gtm_delivery=debug"];
    let mut host =
        Host::tailing(&[&["--uri", server.uri(), "--admin", "127.0.0.1:0"][..], &plugins].concat());
    let writing = tokio::spawn({
        let things = own.collection("things");
        async move {
            for n in 0.. {
                things.insert_one(doc! { "_id": n }).await.unwrap();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    });
    for command in ["pause", "resume"] {
        assert_eq!(run(&[command, "--plugin", "idle", "--admin", &host.address()]).0, Some(0));
    }
    host.wait_for("reader.join", &[("plugin", "idle")]);
    writing.abort();
    assert_eq!(host.count("reader.leave", &[]), 0, "{:?}", host.logged());
}

#[tokio::test]
async fn a_checkpoint_that_cannot_be_stored_is_said_once_and_work_goes_on() {
    let mut scene = Scene::new(Server::start(Default::default()).unwrap()).await;
    let print_ops = plugin("print_ops");
    scene.store = "mongodb".to_owned();
    // A lease is renewed by the same command: it must outlive this.
    let how = ["--plugin", &print_ops, "--lease-ttl", "1h", "--admin", "127.0.0.1:0"];
    let mut host = Host::tailing(&scene.arguments(&how));
    let admin = scene.writer.own.client.database("admin");
    let data = doc! { "failCommands": ["update"], "errorCode": 13 };
    let fail = doc! { "configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data };
    admin.run_command(fail).await.unwrap();
    scene.writer.write(10).await;
    host.wait_for_position(".10").await;
    host.wait_for("checkpoint.store_failed", &[]);
    scene.writer.write(10).await;
    host.wait_for_position(".20").await;
    // Time for more attempts.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let status = host.status();
    assert_eq!(status["plugins"][0]["counts"]["handled"], 20, "{status}");
    assert!(status["plugins"][0]["lastError"].as_str().unwrap().contains("checkpoint"), "{status}");
    admin.run_command(doc! { "configureFailPoint": "failCommand", "mode": "off" }).await.unwrap();
    let mut said = 0;
    host.wait_until("stored again", |line| {
        said += usize::from(line["event"] == "checkpoint.store_failed");
        line["event"] == "checkpoint.recover"
    });
    assert_eq!(said, 0, "it was said before, once");
    assert_eq!(host.stop().0, Some(0));
}

#[tokio::test]
async fn a_checkpoint_of_another_deployment_is_not_gone_on_from() {
    let scene = Scene::new(Server::ready().unwrap()).await;
    let kind = StoreKind::File(scene.directory.path().to_owned());
    let key = CheckpointKey { pipeline: "keeping".into(), plugin: "print_ops".into(), worker: None };
    let at = Timestamp { time: SECOND, increment: 7 };
    let checkpoint = Checkpoint {
        deployment: "the replica set elsewhere".to_owned(),
        position: Position::Oplog(at.into()),
        timestamp: None,
        workers: None,
        epoch: 0,
        restarted: None,
    };
    let stored = async || Store::open(&kind, &scene.writer.own.client).await.unwrap();
    stored().await.save_checkpoint(&key, &checkpoint).await.unwrap();
    let said = error_of(&scene.arguments(&["--plugin", &plugin("print_ops")]));
    assert!(said.contains("the replica set elsewhere") && said.contains("--name"), "{said}");
    assert_eq!(stored().await.checkpoint(&key).await.unwrap().unwrap().position, checkpoint.position);
}

#[tokio::test]
async fn a_plugin_pauses_where_as_many_dead_letters_are_kept_as_may_be() {
    let mut scene = Scene::new(Server::ready().unwrap()).await;
    scene.store = "mongodb".to_owned();
    let name = bson::oid::ObjectId::new().to_hex();
    let settings = scene.directory.path().join("gtm.toml");
    std::fs::write(&settings, "[retry]\ndead_letters = 2\n").unwrap();
    let misbehave = plugin("misbehave");
    let how = ["--set", "handle=reject", "--config", settings.to_str().unwrap(), "--name", &name];
    let from = ["--uri", scene.server.uri(), "--source-oplog", &scene.writer.oplog, "--start", "oldest"];
    let mut host =
        Host::tailing(&[&from[..], &how, &["--plugin", &misbehave, "--admin", "127.0.0.1:0"]].concat());
    scene.writer.write(4).await;
    let line = host.wait_for("dead_letter.store_failed", &[]);
    let error = log::error(&line);
    assert!(error.starts_with("the plugin waits"), "{line}");
    assert!(error.contains("dead_letter_bytes under [retry]"), "{line}");
    let status = host.status();
    assert_eq!(status["plugins"][0]["deadLetters"], 2, "{status}");
    assert!(status["plugins"][0]["lastError"].as_str().unwrap().contains("the plugin waits"), "{status}");
    // Room is made twice, and nothing is lost.
    let at = ["--name", &name, "--uri", scene.server.uri()];
    let mut dropped = 0;
    eventually("all four were dropped", async || {
        let (code, out, said) =
            run(&[&["dead-letters", "drop", "--all", "--output", "json"], &at[..]].concat());
        // Between two letters the store has nothing of this pipeline, which has no checkpoint yet.
        if said.contains("the store has no pipeline") {
            return false;
        }
        assert_eq!(code, Some(0), "{said}");
        dropped += serde_json::from_str::<serde_json::Value>(&out).unwrap()["dropped"].as_u64().unwrap();
        dropped >= 4
    })
    .await;
    host.wait_for_position("4").await;
    host.wait_for("dead_letter.store", &[]);
    assert_eq!(host.stop().0, Some(0));
}
