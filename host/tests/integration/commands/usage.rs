//! What is not understood, and what is not there: the exit status, and what is said.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use bson::{Timestamp, doc};
use gtm_test_support::{Process, Server};
use serde_json::Value;

use crate::log;
use crate::support::{Database, Host, LIMIT, create_oplog, plugin, run};

#[test]
fn what_is_not_understood_ends_with_2_whatever_finds_it() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("gtm.toml");
    std::fs::write(&config, "[delivery]\nlanes = 0\n").unwrap();
    let unplaced = directory.path().join("unplaced.toml");
    std::fs::write(&unplaced, "[plugins.x]\nlanes = 1\n").unwrap();
    let (config, unplaced) = (config.to_str().unwrap(), unplaced.to_str().unwrap());
    let no_plugin = ["--plugin", "no/such/x.wasm"];
    let of_plugin = |more: &[&'static str]| [&no_plugin[..], more].concat();
    for (arguments, said) in [
        (vec!["--nosuch"], "unexpected argument"),
        (vec![], "there is no plugin to run"),
        (of_plugin(&["--uri", "foo"]), "the MongoDB URI cannot be understood"),
        (of_plugin(&["--mail-url", "foo"]), "understood: relative URL without a base."),
        (of_plugin(&["--grant", "nosuch:mail"]), "there is no plugin nosuch; there are: x"),
        (of_plugin(&["--set", "nosuch:a=b"]), "there is no plugin nosuch; there are: x"),
        (of_plugin(&["--restart-from", "nosuch=now"]), "there is no plugin nosuch; there are: x"),
        (of_plugin(&["--workers-name", "Tom"]), "worker Tom has no list"),
        (of_plugin(&["--limits-handle-timeout", "5x"]), "\"5x\" is not a time: write a number and a unit"),
        (of_plugin(&["--lease-ttl", "5x"]), "\"5x\" is not a time: write a number and a unit"),
        (of_plugin(&["--limits-handle-timeout", "0"]), "0s is too short: write a longer time"),
        (of_plugin(&["--limits-handle-timeout", "0s"]), "0s is too short: write a longer time"),
        (of_plugin(&["--limits-filter-timeout", "0ms"]), "0s is too short: write a longer time"),
        (of_plugin(&["--limits-memory", "0MiB"]), "0 B is too small: write a larger size"),
        (of_plugin(&["--admin-token", "a b"]), "must be printable ASCII without spaces"),
        (of_plugin(&["--log", "gtm_host=nosuch"]), "the log filter"),
        (of_plugin(&["--log", ""]), "the log filter is empty. help: leave --log out"),
        (of_plugin(&["--store-database", "admin"]), "the server's own"),
        (vec!["--config", config], "gtm.toml, line 2, delivery.lanes: 0 is too few: write 1 or more"),
        (vec!["--config", unplaced], "the plugin x has no path"),
        (vec!["--config", "/no/such.toml"], "/no/such.toml cannot be read"),
        (vec!["config", "check", "/no/such.toml"], "/no/such.toml cannot be read"),
        (vec!["--watch", "false"], "\"false\" is a separate word after --watch. help: write --watch=false"),
        (vec!["config", "check", "--snapshot", "true"], "help: write --snapshot=true"),
        (of_plugin(&["--mail-url", "smtp://"]), "understood: it names no host. help: write it like"),
        (
            of_plugin(&["--set", "x.key=1"]),
            "a colon follows the name of a plugin, not a dot. help: write x:key=VALUE",
        ),
        (of_plugin(&["--set", "key=(hidden)"]), "stands for a value that is not shown"),
        (vec!["tail", "--namespace", "admin.*"], "matches no change"),
        (vec!["tail", "--namespace", "/[/"], "is not a valid regular expression: unclosed character class"),
        (vec!["tail", "--source-oplog", "oplog"], "is not a valid namespace"),
        (vec!["tail", "x.bson", "--collection", "orders"], "is not a valid namespace"),
        (
            vec!["try", "x.wasm", "--insert", "a.b", "{\"_id\":1}", "--answer", "bad", "{}"],
            "is not a request",
        ),
        (vec!["try", "x.wasm", "--insert", "a.b", "{\"_id\":1}", "--uri", "foo"], "the MongoDB URI"),
        (vec!["new", "Bad Name!"], "is not a valid name of a plugin"),
        (vec!["checkpoints", "list", "--store", "none"], "--store none keeps nothing"),
        (vec!["dead-letters", "list", "--uri", "foo"], "the MongoDB URI"),
        (vec!["seek", "soon"], "expected now, oldest"),
    ] {
        let (code, _, error) = run(&arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {error}");
        assert!(error.contains(said), "{arguments:?}: {error}");
        assert_eq!(error.matches("error:").count(), 1, "{arguments:?}: {error}");
    }
    // What is understood, and cannot be done.
    let no_directory = of_plugin(&["--admin-swap-from", "/no/such"]);
    for arguments in [&no_plugin[..], &no_directory, &["tail", "/no/such.bson"]] {
        let (code, _, error) = run(arguments);
        assert_eq!(code, Some(1), "{arguments:?}: {error}");
    }
}

#[test]
fn a_store_that_is_not_there_is_said_and_not_made() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    let store = format!("file:{}", missing.display());
    let trivial = plugin("trivial");
    for command in [
        &["checkpoints", "list"][..],
        &["checkpoints", "show"],
        &["checkpoints", "set", "oldest", "--plugin", "x", "--new"],
        &["checkpoints", "reset", "--all"],
        &["dead-letters", "list"],
        &["dead-letters", "show", "x"],
        &["dead-letters", "drop", "--all"],
        &["dead-letters", "retry", "--all", "--file", &trivial],
    ] {
        let (code, _, error) = run(&[command, &["--store", &store]].concat());
        assert_eq!(code, Some(1), "{command:?}: {error}");
        assert!(error.contains(&format!("there is no store in {}. help: ", missing.display())), "{error}");
        assert!(!missing.exists(), "{command:?}");
    }
}

