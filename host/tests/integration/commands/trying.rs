//! What a plugin reads while it is tried: answers that are said, servers that are let through, a cluster.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::Method;
use bson::doc;
use gtm_test_support::{Process, Server};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::log;
use crate::support::{Database, Host, LIMIT, plugin, run};

/// Waits until a process listens for SIGINT.
fn listens(process: u32) {
    let started = Instant::now();
    let caught = || {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim().to_owned();
        u64::from_str_radix(&caught, 16).unwrap()
    };
    while caught() & (1 << (Signal::SIGINT as u32 - 1)) == 0 {
        assert!(started.elapsed() < LIMIT, "no signal is listened for");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// One Ctrl-C ends a command that reads what is typed, with the status of one.
#[test]
fn a_signal_ends_what_waits_for_the_standard_input() {
    let print_ops = plugin("print_ops");
    for arguments in
        [&["try", &print_ops, "--op", "-"][..], &["tail", "-"], &["replay", "-", "--plugin", &print_ops]]
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gtm-host"));
        command.env("GTM_CACHE_DIR", gtm_test_support::target_dir().join("testbed/cache")).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = Process::start("gtm-host", &mut command).unwrap();
        // It stays open, as a terminal does.
        let _input = process.child().stdin.take();
        listens(process.child().id());
        process.signal(Signal::SIGINT).unwrap();
        assert_eq!(process.wait(LIMIT).unwrap().code(), Some(130), "{arguments:?}");
    }
}

/// Tries a plugin, and gives back the exit code and what became of each op.
fn tried(name: &str, arguments: &[&str]) -> (Option<i32>, Vec<Value>) {
    let path = plugin(name);
    let (code, out, said) = run(&[&["try", &path, "--output", "json"][..], arguments].concat());
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!lines.is_empty(), "{said}");
    (code, lines)
}

const BULK: &str = "POST http://es:9200/_bulk";

