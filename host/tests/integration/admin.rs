//! A running host, seen and steered over HTTP, and by the commands that do so.

use std::io::{Read, Write};
use std::net::TcpStream;

use bson::doc;
use gtm_test_support::Server;
use serde_json::{Value, json};

use crate::support::{Database, Host, LIMIT, error_of, eventually, plugin, run, usage_error_of};

/// Sends a request as it is, and gives back the status and the body.
fn ask(address: &str, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    // In one piece: the host does not wait without end for the rest of a request.
    stream.write_all(format!("{request}\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

pub fn get(address: &str, path: &str) -> (u16, String) {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}"))
}

fn post(Scene { address, host, .. }: &Scene, path: &str) -> (u16, Value) {
    let token = host.token();
    let request = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}");
    let (status, body) = ask(address, &request);
    (status, serde_json::from_str(&body).unwrap())
}

fn error(body: &str) -> String {
    serde_json::from_str::<Value>(body).unwrap()["error"].as_str().unwrap().to_owned()
}

/// Two plugins that print what they see of an oplog of their own.
struct Scene {
    own: Database,
    host: Host,
    address: String,
    _server: Server,
}

impl Scene {
    async fn new(more: &[&str]) -> Self {
        let server = Server::ready().unwrap();
        let own = Database::new(server.uri()).await;
        let (one, two) = (plugin("print_ops"), format!("two={}", plugin("print_ops")));
        let oplog = crate::support::create_oplog(&own, []).await;
        let arguments =
            ["-p", &one, "-p", &two, "--uri", server.uri(), "--source-oplog", &oplog, "--start", "oldest"];
        let mut host = Host::start(&[&arguments[..], &["--admin", "127.0.0.1:0"], more].concat());
        host.wait_for("source.tail", &[]);
        host.wait_for("source.tail", &[]);
        let address = host.address();
        Self { own, host, address, _server: server }
    }

    /// Entries with these increments.
    async fn write(&self, increments: std::ops::RangeInclusive<u32>) {
        let entries = increments.map(|increment| {
            let ts = bson::Timestamp { time: 1_700_000_000, increment };
            doc! { "op": "i", "ns": "a.b", "o": { "_id": increment }, "ts": ts }
        });
        self.own.collection("oplog").insert_many(entries).await.unwrap();
    }

    /// The increments of the next ops that a plugin sees.
    fn seen(&mut self, plugin: &str, count: usize) -> Vec<i64> {
        let mut seen = Vec::new();
        while seen.len() < count {
            let line =
                self.host.wait_until("an op", |line| line["plugin"] == plugin && line["target"] == "plugin");
            let op: Value = serde_json::from_str(line["message"].as_str().unwrap()).unwrap();
            seen.push(op["documentKey"]["_id"].as_i64().unwrap());
        }
        seen
    }

    fn gtm(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        run(&[arguments, &["--admin", &self.address]].concat())
    }

    fn status(&self) -> Value {
        self.host.status()
    }
}

#[tokio::test]
async fn a_plugin_is_paused_resumed_and_sent_back() {
    let mut scene = Scene::new(&[]).await;
    scene.write(1..=10).await;
    scene.host.wait_for_position(".10").await;
    let (code, out, _) = scene.gtm(&["pause", "--plugin", "two"]);
    assert_eq!((code, out.as_str()), (Some(0), "paused: two\n"));
    scene.write(11..=20).await;
    assert_eq!(scene.seen("print_ops", 20), (1..=20).collect::<Vec<_>>());
    let status = scene.status();
    let plugins = status["plugins"].as_array().unwrap();
    assert_eq!((&plugins[0]["state"], &plugins[1]["state"]), (&json!("running"), &json!("paused")));
    assert_eq!((&plugins[1]["reader"], &plugins[1]["counts"]["handled"]), (&json!("none"), &json!(10)));
    let (_, out, _) = scene.gtm(&["status"]);
    assert!(out.starts_with("pipeline "), "{out}");
    assert!(out.contains(": active\nsource: connected since ") && out.contains("\n\nPLUGIN"), "{out}");
    assert!(out.lines().any(|line| line.starts_with("two        paused   none")), "{out}");

    let (_, out, _) = scene.gtm(&["resume", "--output", "json"]);
    assert_eq!(out, "{\"plugins\":[\"print_ops\",\"two\"]}\n");
    scene.write(21..=30).await;
    // It has caught up, and nothing came twice.
    scene.host.wait_for_position(".30").await;
    assert_eq!(scene.status()["plugins"][1]["counts"]["handled"], 30);

    let (code, out, _) = scene.gtm(&["seek", "1700000000.5", "-p", "two"]);
    assert_eq!((code, out.as_str()), (Some(0), "moved to 1700000000.5: two\n"));
    // The place itself shows that nothing is left to come, not where it was sent to.
    let all_again = async || scene.status()["plugins"][1]["counts"]["handled"] == 55;
    eventually("the second has handled 55", all_again).await;
    scene.host.wait_for_position(".30").await;
    assert_eq!(scene.status()["plugins"][0]["counts"]["handled"], 30, "the other stays where it is");
    scene.host.signal(nix::sys::signal::Signal::SIGTERM);
    let (code, log) = scene.host.all();
    assert_eq!(code, Some(0));
    let two: Vec<i64> = log
        .iter()
        .filter(|line| line["plugin"] == "two" && line["target"] == "plugin")
        .map(|line| {
            let op: Value = serde_json::from_str(line["message"].as_str().unwrap()).unwrap();
            op["documentKey"]["_id"].as_i64().unwrap()
        })
        .collect();
    assert_eq!(two, (1..=30).chain(6..=30).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_seek_that_cannot_be_done_changes_nothing() {
    let scene = Scene::new(&[]).await;
    scene.write(100..=110).await;
    scene.host.wait_for_position(".110").await;
    let before = scene.status();
    let (status, answer) = post(&scene, "/seek?plugin=two&to=1600000000");
    assert_eq!(status, 409, "{answer}");
    assert!(answer["error"].as_str().unwrap().contains("begins"), "{answer}");
    let (status, answer) = post(&scene, "/seek?plugin=two&to=2099-01-01");
    assert_eq!(status, 409, "{answer}");
    for (path, status, says) in [
        ("/seek?plugin=two&to=tomorrow", 400, "expected now, oldest, a time"),
        ("/seek?to=oldest", 400, "the command needs the name of one plugin; there are: print_ops, two"),
        ("/seek?plugin=two", 400, "missing field `to`"),
        ("/pause?plugin=three", 404, "there is no plugin three; there are: print_ops, two"),
        ("/pause?plugins=two", 400, "unknown field `plugins`"),
        ("/stop", 404, "this path does not exist"),
        ("/status", 405, "this path does not allow this method"),
    ] {
        let (code, answer) = post(&scene, path);
        assert_eq!(code, status, "{path}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(says), "{path}: {answer}");
    }
    let after = scene.status();
    for n in [0, 1] {
        for field in ["position", "state", "counts"] {
            assert_eq!(after["plugins"][n][field], before["plugins"][n][field]);
        }
    }
    let (code, _, said) = scene.gtm(&["seek", "1600000000", "-p", "two"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("begins"), "{said}");
}

#[tokio::test]
async fn a_swap_reads_regular_files_and_does_not_tell_which_files_there_are() {
    let (directory, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let scene = Scene::new(&["--admin-swap-from", directory.path().to_str().unwrap()]).await;
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    // Nobody writes into this one.
    let pipe = path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let large = path("large");
    std::fs::File::create(&large).unwrap().set_len((64 << 20) + 1).unwrap();
    // These are plugins, and not where swaps take files from; one is called as if it were.
    let outside = elsewhere.path().join("plugin.wasm").to_str().unwrap().to_owned();
    std::fs::copy(plugin("misbehave"), &outside).unwrap();
    let link = path("link.wasm");
    std::os::unix::fs::symlink(&outside, &link).unwrap();
    let before = scene.status()["plugins"][1]["version"].clone();
    let away = format!("{}/../{}", directory.path().display(), outside.trim_start_matches("/tmp/"));
    for file in ["/dev/zero", "/no/such/file", "/", "/etc/passwd", &pipe, &outside, &link, &away] {
        let (status, answer) = post(&scene, &format!("/swap?plugin=two&file={file}"));
        assert_eq!(status, 409, "{file}: {answer}");
        let one = format!(
            "the plugin {file} cannot be read: it is not there, is not a regular file, gtm-host may not read it, or swaps may not \
             take files from its directory"
        );
        assert!(answer["error"].as_str().unwrap().contains(&one), "{file}: {answer}");
    }
    let (status, answer) = post(&scene, &format!("/swap?plugin=two&file={large}"));
    assert_eq!((status, answer["error"].as_str().unwrap().contains("has more than 64 MiB")), (409, true));
    assert_eq!(scene.status()["plugins"][1]["version"], before);
    let inside = path("inside.wasm");
    std::fs::rename(&outside, &inside).unwrap();
    let (status, answer) = post(&scene, &format!("/swap?plugin=two&file={inside}"));
    assert_eq!(status, 200, "{answer}");
    assert_ne!(scene.status()["plugins"][1]["version"], before);
}

#[tokio::test]
async fn prometheus_reads_what_status_says() {
    let scene = Scene::new(&["--name", "shop-metrics"]).await;
    scene.write(1..=7).await;
    scene.host.wait_for_position(".7").await;
    let (code, metrics) = get(&scene.address, "/metrics");
    assert_eq!(code, 200);
    for line in [
        "# TYPE gtm_host_ops_total counter",
        "gtm_host_ops_total{plugin=\"two\",outcome=\"handled\"} 7",
        "gtm_host_ops_total{plugin=\"two\",outcome=\"unknown\"} 0",
        "gtm_host_plugin_state{plugin=\"print_ops\",state=\"running\"} 1",
        "gtm_host_standing{standing=\"active\"} 1",
        "gtm_host_queued_ops{plugin=\"two\"} 0",
        "gtm_host_position_timestamp_seconds{plugin=\"two\"} 1700000000",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in:\n{metrics}");
    }
    assert_eq!(get(&scene.address, "/health"), (200, "ok\n".to_owned()));
    assert_eq!(get(&scene.address, "/ready"), (200, "active\n".to_owned()));
}

#[tokio::test]
async fn a_web_page_steers_no_host() {
    let scene = Scene::new(&[]).await;
    let address = &scene.address;
    // Without a token, nobody does; and no page reads what is open without one.
    for request in [
        format!("POST /pause HTTP/1.1\r\nHost: {address}"),
        format!("POST /swap?plugin=two&file=/x HTTP/1.1\r\nHost: {address}"),
        format!("GET /status HTTP/1.1\r\nHost: {address}"),
    ] {
        let (status, body) = ask(address, &request);
        assert_eq!((status, error(&body).contains("a token is needed")), (401, true), "{request}: {body}");
    }
    assert_eq!(get(address, "/metrics").0, 200);
    let (status, body) = ask(address, "GET /metrics HTTP/1.1\r\nHost: evil.example:9797");
    assert_eq!(status, 403);
    assert!(error(&body).contains("a name of this machine"), "{body}");
    let (status, body) =
        ask(address, &format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nOrigin: https://evil.example"));
    assert_eq!(status, 403);
    assert!(error(&body).contains("web pages"), "{body}");
    assert_eq!(ask(address, "GET /metrics HTTP/1.0").0, 403, "no host at all");
    assert_eq!(scene.status()["plugins"][0]["state"], "running");
}

#[tokio::test]
async fn a_token_that_is_set_is_wanted() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "s3cret\n").unwrap();
    let file = file.to_str().unwrap();
    let scene = Scene::new(&["--admin-token-file", file]).await;
    let with = |token: &str| {
        ask(&scene.address, &format!("GET /status HTTP/1.1\r\nHost: gtm.example\r\nAuthorization: {token}")).0
    };
    assert_eq!((with("Bearer s3cret"), with("bearer s3cret")), (200, 200), "whatever the host is called");
    assert_eq!((with("Bearer s3cre"), with("Bearer s3crets"), with("Basic s3cret")), (401, 401, 401));
    assert_eq!(get(&scene.address, "/metrics").0, 401);
    assert_eq!((get(&scene.address, "/health").0, get(&scene.address, "/ready").0), (200, 200));
    let (code, _, said) = scene.gtm(&["pause"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("a token is needed") && said.contains("--admin-token-file"), "{said}");
    let (code, _, said) = scene.gtm(&["pause", "--admin-token", "other"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("the token is wrong"), "{said}");
    let (code, out, _) = scene.gtm(&["pause", "--admin-token-file", file]);
    assert_eq!((code, out.as_str()), (Some(0), "paused: print_ops, two\n"));
}

#[test]
fn what_cannot_be_listened_to_is_said_before_anything_is_done() {
    let print_ops = plugin("print_ops");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    // Nobody listens at this server, which is not asked.
    let said = |more: &[&str]| {
        error_of(&[&["--plugin", &print_ops, "--uri", "mongodb://127.0.0.1:1/"], more].concat())
    };
    let in_use = said(&["--admin", &address]);
    assert!(
        in_use.contains(&format!("cannot listen on {address}")) && in_use.contains("--admin"),
        "{in_use}"
    );
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("precious");
    std::fs::write(&file, "data").unwrap();
    let file = file.to_str().unwrap();
    let not_a_socket = said(&["--admin", file]);
    assert!(not_a_socket.contains(&format!("cannot listen on {file}: it is a file")), "{not_a_socket}");
    let admin = ["--admin", "127.0.0.1:0", "--admin-token", ""];
    let empty = usage_error_of(&[&["--plugin", &print_ops], &admin[..]].concat());
    assert!(empty.contains("not empty"), "{empty}");
    let none = said(&["--admin", "127.0.0.1:0", "--admin-token-file", "/nowhere/token"]);
    assert!(none.contains("/nowhere/token cannot be read"), "{none}");
}

#[test]
fn who_does_not_answer_as_a_host_is_no_host() {
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let (code, _, said) = run(&["status", "--admin", &nobody]);
    assert_eq!(code, Some(1));
    assert!(said.contains(&format!("no host answers on {nobody}")) && said.contains("--admin"), "{said}");

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let other = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let _ = client.read(&mut [0; 1024]);
        client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").unwrap();
    });
    let (code, _, said) = run(&["status", "--admin", &other]);
    assert_eq!(code, Some(1));
    assert!(said.contains("is not a gtm-host of this version"), "{said}");
}
