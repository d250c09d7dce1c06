//! What the author of a plugin uses: `gtm-host new`, `try`, `componentize` and `config check`.

use std::path::Path;
use std::process::Command;

use bson::doc;
use gtm_test_support::{Server, SmtpSink};
use serde_json::Value;

use crate::support::{Database, Host, LIMIT, message, plugin, run};

/// Runs cargo in the project of a newcomer, as he would.
fn cargo(project: &Path, arguments: &[&str]) {
    let mut command = Command::new("cargo");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO") && name != "CARGO_HOME" {
            command.env_remove(&name);
        }
    }
    command.current_dir(project).args(arguments).env("CARGO_TARGET_DIR", target());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn target() -> std::path::PathBuf {
    gtm_test_support::target_dir().join("newcomer")
}

#[tokio::test]
async fn a_newcomer_begins_builds_tries_runs_edits_and_swaps() {
    let directory = tempfile::tempdir().unwrap();
    let project = directory.path().join("greet_users");
    let (code, out, said) = run(&["new", "greet_users", "--dir", project.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    assert!(out.contains("cargo plugin\n  cargo test"), "{out}");
    cargo(&project, &["test", "--quiet"]);
    cargo(&project, &["plugin", "--quiet"]);
    let wasm = target().join("wasm32-wasip2/release/greet_users.wasm");
    let wasm = wasm.to_str().unwrap();

    let (code, out, said) =
        run(&["try", wasm, "--insert", "app.users", r#"{"_id":1,"name":"Ada","email":"ada@example.com"}"#]);
    assert_eq!((code, out.ends_with("Hello Ada\n  handled\n")), (Some(0), true), "{out}{said}");
    assert!(said.contains("welcomed Ada"), "{said}");

    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    // In a database of its own.
    let lib = project.join("src/lib.rs");
    let edit = |from: &str, to: &str| {
        let text = std::fs::read_to_string(&lib).unwrap();
        assert!(text.contains(from));
        std::fs::write(&lib, text.replace(from, to)).unwrap();
        cargo(&project, &["plugin", "--quiet"]);
    };
    edit(r#""users""#, &format!(r#""users" && op.namespace().database == "{}""#, own.name));
    let sink = SmtpSink::start().unwrap();
    let arguments = ["--plugin", wasm, "--uri", server.uri(), "--grant", "mail", "--mail-url", &sink.url()];
    let mut host = Host::tailing(&arguments);
    let user = async |name: &str| {
        let user = doc! { "name": name, "email": "ada@example.com" };
        own.collection("users").insert_one(user).await.unwrap()
    };
    user("Ada").await;
    assert_eq!(sink.next(LIMIT).unwrap().text.trim_end(), "Hello Ada");
    edit("Hello {name}", "Good to see you, {name}");
    host.wait_for("plugin.swap", &[]);
    user("Grace").await;
    assert_eq!(sink.next(LIMIT).unwrap().text.trim_end(), "Good to see you, Grace");
}

#[test]
fn what_cannot_be_begun_is_said() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a file"), "").unwrap();
    let there = directory.path().to_str().unwrap();
    for (arguments, reason) in [
        (vec!["new", "Count-Orders"], "is not a valid name of a plugin"),
        (vec!["new", "orders", "--dir", there], "is not empty. help: pass another folder with --dir"),
        (vec!["new", "class", "--lang", "python"], "it is a reserved word"),
        (
            vec!["new", "orders", "--lang", "cobol"],
            "[possible values: rust, js, ts, python, c, cpp, go, zig]",
        ),
        (
            vec!["new", "orders", "--lang", "js", "--dir", "/tmp/no", "--sdk", "/no/such"],
            "there is no javascript/package.json in /no/such",
        ),
        (
            vec!["new", "orders", "--dir", "/tmp/no", "--sdk", "/no/such"],
            "there is no rust/Cargo.toml in /no/such",
        ),
        (
            vec!["new", "orders", "--lang", "zig", "--template", "webhook"],
            "the template webhook does not exist in this language. help: choose one of the languages that have it with --lang: rust, js, ts, \
             python, go",
        ),
        (
            vec!["new", "orders", "--template", "cobol"],
            "[possible values: mail, webhook, enrich, aggregate, filter]",
        ),
    ] {
        let (code, _, said) = run(&arguments);
        assert!(matches!(code, Some(1 | 2)) && said.contains(reason), "{said}");
    }
}

#[test]
fn what_a_plugin_wants_done_is_shown_and_not_done() {
    let welcome = plugin("send_welcome_email");
    let ada = r#"{"_id":1,"name":"Ada","email":"ada@example.com"}"#;
    let arguments = ["try", &welcome, "--insert", "users.users", ada, "-s", "subject=Hello Ada"];
    let (code, out, said) = run(&arguments);
    assert_eq!(code, Some(0), "{said}");
    assert!(out.contains("\n  mail   Message-ID: <") && out.contains("Subject: Hello Ada\n"), "{out}");
    assert!(out.ends_with("\n  handled\n"), "{out}");

    let json = |more: &[&str]| {
        let (code, out, said) = run(&[&arguments[..], &["--output", "json"], more].concat());
        let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(!lines.is_empty(), "{said}");
        (code, lines)
    };
    let (code, lines) = json(&["--delete", "users.users", r#"{"_id":1}"#]);
    assert_eq!(
        (code, &lines[0]["outcome"], &lines[1]["outcome"]),
        (Some(0), &"handled".into(), &"unwanted".into())
    );
    assert_eq!(lines[0]["effects"][0]["capability"], "mail");
    assert_eq!(lines[0]["op"]["fullDocument"]["name"], "Ada");
    // What is granted can be said, and is then all that is.
    let (code, lines) = json(&["--grant", "state"]);
    assert_eq!(
        (code, &lines[0]["outcome"], &lines[0]["effects"]),
        (Some(1), &"blocked".into(), &serde_json::json!([]))
    );
    assert!(
        lines[0]["reason"].as_str().unwrap().starts_with("mail is not granted to the plugin"),
        "{lines:?}"
    );
    // A document that the plugin cannot use, and a plugin that traps.
    let (code, out, _) = run(&["try", &welcome, "--insert", "users.users", r#"{"_id":1,"email":3}"#]);
    assert!(code == Some(1) && out.contains("\n  reject: "), "{out}");
    let (code, out, _) =
        run(&["try", &plugin("misbehave"), "--insert", "a.b", r#"{"_id":1}"#, "-s", "handle=panic"]);
    assert!(code == Some(1) && out.contains("\n  trapped: handle trapped: "), "{out}");
}

#[tokio::test]
async fn ops_that_tail_prints_are_tried() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ops.jsonl");
    let (server, print_ops) = (Server::ready().unwrap(), plugin("print_ops"));
    let own = Database::new(server.uri()).await;
    let namespace = format!("{}.things", own.name);
    let mut tail = Host::start(&["tail", "--uri", server.uri(), "--namespace", &namespace]);
    tail.wait_for("source.tail", &[]);
    own.collection("things").insert_one(doc! { "_id": 1, "text": "Grüße" }).await.unwrap();
    own.collection("things").update_one(doc! { "_id": 1 }, doc! { "$set": { "n": 1 } }).await.unwrap();
    own.collection("things").delete_one(doc! { "_id": 1 }).await.unwrap();
    let lines: Vec<_> = (0..3).map(|_| tail.line().unwrap()).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    let (code, out, said) = run(&["try", &print_ops, "--op", file.to_str().unwrap(), "--output", "json"]);
    assert_eq!(code, Some(0), "{said}");
    for (line, tried) in lines.iter().zip(out.lines()) {
        let (op, tried): (Value, Value) =
            (serde_json::from_str(line).unwrap(), serde_json::from_str(tried).unwrap());
        for field in
            ["_id", "operationType", "clusterTime", "ns", "documentKey", "fullDocument", "updateDescription"]
        {
            assert_eq!(op[field], tried["op"][field], "{field}");
        }
    }
    assert_eq!(out.lines().count(), 3);

    std::fs::write(&file, "{}\n").unwrap();
    let (code, _, said) = run(&["try", &print_ops, "--op", file.to_str().unwrap()]);
    assert!(code == Some(1) && said.contains("ops.jsonl holds no ops"), "{said}");
    for (arguments, reason) in [
        (vec!["try", &print_ops], "there is no op"),
        (vec!["try", &print_ops, "--insert", "things", "{}"], "\"things\" is not a valid namespace"),
        (vec!["try", &print_ops, "--insert", "a.b", "{"], "{ is not a document: not valid JSON at byte 1"),
        (vec!["try", &print_ops, "--insert", "a.b", "{}"], "{} has no _id"),
    ] {
        let (code, _, said) = run(&arguments);
        assert!(code == Some(2) && said.contains(reason), "{said}");
    }
}

/// A core module that handles everything, as a compiler may give it that knows nothing of components.
const CORE: &str = r#"(module
    (import "gtm:plugin/log@0.1.0" "log" (func $log (param i32 i32 i32)))
    (memory (export "memory") 1)
    (global $free (mut i32) (i32.const 1024))
    (data (i32.const 16) "handled by a core module")
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
        (local.set $at (i32.and (i32.add (global.get $free) (i32.const 15)) (i32.const -16)))
        (global.set $free (i32.add (local.get $at) (local.get 3)))
        (local.get $at))
    (func (export "filter") (param i32) (result i32) (global.set $free (i32.const 1024)) (i32.const 1))
    (func (export "handle") (param i32) (result i32)
        (call $log (i32.const 2) (i32.const 16) (i32.const 24))
        (global.set $free (i32.const 1024))
        (i32.const 0)))"#;

#[test]
fn a_core_module_becomes_a_plugin() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (core, component) = (path("core.wasm"), path("plugin.wasm"));
    std::fs::write(&core, wat::parse_str(CORE).unwrap()).unwrap();
    let (code, _, said) = run(&["componentize", &core, "-o", &component]);
    assert_eq!(code, Some(0), "{said}");
    let (code, out, said) = run(&["check", &component]);
    assert_eq!(code, Some(0), "{out}{said}");
    assert!(out.contains("contract       0.1.0") && out.contains("asks for       nothing"), "{out}");
    let (code, out, said) = run(&["try", &component, "--insert", "a.b", r#"{"_id":1}"#]);
    assert!(code == Some(0) && out.ends_with("\n  handled\n"), "{out}{said}");
    assert!(said.contains("handled by a core module"), "{said}");

    let (code, _, said) = run(&["componentize", &component, "-o", &core]);
    assert!(code == Some(1) && said.contains("is already a component"), "{said}");
    std::fs::write(&core, "text").unwrap();
    let (code, _, said) = run(&["componentize", &core, "-o", &component]);
    assert!(code == Some(1) && said.contains("is not WebAssembly"), "{said}");
    let other = CORE.replace("(export \"handle\")", "(export \"manage\")");
    std::fs::write(&core, wat::parse_str(other).unwrap()).unwrap();
    let (code, _, said) = run(&["componentize", &core, "-o", &component]);
    assert!(
        code == Some(1) && said.contains("does not fit the contract: ") && said.contains("handle"),
        "{said}"
    );
}

#[test]
fn settings_are_looked_at_before_a_host_starts_with_them() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gtm.toml");
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let (code, out, said) = run(&["config", "check", file.to_str().unwrap(), "--output", "json"]);
        (code, serde_json::from_str::<Value>(&out).unwrap_or_else(|_| said.into()))
    };
    let good = format!("[plugins.a]\npath = {:?}\n", plugin("print_ops"));
    let (code, found) = check(&good);
    assert_eq!((code, &found["valid"], &found["problems"]), (Some(0), &true.into(), &serde_json::json!([])));
    assert!(found["plugins"][0].as_str().unwrap().starts_with("a 0.1.0+"), "{found}");

    // All that is wrong is said, not the first only.
    let bad = format!(
        "{good}[plugins.b]\npath = \"none.wasm\"\n[plugins.c]\n[plugins.a.config]\nkey = {{ env = \"GTM_NO_SUCH\" }}\n\
         [mail]\nurl = \"localhost:25\"\n[source]\nuri_file = \"none\"\n"
    );
    let (code, found) = check(&bad);
    assert_eq!((code, &found["valid"]), (Some(2), &false.into()));
    let problems = found["problems"].to_string();
    for part in
        ["none cannot be read", "the mail server's URL cannot be understood", "the plugin c has no path"]
    {
        assert!(problems.contains(part), "{part}: {problems}");
    }
    let (_, found) = check(&bad.replace("[plugins.c]\n", ""));
    let problems = found["problems"].to_string();
    for part in ["none.wasm does not exist", "the variable GTM_NO_SUCH is not set"] {
        assert!(problems.contains(part), "{part}: {problems}");
    }
    let (code, said) = check("[plugins.a.grant]\nmail = true\n");
    assert_eq!(code, Some(2));
    assert!(message(&said).contains("Did you mean `grants`?"), "{said}");
}

/// What keeps a host from starting, or one of its plugins from running, is found before it starts; with the same sentence and status.
#[test]
fn a_check_of_settings_finds_what_a_start_finds() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gtm.toml");
    let file_path = file.to_str().unwrap();
    let plugins = format!("[plugins.a]\npath = {0:?}\n[plugins.b]\npath = {0:?}\n", plugin("print_ops"));
    // Nobody listens at this server, which is not asked.
    let nowhere = ["--uri", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=1"];
    for (text, more, code, said) in [
        ("", &["--uri", "mongodb://"][..], 2, "the MongoDB URI cannot be understood"),
        ("[source]\nuri = \"mongodb://\"\n", &[], 2, "the MongoDB URI cannot be understood"),
        ("[source]\noplog = \"oplog\"\n", &nowhere, 2, "is not a valid namespace"),
        ("[admin]\ntoken = \"a b\"\n", &nowhere, 2, "must be printable ASCII without spaces"),
        ("[admin]\ntoken_file = \"none\"\n", &nowhere, 1, "none cannot be read"),
        ("[admin]\nswap_from = [\"none\"]\n", &nowhere, 1, "none: No such file or directory"),
        ("[admin]\nswap_from = [\"gtm.toml\"]\n", &nowhere, 1, "it is not a directory"),
        ("[mail]\nurl = \"localhost\"\n", &nowhere, 2, "the mail server's URL cannot be understood"),
        ("[workers]\nname = \"Tom\"\nfile = \"none\"\n", &nowhere, 1, "none"),
        ("[limits]\nhttp_bytes = \"0 B\"\n", &nowhere, 2, "0 B is too small"),
        ("[limits]\nrecycle_calls = 0\n", &nowhere, 2, "0 is too few"),
        ("[log]\nfilter = \"\"\n", &nowhere, 2, "the log filter is empty"),
        ("[plugins.c]\n", &nowhere, 2, "the plugin c has no path"),
    ] {
        std::fs::write(&file, format!("{text}{plugins}")).unwrap();
        let (checked, out, error) = run(&[&["config", "check", file_path], more].concat());
        assert!((out.clone() + &error).contains(said), "{text}: {out}{error}");
        let (started, _, error) = run(&[&["--config", file_path], more].concat());
        assert_eq!((checked, started), (Some(code), Some(code)), "{text}: {error}");
        assert!(error.contains(said), "{text}: {error}");
    }
    // There is room for one of two plugins.
    std::fs::write(&file, plugins.replace("[plugins.b]", "lanes = 1000\n[plugins.b]\nlanes = 9000")).unwrap();
    let (code, out, error) = run(&["config", "check", file_path, "--delivery-ordering", "document"]);
    assert!(code == Some(1) && out.contains("has no room in this host: its instances need"), "{out}{error}");
    // And a host without plugins.
    std::fs::write(&file, "").unwrap();
    for arguments in [&["config", "check", file_path][..], &["--config", file_path]] {
        let (code, _, error) = run(arguments);
        assert!(code == Some(2) && error.contains("there is no plugin to run"), "{error}");
    }
    let (code, out, error) =
        run(&["config", "check", "--plugin", &plugin("print_ops"), "--delivery-lanes", "2"]);
    assert!(
        code == Some(0) && out.starts_with("a host can start with these settings\n  print_ops 0.1.0+"),
        "{out}{error}"
    );
    let (code, out, _) =
        run(&["config", "check", "--plugin", &plugin("print_ops"), "--mail-url", "ada:s3cret@host"]);
    assert!(code == Some(2) && !out.contains("s3cret"), "{out}");
}

#[test]
fn a_plugin_that_needs_settings_is_compiled_without_them() {
    let (code, out, said) = run(&["compile", &plugin("webhook")]);
    assert!(code == Some(0) && out.contains("webhook.wasm: ready after "), "{out}{said}");
}

/// Names that people and plugins chose, in `try` and `check`.
#[test]
fn a_name_does_nothing_on_a_terminal() {
    const NASTY: &str = "a\u{1b}[2Jb\rc\u{202e}d\u{2028}e";
    let shown = "a\\u001b[2Jb\\rc\\u202ed\\u2028e";
    let namespace = format!("shop.{NASTY}");
    let arguments = ["try", &plugin("trivial"), "--insert", &namespace, r#"{"_id":1}"#];
    let (code, out, said) = run(&arguments);
    assert!(code == Some(0) && out.contains(&format!("insert shop.{shown}\n  handled")), "{out:?} {said}");
    let (_, out, _) = run(&[&arguments[..], &["--output", "json"]].concat());
    let tried: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(crate::support::namespace(&tried["op"]), namespace);
    let (code, out, _) = run(&["check", NASTY]);
    assert!(
        code == Some(1) && out.starts_with(&format!("{shown}: not a plugin\n  the plugin {shown} does not")),
        "{out:?}"
    );
}
