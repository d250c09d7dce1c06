//! Inserts become mails, and every change reaches plugins as what it is.

use std::time::Duration;

use bson::doc;
use gtm_test_support::{Server, SmtpSink};

use crate::log;
use crate::support::{Database, Host, LIMIT, message, namespace, plugin};

/// `send_welcome_email` listens to `users.users`, which the tests that use it share: they look for
/// their own addresses only.
fn welcome_host(server: &Server, sink: &SmtpSink, more: &[&str]) -> Host {
    let (plugin, smtp) = (plugin("send_welcome_email"), sink.url());
    let mut arguments = vec![
        "--plugin",
        &plugin,
        "--uri",
        server.uri(),
        "--mail-url",
        &smtp,
        "--grant",
        "mail",
        "--retry-initial-delay",
        "50ms",
    ];
    arguments.extend(more);
    Host::tailing(&arguments)
}

#[tokio::test]
async fn each_new_user_gets_a_mail_and_nobody_else_does() {
    let (server, sink) = (Server::ready().unwrap(), SmtpSink::start().unwrap());
    let host = welcome_host(&server, &sink, &["--set", "from=Shop <shop@example.com>"]);
    let own = Database::new(server.uri()).await;
    let users = own.client.database("users").collection("users");
    let elsewhere = own.collection("users");

    elsewhere.insert_one(doc! { "name": "Elsewhere", "email": "elsewhere@example.com" }).await.unwrap();
    // It may be somebody's own server: only what was inserted here is touched.
    let mut ids = Vec::new();
    for user in [
        doc! { "name": "Zoë Ångström", "email": "zoe@example.com" },
        doc! { "name": "without an address" },
        doc! { "name": "null is none", "email": null },
        doc! { "name": "Ada", "email": "ada@example.com" },
    ] {
        ids.push(users.insert_one(user).await.unwrap().inserted_id);
        users.update_one(doc! { "_id": ids.last() }, doc! { "$set": { "age": 33 } }).await.unwrap();
    }
    users.delete_many(doc! { "_id": { "$in": ids } }).await.unwrap();

    let mails = sink.take(2, LIMIT);
    assert_eq!(mails[0].to, ["zoe@example.com"]);
    assert_eq!(mails[0].from, "Shop <shop@example.com>");
    assert_eq!(mails[0].subject, "Welcome");
    assert!(mails[0].text.contains("Hello Zoë Ångström,"), "{}", mails[0].text);
    assert!(mails[0].id.ends_with(".0.send_welcome_email@example.com>"), "{}", mails[0].id);
    assert_eq!(mails[1].to, ["ada@example.com"]);
    assert_ne!(mails[0].id, mails[1].id);

    let (code, log) = host.stop();
    assert_eq!(code, Some(0));
    let all = [("handled", "2"), ("rejected", "0"), ("failed", "0")];
    assert_eq!(log::count(&log, "plugin.stop", &all), 1, "{log:?}");
    assert!(sink.next(Duration::from_millis(200)).is_none(), "nobody else gets a mail");
}

#[tokio::test]
async fn a_mail_that_is_put_off_is_sent_again_and_one_that_is_refused_is_not() {
    let (server, sink) = (Server::start(Default::default()).unwrap(), SmtpSink::start().unwrap());
    let mut host = welcome_host(&server, &sink, &[]);
    let own = Database::new(server.uri()).await;
    let users = own.client.database("users").collection("users");
    for address in ["later@example.com", "refused@example.com", "no address", "last@example.com"] {
        users.insert_one(doc! { "name": "x", "email": address }).await.unwrap();
    }

    let again = host.wait_for("op.retry", &[("attempt", "1")]);
    assert!(log::field(&again, "error").contains("451"), "{again}");
    assert_eq!(again["plugin"], "send_welcome_email");
    let refused = host.wait_for("op.reject", &[]);
    let error = log::field(&refused, "error");
    assert!(error.contains("550") && error.contains("no such user"), "{refused}");
    assert!(refused["op"].is_string());
    let invalid = host.wait_for("op.reject", &[]);
    assert!(log::field(&invalid, "error").contains("\"no address\" is not an e-mail address"), "{invalid}");

    let mails = sink.take(2, LIMIT);
    assert_eq!(mails[0].to, ["later@example.com"], "order is kept");
    assert_eq!(mails[1].to, ["last@example.com"]);
    let again_id = again["op"].as_str().unwrap();
    assert!(mails[0].id.contains(again_id), "the repeat has the id of the op: {} {again_id}", mails[0].id);
}

#[tokio::test]
async fn a_mail_server_that_is_away_is_waited_for() {
    let server = Server::start(Default::default()).unwrap();
    let port = gtm_test_support::free_port().unwrap();
    let (plugin, smtp) = (plugin("send_welcome_email"), format!("smtp://127.0.0.1:{port}"));
    let arguments = [
        "--plugin",
        &plugin,
        "--uri",
        server.uri(),
        "--grant",
        "mail",
        "--mail-url",
        &smtp,
        "--retry-initial-delay",
        "200ms",
        "--retry-max-attempts",
        "50",
    ];
    let mut host = Host::start(&arguments);
    let warned = host.wait_for("mail.check_failed", &[]);
    assert_eq!(warned["level"], "WARN");
    host.wait_for("source.tail", &[]);

    let own = Database::new(server.uri()).await;
    let users = own.client.database("users").collection("users");
    users.insert_one(doc! { "name": "Ada", "email": "ada@example.com" }).await.unwrap();
    let failed = host.wait_for("op.retry", &[("attempt", "2")]);
    assert!(log::field(&failed, "error").contains("Connection refused"), "{failed}");
    let sink = SmtpSink::start_at(port).unwrap();
    assert_eq!(sink.next(LIMIT).unwrap().to, ["ada@example.com"]);
    host.wait_for_plugin_log("welcomed ada@example.com");
}

