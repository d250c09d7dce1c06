//! A plugin that something is in the way of, whatever the op: it waits, nothing is given up, and what must end ends.

use bson::{Timestamp, doc};
use gtm_test_support::{Server, SmtpSink, free_port};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::log;
use crate::support::{Database, Host, LIMIT, message, plugin};

fn counts(host: &Host) -> Value {
    host.status()["plugins"][0].clone()
}

/// A settings file with `errand`, granted this.
fn settings(own: &Database, grants: &str) -> String {
    let path = plugin("errand");
    format!("[plugins.errand]\npath = \"{path}\"\nconfig.database = \"{}\"\n{grants}\n", own.name)
}

#[tokio::test]
async fn a_missing_grant_is_said_once_and_no_op_is_lost_for_it() {
    let (server, directory) = (Server::ready().unwrap(), tempfile::tempdir().unwrap());
    let own = Database::new(server.uri()).await;
    let config = directory.path().join("gtm.toml");
    std::fs::write(&config, settings(&own, "")).unwrap();
    let arguments = [
        "--config",
        config.to_str().unwrap(),
        "--uri",
        server.uri(),
        "--admin",
        "127.0.0.1:0",
        "--retry-max-attempts",
        "1",
        "--delivery-ordering",
        "document",
    ];
    let mut host = Host::start(&arguments);
    host.wait_for("source.tail", &[]);
    for n in 0..10 {
        let errand = doc! { "_id": n, "do": "set", "key": "k", "value": "v", "strict": true };
        own.collection("errands").insert_one(errand).await.unwrap();
    }
    let waits = host.wait_for("plugin.block", &[]);
    assert!(log::error(&waits).contains("pass --grant errand:state"), "{waits}");
    assert_eq!(waits["level"], "ERROR");
    // Each lane tries again.
    for _ in 0..8 {
        host.wait_for_plugin_log(" error state is not granted");
    }
    let status = counts(&host);
    assert_eq!(status["state"], "failing", "{status}");
    for name in ["failed", "rejected", "retries", "handled"] {
        assert_eq!(status["counts"][name], 0, "{status}");
    }
    assert_eq!(status["deadLetters"], 0, "{status}");
    assert_eq!(host.count("plugin.block", &[]), 1);

    std::fs::write(&config, settings(&own, "grants.state = true")).unwrap();
    host.signal(Signal::SIGHUP);
    host.wait_for("plugin.unblock", &[]);
    for n in 0..10 {
        let done = format!("{n} ok set");
        if !host.logged().iter().any(|line| message(line).contains(&done)) {
            host.wait_for_plugin_log(&done);
        }
    }
    let (code, log) = host.stop();
    assert_eq!(code, Some(0));
    let all = [("handled", "10"), ("rejected", "0"), ("failed", "0")];
    assert_eq!(log::count(&log, "plugin.stop", &all), 1, "{log:?}");
}

#[tokio::test]
async fn a_server_that_is_not_granted_is_in_the_way_of_an_op_where_others_are_handled() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let (path, database) = (plugin("errand"), format!("database={}", own.name));
    let read = format!("mongodb-read={}.good", own.name);
    let arguments = [
        "--plugin",
        &path,
        "--uri",
        server.uri(),
        "--set",
        &database,
        "--grant",
        &read,
        "--retry-max-attempts",
        "2",
        "--retry-initial-delay",
        "10ms",
        "--delivery-ordering",
        "document",
    ];
    let mut host = Host::start(&arguments);
    host.wait_for("source.tail", &[]);
    let find = |n: i32, collection: &str| {
        doc! { "_id": n, "do": "find", "ns": format!("{}.{collection}", own.name), "strict": true }
    };
    own.collection("errands").insert_one(find(1, "bad")).await.unwrap();
    let waits = host.wait_for("plugin.block", &[]);
    let grant = format!("--grant errand:mongodb-read={}.bad", own.name);
    assert!(log::error(&waits).contains(&grant), "{waits}");
    // Some of them are handled beside it.
    for n in 2..30 {
        own.collection("errands").insert_one(find(n, "good")).await.unwrap();
    }
    host.wait_for_plugin_log(" ok 0 []");
    let given_up = host.wait_for("op.give_up", &[("attempts", "2")]);
    assert!(log::error(&given_up).contains("mongodb: to read "), "{given_up}");
}

