//! A server that cannot be followed: one sentence, with the remedy.

use bson::doc;
use gtm_test_support::{Server, ServerOptions, free_port};
use mongodb::Client;
use nix::sys::signal::Signal;

use crate::log;
use crate::support::{Host, error_of, plugin, usage_error_of};

fn error_at(uri: &str) -> String {
    error_of(&["--plugin", &plugin("print_ops"), "--uri", uri])
}

fn usage_error_at(uri: &str) -> String {
    // Before anything that takes long, or may fail.
    usage_error_of(&["--plugin", "no/such/plugin.wasm", "--uri", uri])
}

#[test]
fn a_uri_that_is_none() {
    for uri in ["localhost:27017", "mongodb://", "mongodb://a:b@c/?w", "mongodb://localhost/?tls=perhaps"] {
        let said = usage_error_at(uri);
        assert!(said.starts_with("the MongoDB URI cannot be understood: "), "{said}");
        assert!(said.contains("mongodb://localhost:27017") && !said.contains("%40"), "{said}");
    }
    let said = usage_error_at("mongodb://a:b@c@d/");
    assert!(said.contains("user, password, host and port in it cannot be distinguished"), "{said}");
    assert!(said.contains("%40 for @"), "{said}");
    // A sign in a password that should have been escaped makes a host or a port of it.
    for uri in [
        "mongodb://user:sec?ret@h",
        "mongodb://user:secret",
        "mongodb://user:sec/ret@h:1",
        "mongodb://user:12?secret@h",
        "mongodb://user:27/a?secret@h",
    ] {
        let said = usage_error_at(uri);
        assert!(!said.contains("sec"), "{said}");
    }
}

#[test]
fn options_of_other_drivers_are_warned_of_and_ignored() {
    let server = Server::ready().unwrap();
    let sign = if server.uri().contains('?') { '&' } else { '?' };
    let uri = format!("{}{sign}uuidRepresentation=standard&socketTimeoutMS=1&replicaSett=x", server.uri());
    let mut tail = Host::start(&["tail", "--uri", &uri]);
    tail.wait_for("source.tail", &[]);
    tail.signal(Signal::SIGTERM);
    let (code, log) = tail.all();
    assert_eq!(code, Some(0));
    let warned: Vec<_> = log.iter().filter_map(|line| line["option"].as_str()).collect();
    assert_eq!(warned, ["uuidRepresentation", "socketTimeoutMS", "replicaSett"], "{log:?}");
}

#[test]
fn a_read_preference_that_no_member_fits() {
    let server = Server::ready().unwrap();
    // A direct connection takes its one server as it is.
    let uri = server.uri().replace("directConnection=true", "directConnection=false");
    let sign = if uri.contains('?') { '&' } else { '?' };
    let said = error_at(&format!("{uri}{sign}readPreference=secondary&serverSelectionTimeoutMS=500"));
    assert!(said.contains("no member of its replica set fits the readPreference of the URI"), "{said}");
    assert!(said.contains("use secondaryPreferred"), "{said}");
}

#[test]
fn nobody_listens() {
    let port = free_port().unwrap();
    let said = error_at(&format!("mongodb://user:secret@127.0.0.1:{port}/?serverSelectionTimeoutMS=500"));
    assert!(said.starts_with(&format!("no MongoDB answers at 127.0.0.1:{port}: ")), "{said}");
    assert!(said.contains("Connection refused") && said.contains("help: start mongod there"), "{said}");
    assert!(!said.contains("secret"), "{said}");
}

#[test]
fn who_waits_for_a_server_is_told_for_which() {
    let port = free_port().unwrap();
    let uri = format!("mongodb://user:secret@127.0.0.1:{port}/?serverSelectionTimeoutMS=300000");
    let mut host = Host::start(&["--plugin", &plugin("print_ops"), "--uri", &uri]);
    host.wait_for("server.wait", &[("hosts", &format!("127.0.0.1:{port}"))]);
    assert_eq!(host.stop().0, Some(0));
}

#[test]
fn a_wrong_password() {
    let server = Server::start(ServerOptions { auth: true, ..Default::default() }).unwrap();
    let said = error_at(&server.uri().replace("mongodb://", "mongodb://user:secret@"));
    assert!(said.contains("refuses the user name or password: "), "{said}");
    assert!(said.contains("authSource") && !said.contains("secret"), "{said}");
}

#[test]
fn no_password_where_one_is_wanted() {
    let server = Server::start(ServerOptions { auth: true, ..Default::default() }).unwrap();
    let said = error_at(server.uri());
    assert!(said.contains("requires a login. help: add user and password to --uri or MONGODB_URI"), "{said}");
}