#[tokio::test]
async fn a_tail_ends_when_nobody_reads_it_any_more() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_gtm-host"));
    command.args(["tail", "--uri", server.uri(), "--namespace", &format!("{}.*", own.name)]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut tail = Process::start("gtm-host tail", &mut command).unwrap();
    let mut said = BufReader::new(tail.child().stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|line| log::has(&line, "source.tail", &[])));
    own.collection("things").insert_one(doc! { "_id": 1 }).await.unwrap();
    let mut out = BufReader::new(tail.child().stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    // Nothing more is written that could fail.
    drop(out);
    assert_eq!(tail.wait(LIMIT).unwrap().code(), Some(0));
    assert!(!said.any(|line| line.contains("rror")));
}

#[tokio::test]
async fn the_oldest_change_is_not_called_by_a_number() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let oplog = create_oplog(&own, []).await;
    let from = ["--source-oplog", &oplog, "--start", "oldest"];
    let mut tail = Host::start(&[&["tail", "--uri", server.uri()][..], &from].concat());
    tail.wait_for("source.tail", &[("from", "oldest")]);
}

/// A dumped oplog with errands.
fn dump(directory: &std::path::Path, errands: &[bson::Document]) -> String {
    let entries = (1..).zip(errands).flat_map(|(n, errand)| {
        let ts = Timestamp { time: 1_700_000_000, increment: n };
        bson::serialize_to_vec(&doc! { "op": "i", "ns": "a.errands", "o": errand, "ts": ts }).unwrap()
    });
    let file = directory.join("oplog.bson");
    std::fs::write(&file, entries.collect::<Vec<_>>()).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn a_dry_run_waits_for_no_grant_and_does_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mail = doc! { "_id": 1, "do": "mail", "to": "ada@example.com", "strict": true };
    let (file, errand) = (dump(directory.path(), &[mail]), plugin("errand"));
    let replay = ["replay", &file, "--plugin", &errand, "--dry-run"];
    let (code, out, said) = run(&replay);
    assert_eq!(code, Some(1), "{out}{said}");
    let affected = [("affected_ops", "is counted as not known")];
    assert!(log::has(&said, "plugin.lack_grant", &affected), "{said}");
    let in_the_way = |line: &serde_json::Value| {
        log::is_event(line, "dry_run.give_up", &[("cause", "an obstacle blocks it")])
            && log::error(line).starts_with("mail is not granted")
    };
    assert!(log::parse(&said).iter().any(in_the_way), "{said}");
    assert!(out.contains("errand: 1 op read") && out.contains("1 not known, as it was a dry run"), "{out}");
    let (code, out, said) = run(&[&replay[..], &["--grant", "mail"]].concat());
    assert_eq!(code, Some(0), "{out}{said}");
    let mail = [("capability", "mail")];
    assert!(log::has(&said, "dry_run.record", &mail) && out.contains("1 handled"), "{out}{said}");
}

#[tokio::test]
async fn a_dry_run_of_a_host_waits_for_no_grant() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let (errand, database) = (plugin("errand"), format!("database={}", own.name));
    let mut host =
        Host::tailing(&["--plugin", &errand, "--uri", server.uri(), "--set", &database, "--dry-run"]);
    let mail = doc! { "_id": 1, "do": "mail", "to": "ada@example.com", "strict": true };
    own.collection("errands").insert_one(mail).await.unwrap();
    let line = host.wait_for("dry_run.give_up", &[("cause", "an obstacle blocks it")]);
    let error = log::error(&line);
    assert!(error.starts_with("mail is not granted") && error.contains("pass --grant errand:mail"), "{line}");
    let (code, log) = host.stop();
    assert_eq!(code, Some(0));
    assert_eq!(log::count(&log, "plugin.stop", &[("unknown", "1")]), 1, "{log:?}");
}