#[tokio::test]
async fn changes_reach_a_plugin_as_what_they_are() {
    let server = Server::ready().unwrap();
    let mut host = Host::tailing(&["--plugin", &plugin("print_ops"), "--uri", server.uri()]);
    let own = Database::new(server.uri()).await;
    let things = own.collection("things.of.many.parts");

    things.insert_one(doc! { "_id": 1, "a": 1, "b": "ü" }).await.unwrap();
    things.update_one(doc! { "_id": 1 }, doc! { "$set": { "a": 2 }, "$unset": { "b": "" } }).await.unwrap();
    let seen = host.printed(&own.name, 2);
    things.replace_one(doc! { "_id": 1 }, doc! { "new": true }).await.unwrap();
    things.delete_one(doc! { "_id": 1 }).await.unwrap();
    things.drop().await.unwrap();

    assert_eq!(seen[0]["operationType"], "insert");
    assert_eq!(namespace(&seen[0]), format!("{}.things.of.many.parts", own.name));
    assert_eq!(seen[0]["documentKey"].to_string(), r#"{"_id":1}"#);
    assert_eq!(seen[0]["fullDocument"].to_string(), r#"{"_id":1,"a":1,"b":"ü"}"#);
    assert_eq!(seen[1]["operationType"], "update");
    assert_eq!(seen[1]["documentKey"].to_string(), r#"{"_id":1}"#);
    assert_eq!(seen[1]["fullDocument"].to_string(), r#"{"_id":1,"a":2}"#, "the whole document");

    let seen = host.printed(&own.name, 3);
    assert_eq!(seen[0]["operationType"], "replace");
    assert_eq!(seen[0]["fullDocument"].to_string(), r#"{"_id":1,"new":true}"#);
    assert_eq!(seen[1]["operationType"], "delete");
    assert_eq!(seen[1]["documentKey"].to_string(), r#"{"_id":1}"#);
    assert!(seen[1].get("fullDocument").is_none());
    assert_eq!(seen[2]["operationType"], "drop");
    assert_eq!(seen[2]["command"].to_string(), r#"{"drop":"things.of.many.parts"}"#);

    own.client.database(&own.name).drop().await.unwrap();
    let seen = host.printed(&own.name, 1);
    assert_eq!(seen[0]["operationType"], "dropDatabase");
    assert_eq!(namespace(&seen[0]), own.name);
}

#[tokio::test]
async fn many_updates_of_some_documents_get_their_documents() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let (numbers, letters) = (own.collection("numbers"), own.collection("letters"));
    numbers.insert_many((0..300).map(|n| doc! { "_id": n, "n": 0 })).await.unwrap();
    letters.insert_one(doc! { "_id": { "compound": "é" }, "n": 0 }).await.unwrap();
    let mut host = Host::tailing(&["--plugin", &plugin("print_ops"), "--uri", server.uri()]);

    numbers.update_many(doc! {}, doc! { "$inc": { "n": 1 } }).await.unwrap();
    letters.update_many(doc! {}, doc! { "$inc": { "n": 1 } }).await.unwrap();
    numbers.update_one(doc! { "_id": 7 }, doc! { "$inc": { "n": 1 } }).await.unwrap();
    numbers.delete_one(doc! { "_id": 7 }).await.unwrap();

    let seen = host.printed(&own.name, 303);
    for (n, op) in seen[..300].iter().enumerate() {
        assert_eq!(op["documentKey"]["_id"], n);
        // Gone, or changed once more, by the time the host looks.
        if n != 7 {
            assert_eq!(op["fullDocument"].to_string(), format!(r#"{{"_id":{n},"n":1}}"#));
        }
    }
    assert_eq!(seen[300]["fullDocument"].to_string(), r#"{"_id":{"compound":"é"},"n":1}"#);
    assert_eq!(seen[302]["operationType"], "delete");
}

#[tokio::test]
async fn a_document_of_16_mb_comes_through() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let sizes = format!("misbehave={}", plugin("misbehave"));
    let namespace = format!("namespace={}.huge", own.name);
    let mut host = Host::tailing(&[
        "--plugin",
        &plugin("print_ops"),
        "--plugin",
        &sizes,
        "--set",
        &namespace,
        "--uri",
        server.uri(),
    ]);

    // 16 MB less what the fields around the text take.
    let huge = "x".repeat(16 * 1024 * 1024 - 64);
    own.collection("huge").insert_one(doc! { "_id": "huge", "text": huge }).await.unwrap();
    // The two plugins work side by side, so that either may be first.
    let (mut handled, mut cut) = (None, None);
    while handled.is_none() || cut.is_none() {
        let line = host.wait_until("the huge op", |line| line["target"] == "plugin");
        if message(&line) == "handled at attempt 1" {
            handled = Some(line["op"].clone());
        } else if message(&line).ends_with("bytes more)") {
            assert!(message(&line).len() < 20_000);
            cut = Some(line["op"].clone());
        }
    }
    assert_eq!(handled, cut);
}