#[test]
fn no_tls_on_the_other_side() {
    let server = Server::ready().unwrap();
    let sign = if server.uri().contains('?') { '&' } else { '?' };
    let said = error_at(&format!("{}{sign}tls=true&serverSelectionTimeoutMS=500", server.uri()));
    assert!(said.contains("no TLS connection with MongoDB at "), "{said}");
    assert!(said.contains("leave tls=true out of the URI"), "{said}");
}

#[test]
fn a_standalone_server() {
    let server = Server::start(ServerOptions { standalone: true, ..Default::default() }).unwrap();
    let said = error_at(server.uri());
    assert!(said.contains("is a standalone server, which keeps no oplog"), "{said}");
    assert!(said.contains("--replSet rs0") && said.contains("rs.initiate()"), "{said}");
}

/// A server whose users are made while nobody has to log in, and which then wants a login.
async fn server_with_user() -> (Server, String) {
    let mut server = Server::start(Default::default()).unwrap();
    let admin = Client::with_uri_str(server.uri()).await.unwrap().database("admin");
    let roles = ["readWriteAnyDatabase", "clusterAdmin"];
    admin.run_command(doc! { "createUser": "ada", "pwd": "p@ss", "roles": &roles[..] }).await.unwrap();
    server.restart_with(ServerOptions { auth: true, ..Default::default() }).unwrap();
    let uri = server.uri().replace("mongodb://", "mongodb://ada:p%40ss@") + "&authSource=admin";
    (server, uri)
}

#[tokio::test]
async fn no_right_to_read_the_oplog() {
    let (_server, uri) = server_with_user().await;
    let admin = Client::with_uri_str(&uri).await.unwrap().database("admin");
    let data = doc! { "failCommands": ["find"], "errorCode": 13 };
    admin
        .run_command(doc! { "configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data })
        .await
        .unwrap();
    let print_ops = plugin("print_ops");
    let arguments = ["--plugin", &print_ops, "--uri", &uri];
    let said = error_of(&[&arguments[..], &["--source-kind", "oplog"]].concat());
    assert!(said.starts_with("this user may not read local.oplog.rs. help: read a change stream"), "{said}");
    assert!(said.contains(r#"grantRolesToUser("USER", [{role: "read", db: "local"}])"#), "{said}");

    // Where nobody said which, a change stream is as good.
    let mut host = Host::start(&[&arguments[..], &["--store", "none"]].concat());
    let chosen = host.wait_for("source.choose", &[]);
    assert!(log::field(&chosen, "reason").starts_with("this user may not read local.oplog.rs"), "{chosen}");
    let tails = host.wait_for("source.tail", &[]);
    assert!(log::field(&tails, "source").starts_with("a change stream of the replica set"), "{tails}");
}

#[tokio::test]
async fn a_login_from_the_environment_or_a_file() {
    let (server, uri) = server_with_user().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("uri");
    std::fs::write(&file, &uri).unwrap();
    let file = file.to_str().unwrap();
    let print_ops = plugin("print_ops");
    let tails = |arguments: &[&str], variable: (&str, &str)| {
        let mut host = Host::start_in(&[&["--plugin", &print_ops], arguments].concat(), &[variable]);
        host.wait_for("source.tail", &[]);
        assert_eq!(host.stop().0, Some(0));
    };
    tails(&[], ("MONGODB_URI", &uri));
    tails(&[], ("MONGODB_URI_FILE", file));
    // What stands on the command line goes before the environment, a file too.
    tails(&["--source-uri-file", file], ("MONGODB_URI", server.uri()));
}

#[test]
fn an_oplog_that_is_no_namespace() {
    let said = usage_error_of(&["--plugin", "no/such/plugin.wasm", "--source-oplog", "oplog"]);
    assert_eq!(said, r#""oplog" is not a valid namespace. help: pass --source-oplog DATABASE.COLLECTION"#);
}

#[test]
fn a_mail_server_that_is_no_url() {
    let said = usage_error_of(&["--plugin", "no/such/plugin.wasm", "--mail-url", "localhost:25"]);
    assert!(said.starts_with("the mail server's URL cannot be understood: "), "{said}");
    let said = usage_error_of(&["--plugin", "no/such/plugin.wasm", "--mail-url", "foo"]);
    assert!(said.contains("understood: relative URL without a base. help: write it like"), "{said}");
    assert!(said.contains("smtp://localhost:1025"), "{said}");
    let said = usage_error_of(&[
        "--plugin",
        "no/such/plugin.wasm",
        "--mail-url",
        "smtp://localhost:25",
        "--mail-from",
        "me",
    ]);
    assert!(said.contains(r#"the sender "me" is not an e-mail address"#), "{said}");
}