fn indexed(more: &[&str]) -> (Option<i32>, Vec<Value>) {
    let insert = ["--insert", "shop.orders", r#"{"_id":1,"total":120}"#];
    let engine = ["--set", "url=http://es:9200", "--set", "engine=elasticsearch"];
    tried("index_documents", &[&insert[..], &engine, more].concat())
}

#[test]
fn an_index_answers_what_is_said() {
    let done = r#"{"errors":false,"items":[{"index":{"status":201}}]}"#;
    let (code, lines) = indexed(&["--answer", BULK, done]);
    assert_eq!((code, &lines[0]["outcome"]), (Some(0), &"handled".into()), "{lines:?}");
    let request = &lines[0]["effects"][0]["what"];
    assert_eq!((&request["method"], &request["answered"]), (&"POST".into(), &200.into()));
    assert!(request["body"].as_str().unwrap().contains("\"total\":120"), "{request}");

    let refused =
        json!({ "items": [{ "index": { "status": 400, "error": { "type": "mapper_parsing_exception" } } }] });
    let (code, lines) = indexed(&["--answer", BULK, &refused.to_string()]);
    assert_eq!((code, &lines[0]["outcome"]), (Some(1), &"reject".into()), "{lines:?}");

    // From a file, with a status.
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("busy.txt");
    std::fs::write(&file, "try later").unwrap();
    let (_, lines) = indexed(&["--answer", &format!("{BULK} 503"), file.to_str().unwrap()]);
    assert_eq!(lines[0]["outcome"], "retry", "{lines:?}");
    assert!(lines[0]["reason"].as_str().unwrap().contains("503"), "{lines:?}");

    // The host makes up an answer that is not given, so the result is unknown.
    let (code, lines) = indexed(&[]);
    assert_eq!((code, &lines[0]["outcome"]), (Some(1), &"unknown".into()), "{lines:?}");
    assert!(lines[0]["reason"].as_str().unwrap().contains("with --answer"), "{lines:?}");
    for (arguments, reason) in [
        (["--answer", "GET", "{}"], "\"GET\" is not a request"),
        (["--answer", "GET http://x", "/no/such/file"], "/no/such/file is not JSON, and not a file"),
    ] {
        let (code, _, said) =
            run(&[&["try", &plugin("errand"), "--insert", "a.b", r#"{"_id":1}"#][..], &arguments].concat());
        assert!(code == Some(2) && said.contains(reason), "{said}");
    }
}

#[test]
fn an_answer_has_the_headers_after_it() {
    let errand = plugin("errand");
    let ask = r#"{"_id":1,"do":"http","url":"https://a.example/","follow":true}"#;
    let arguments = ["try", &errand, "--insert", "a.errands", ask];
    let moved =
        ["--answer", "GET https://a.example/ 302", "[]", "--answer-header", "Location: https://b.example/"];
    let there = [
        "--answer",
        "GET https://b.example/",
        "[2]",
        "--answer-header",
        "x-a: 1",
        "--answer-header",
        "x-b: 2",
    ];
    let (code, out, said) = run(&[&arguments[..], &moved, &there].concat());
    assert_eq!(code, Some(0), "{out}{said}");
    assert!(said.contains("1 ok 200 [2]"), "{said}");
    for (wrong, reason) in [
        (
            &["--answer-header", "a: b", "--answer", "GET https://a.example/", "1"][..],
            "--answer-header has no --answer before it",
        ),
        (&["--answer", "GET https://a.example/", "1", "--answer-header", "a b"], "\"a b\" is not a header"),
        (&["--answer-header", "a: b"], "--answer"),
    ] {
        let (code, _, said) = run(&[&arguments[..], wrong].concat());
        assert!(code == Some(2) && said.contains(reason), "{said}");
    }
}

#[test]
fn a_plugin_reads_the_state_that_it_wrote() {
    let errand = plugin("errand");
    let mut arguments = vec!["try", &errand];
    let errands = [
        r#"{"_id":1,"do":"set","key":"k","value":"v"}"#,
        r#"{"_id":2,"do":"get","key":"k"}"#,
        r#"{"_id":3,"do":"swap","key":"k","expected":"v","value":"w"}"#,
        r#"{"_id":4,"do":"swap","key":"k","expected":"v","value":"x"}"#,
        r#"{"_id":5,"do":"forget","key":"k"}"#,
        r#"{"_id":6,"do":"get","key":"k"}"#,
    ];
    errands.iter().for_each(|errand| arguments.extend(["--insert", "a.errands", errand]));
    let (code, out, said) = run(&arguments);
    assert_eq!(code, Some(0), "{out}{said}");
    for outcome in ["2 ok v", "3 ok true", "4 ok false", "6 ok nothing"] {
        assert!(said.contains(outcome), "{outcome}: {said}");
    }
    assert!(out.contains(r#""set":"k""#) && out.contains(r#""done":false"#), "{out}");
    // It ends with the command.
    let (_, _, said) = run(&["try", &errand, "--insert", "a.errands", errands[1]]);
    assert!(said.contains("2 ok nothing"), "{said}");
}

/// A server that says by what it was asked, and how often.
async fn server() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let answer = async |State(asked): State<Arc<AtomicUsize>>, method: Method| {
        asked.fetch_add(1, Ordering::SeqCst);
        format!("asked by {method}")
    };
    let router = Router::new().fallback(answer).with_state(Arc::clone(&asked));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_reads_is_let_through_in_both_ways_to_http_and_what_writes_is_not() {
    let (address, asked) = server().await;
    let errand = plugin("errand");
    for by_wasi in [false, true] {
        let errands = [("GET", 1), ("POST", 2)].map(|(method, id)| {
            json!({ "_id": id, "do": "http", "method": method, "url": format!("http://{address}/"), "by_wasi": by_wasi })
                .to_string()
        });
        let before = asked.load(Ordering::SeqCst);
        let arguments =
            ["try", &errand, "--insert", "a.errands", &errands[0], "--insert", "a.errands", &errands[1]];
        let run = |more: &'static [&'static str]| run(&[&arguments[..], more].concat()).2;
        let said = run(&["--allow-http-get"]);
        assert!(said.contains("1 ok 200 asked by GET") && said.contains("2 ok 200 {}"), "{said}");
        assert_eq!(asked.load(Ordering::SeqCst), before + 1);
        let said = run(&[]);
        assert!(said.contains("1 ok 200 {}") && said.contains("2 ok 200 {}"), "{said}");
        assert_eq!(asked.load(Ordering::SeqCst), before + 1);
        let request = format!("GET http://{address}/");
        let (_, _, said) = crate::support::run(
            &[&arguments[..], &["--answer", &request, "[1]", "--answer", &format!("{request} 404"), "[2]"]]
                .concat(),
        );
        assert!(said.contains("1 ok 200 [1]") && said.contains("2 ok 200 {}"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_read_and_not_written() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    own.collection("things").insert_one(doc! { "_id": 7 }).await.unwrap();
    let namespace = format!("{}.things", own.name);
    let find = json!({ "_id": 1, "do": "find", "ns": namespace, "strict": true }).to_string();
    let insert = json!({ "_id": 2, "do": "insert", "ns": namespace, "document": { "_id": 8 } }).to_string();
    let errand = plugin("errand");
    let ops = ["--insert", "a.errands", &insert, "--insert", "a.errands", &find];
    let arguments = [&["try", &errand][..], &ops, &["--uri", server.uri()]].concat();
    let (code, out, said) = run(&arguments);
    assert_eq!(code, Some(0), "{out}{said}");
    assert!(said.contains("2 ok inserted") && said.contains(r#"1 ok 1 [{"_id":7}]"#), "{said}");
    assert!(out.contains("\n  mongodb {\"insert\":\"things\""), "{out}");
    // Without it, writes are shown all the same, and a read says how it can be done.
    let (code, out, said) = run(&[&["try", &errand][..], &ops].concat());
    assert_eq!(code, Some(1), "{out}{said}");
    assert!(said.contains("2 ok inserted") && out.contains("gtm-host try --uri URI"), "{out}{said}");
}

#[test]
fn what_changed_in_an_update_can_be_said() {
    let update = ["--update", "shop.orders", r#"{"_id":1,"total":120}"#];
    let changed = ["--changed", r#"{"updatedFields":{"total":120}}"#];
    let (code, lines) = tried("print_ops", &[&update[..], &update, &changed].concat());
    assert_eq!(code, Some(0));
    let whole = json!({ "updatedFields": { "total": 120 }, "removedFields": [], "truncatedArrays": [] });
    assert_eq!(lines[0]["op"]["updateDescription"], whole);
    assert_eq!(lines[1]["op"].get("updateDescription"), None);
    for (arguments, reason) in [
        (
            [&update[..], &["--changed", r#"{"fields":1}"#]].concat(),
            "fields is not a part of an update description",
        ),
        (["--insert", "a.b", r#"{"_id":1}"#, "--changed", "{}"].to_vec(), "more --changed than --update"),
    ] {
        let (code, _, said) = run(&[&["try", &plugin("print_ops")][..], &arguments].concat());
        assert!(code == Some(2) && said.contains(reason), "{said}");
    }
}

#[tokio::test]
async fn in_a_dry_run_what_fails_after_a_made_up_answer_is_not_known() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let (index, namespaces) = (plugin("index_documents"), format!("namespaces={}.*", own.name));
    let arguments = [
        "--plugin",
        &index,
        "--uri",
        server.uri(),
        "--dry-run",
        "--grant",
        "http=http://127.0.0.1:1",
        "--set",
        "url=http://127.0.0.1:1",
        "--set",
        "engine=elasticsearch",
        "--set",
        &namespaces,
    ];
    let mut host = Host::tailing(&arguments);
    for n in 0..3 {
        own.collection("things").insert_one(doc! { "_id": n }).await.unwrap();
    }
    for _ in 0..3 {
        host.wait_for("dry_run.give_up", &[("cause", "an answer was simulated")]);
    }
    let (code, log) = host.stop();
    assert_eq!(code, Some(0));
    let counts =
        [("rejected", "0"), ("failed", "0"), ("unfinished", "0"), ("retries", "0"), ("unknown", "3")];
    assert_eq!(log::count(&log, "plugin.stop", &counts), 1, "{log:?}");
}