#[tokio::test]
async fn a_login_that_the_mail_server_refuses_is_not_the_fault_of_the_mail() {
    let (server, port) = (Server::ready().unwrap(), free_port().unwrap());
    let sink = SmtpSink::start_with(port, &["login"]).unwrap();
    let own = Database::new(server.uri()).await;
    let (path, database) = (plugin("errand"), format!("database={}", own.name));
    let url = sink.url();
    let arguments = [
        "--plugin",
        &path,
        "--uri",
        server.uri(),
        "--set",
        &database,
        "--grant",
        "mail",
        "--mail-url",
        &url,
        "--retry-max-attempts",
        "1",
    ];
    let mut host = Host::start(&arguments);
    host.wait_for("source.tail", &[]);
    let errand = doc! { "_id": 1, "do": "mail", "to": "ada@example.com", "strict": true };
    own.collection("errands").insert_one(errand).await.unwrap();
    let waits = host.wait_for("plugin.block", &[]);
    let said = log::error(&waits);
    assert!(
        said.contains(&url) && said.contains("530") && said.contains("(--mail-url, or mail.url in gtm.toml)"),
        "{said}"
    );
    // With a server that takes it, it is sent: nothing was lost.
    drop(sink);
    let sink = SmtpSink::start_at(port).unwrap();
    assert_eq!(sink.next(LIMIT).unwrap().to, ["ada@example.com"]);
}

#[tokio::test]
async fn letters_stay_as_they_are_where_their_plugin_lacks_a_grant() {
    let (server, directory) = (Server::ready().unwrap(), tempfile::tempdir().unwrap());
    let own = Database::new(server.uri()).await;
    let (errand, database) = (plugin("errand"), format!("database={}", own.name));
    let store = format!("file:{}", directory.path().display());
    let kept = ["--store", &store, "--name", "letters"];
    let run_with =
        ["--plugin", &errand, "--uri", server.uri(), "--set", &database, "--retry-max-attempts", "1"];
    let granted = ["--grant", "http=http://127.0.0.1:1"];
    let mut host = Host::start(&[&run_with[..], &granted, &kept].concat());
    host.wait_for("source.tail", &[]);
    let errand_of = doc! { "_id": 1, "do": "http", "url": "http://127.0.0.1:1/", "strict": true };
    own.collection("errands").insert_one(errand_of).await.unwrap();
    host.wait_for("op.give_up", &[("attempts", "1")]);
    assert_eq!(host.stop().0, Some(0));
    let retry = ["dead-letters", "retry", "--all", "--plugin", &errand, "--uri", server.uri()];
    let (code, _, said) = crate::support::run(&[&retry[..], &kept].concat());
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("and the letters stay: http to http://127.0.0.1:1 is not granted"), "{said}");
    let list = ["dead-letters", "list", "--uri", server.uri(), "--output", "json"];
    let (_, out, said) = crate::support::run(&[&list[..], &kept].concat());
    let letter: Value = serde_json::from_str(out.lines().next().unwrap_or(&said)).unwrap();
    assert_eq!(letter["attempts"], 1, "{letter}");
}

#[test]
fn a_replay_and_a_try_end_with_the_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("oplog.bson");
    let entries = (1..=2000_u32).flat_map(|n| {
        let o = doc! { "_id": n, "do": "find", "ns": "shop.orders", "strict": true };
        let ts = Timestamp { time: 1_700_000_000, increment: n };
        bson::serialize_to_vec(&doc! { "op": "i", "ns": "a.errands", "o": o, "ts": ts }).unwrap()
    });
    std::fs::write(&file, entries.collect::<Vec<_>>()).unwrap();
    let (file, errand) = (file.to_str().unwrap(), plugin("errand"));
    for (grants, reason) in [
        (
            &[][..],
            "mongodb: to read shop.orders is not granted to the plugin errand. help: pass --grant errand:mongodb-read=shop.orders",
        ),
        (&["--grant", "mongodb-read=shop.*"][..], "there is no cluster here, as the ops come from files"),
    ] {
        let arguments = [&["replay", file, "--plugin", &errand, "--output", "json"][..], grants].concat();
        let mut host = Host::start(&arguments);
        let summary: Value = serde_json::from_str(&host.line().unwrap()).unwrap();
        let (code, log) = host.ended();
        assert_eq!(code, Some(1));
        let last = crate::log::error(log.last().unwrap());
        assert!(
            last.starts_with("the plugin errand can handle nothing: ") && last.contains(reason),
            "{last}"
        );
        let counts = &summary["plugins"]["errand"];
        assert_eq!(
            (&counts["failed"], &counts["handled"], &counts["retries"]),
            (&0.into(), &0.into(), &0.into())
        );
        assert!(counts["unfinished"].as_u64().unwrap() > 0, "{summary}");
    }
    let errands = [
        r#"{"_id":1,"do":"get","key":"k","strict":true}"#,
        r#"{"_id":2,"do":"get","key":"k","strict":true}"#,
    ];
    let tried = ["try", &errand, "--insert", "a.errands", errands[0], "--insert", "a.errands", errands[1]];
    let (code, out, said) = crate::support::run(&[&tried[..], &["--grant", "mail"]].concat());
    assert_eq!(code, Some(1));
    assert!(
        out.contains("\n  blocked: state is not granted") && out.matches("blocked").count() == 1,
        "{out}"
    );
    assert!(said.ends_with("set state = true under [plugins.errand.grants] in gtm.toml"), "{said}");
}