#[test]
fn a_password_in_a_url_is_not_shown() {
    let errand = plugin("errand");
    let request = r#"{"_id":1,"do":"http","url":"http://ada:s3cret@example.com/x?y=z","strict":true}"#;
    for output in ["text", "json"] {
        let (_, out, said) = run(&["try", &errand, "--insert", "a.errands", request, "--output", output]);
        // The op itself is the author's own, as it was given.
        let effects = out.replace("http://ada:s3cret@example.com/x?y=z\",\"strict", "");
        assert!(effects.contains("http://example.com/x?y=z"), "{out}{said}");
        assert!(!effects.contains("s3cret"), "{out}");
    }
    let (code, _, said) = run(&["--plugin", "x.wasm", "--grant", "http=https://ada:s3cret@host"]);
    assert!(code == Some(2) && said.contains("https://host") && !said.contains("s3cret"), "{said}");
}

#[test]
fn files_of_which_no_plugin_wants_anything_are_warned_of() {
    let directory = tempfile::tempdir().unwrap();
    let file = dump(directory.path(), &[doc! { "_id": 1, "do": "config", "key": "k" }]);
    let (welcome, errand) = (plugin("send_welcome_email"), plugin("errand"));
    let replay = |plugin: &str| run(&["replay", &file, "--plugin", plugin]);
    let (code, out, said) = replay(&welcome);
    assert_eq!(code, Some(0), "{out}{said}");
    let warning = log::parse(&said).into_iter().find(|line| line["event"] == "replay.match_nothing").unwrap();
    assert!(log::field(&warning, "help").starts_with("run gtm-host check"), "{said}");
    assert!(out.contains("oplog, 1 document, ") && out.contains("1 op that no plugin wanted"), "{out}");
    assert!(!log::has(&replay(&errand).2, "replay.match_nothing", &[]));
    // What comes by the standard input has no name.
    let shell = format!("cat {file} | {} replay - --plugin {errand}", env!("CARGO_BIN_EXE_gtm-host"));
    let piped = Command::new("sh").args(["-c", &shell]).output().unwrap();
    let out = String::from_utf8(piped.stdout).unwrap();
    assert!(out.starts_with("the standard input: oplog, 1 document, "), "{out}");
}

#[test]
fn a_check_sets_a_plugin_up_as_a_host_does() {
    let directory = tempfile::tempdir().unwrap();
    let (every_call, config) = (plugin("every_call"), directory.path().join("gtm.toml"));
    let text = format!(
        "[plugins.changes]\npath = {every_call:?}\ngrants.state = true\nconfig.database = \"shop\"\n[plugins.errand]\nconfig.a = 1\n\
         path = \"elsewhere/errand.wasm\"\ngrants.mail = true\n"
    );
    std::fs::write(&config, text).unwrap();
    let checked = |more: &[&str]| {
        let (code, out, said) = run(&[&["check", "--output", "json"], more].concat());
        assert_eq!(code, Some(0), "{out}{said}");
        serde_json::from_str::<Value>(&out).unwrap()
    };
    // By its path.
    let with = ["--config", config.to_str().unwrap(), &every_call];
    let found = checked(&with);
    assert_eq!(
        (&found["name"], &found["subscriptions"][0]["namespace"]),
        (&"changes".into(), &"shop.seeds".into())
    );
    let said = checked(&[&with[..], &["--set", "changes:database=a"]].concat());
    assert_eq!(said["subscriptions"][0]["namespace"], "a.seeds");
    assert_eq!(checked(&[&every_call, "--set", "database=b"])["subscriptions"][0]["namespace"], "b.seeds");
    let (_, out, _) = run(&[&["check"], &with[..]].concat());
    assert!(out.starts_with(&format!("{every_call}, set up as changes: a plugin\n")), "{out}");
    // By its name.
    let found = checked(&[with[0], with[1], &plugin("errand")]);
    assert_eq!(found["name"], "errand");
    assert!(found["granted"]["mail"].as_str().unwrap().contains("at most 600"), "{found}");
    let (code, _, said) = run(&["check", &every_call, "--set", "nosuch:a=b"]);
    assert!(code == Some(2) && said.contains("there is no plugin nosuch; there are: every_call"), "{said}");
    // It is tried with the same settings.
    let (code, out, said) = run(&[
        &["try"],
        &with[..],
        &["--insert", "other.things", "{\"_id\":1}", "--output", "json"],
    ]
    .concat());
    assert!(code == Some(0) && out.contains("\"unwanted\""), "{out}{said}");
}

#[test]
fn a_check_shows_what_would_be_granted() {
    let errand = plugin("errand");
    let check = ["check", &errand, "--output", "json"];
    let granted = |more: &[&str]| {
        let (code, out, said) = run(&[&check[..], more].concat());
        assert_eq!(code, Some(0), "{said}");
        serde_json::from_str::<Value>(&out).unwrap()["granted"].clone()
    };
    assert_eq!(granted(&[])["mail"], Value::Null);
    let with = granted(&["--grant", "mail", "--grant", "errand:http=https://api.example.com"]);
    assert!(with["mail"].as_str().unwrap().contains("at most 600 a minute"), "{with}");
    assert!(with["http"].as_str().unwrap().contains("api.example.com"), "{with}");
    let (code, _, said) = run(&[&check[..], &["--grant", "other:mail"]].concat());
    assert!(code == Some(2) && said.contains("there is no plugin other; there are: errand"), "{said}");
}
