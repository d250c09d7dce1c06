//! Who may steer a host, from where, and what is recorded of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use bson::oid::ObjectId;
use gtm_delivery::HostControl;
use gtm_host::admin::{Admin, Serving};
use gtm_test_support::Server;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::log;
use crate::support::{Host, LIMIT, error_of, message, plugin, run};
use crate::swapping::{put, put_another};

/// Sends a request to a socket, and returns the status and the body.
fn ask(socket: &str, request: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn mode(path: impl AsRef<Path>) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn own_user() -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").unwrap().uid()
}

/// The events of the audit log.
fn audit(lines: &[Value]) -> Vec<&Value> {
    lines.iter().filter(|line| line["target"] == "gtm_host::audit").collect()
}

/// Whether one of them is so.
fn recorded(lines: &[Value], action: &str, fields: &Value) -> bool {
    let is_so = |line: &&&Value| {
        line["event"] == action
            && fields.as_object().unwrap().iter().all(|(name, value)| &line[name.as_str()] == value)
    };
    audit(lines).iter().any(|line| is_so(&line))
}

#[tokio::test]
async fn commands_find_a_host_of_the_same_user_by_its_name() {
    let server = Server::ready().unwrap();
    let (name, print_ops) = (ObjectId::new().to_hex(), plugin("print_ops"));
    let arguments = ["--plugin", &print_ops, "--uri", server.uri(), "--name", &name];
    let mut one = Host::tailing(&arguments);
    let socket = one.socket();
    assert!(socket.ends_with(&format!("/gtm-host/{name}.sock")), "{socket}");
    assert_eq!((mode(&socket), mode(Path::new(&socket).parent().unwrap())), (0o600, 0o700));
    let paused = |more: &[&str]| run(&[&["pause", "--name", &name], more].concat());
    assert_eq!(paused(&[]), (Some(0), "paused: print_ops\n".to_owned(), String::new()));
    assert_eq!(ask(&socket, "POST /resume").0, 200);
    assert_eq!(ask(&socket, "GET /metrics").0, 200);
    assert_eq!(ask(&socket, "GET /ready"), (200, "active\n".to_owned()));

    // Another of the same name stands by: what is asked of the pipeline is asked of the one that works.
    let mut two = Host::start(&arguments);
    two.wait_for("lease.standby", &[]);
    let other = two.socket();
    assert!(other.ends_with(&format!("/{name}.2.sock")), "{other}");
    let (code, out, said) = run(&["status", "--name", &name]);
    assert_eq!((code, out.contains(": active\n")), (Some(0), true), "{out}{said}");
    let (_, out, _) = run(&["status", "--name", &name, "--admin", &other]);
    assert!(out.contains(": standby"), "{out}");
    assert_eq!(paused(&["--admin", &other]).0, Some(1), "it stands by");
    one.signal(nix::sys::signal::Signal::SIGKILL);
    one.ended();
    two.wait_for("source.tail", &[]);
    assert_eq!(paused(&[]).0, Some(0));
    // What the dead one left is taken over.
    let mut three = Host::start(&arguments);
    three.wait_for("lease.standby", &[]);
    assert_eq!(three.socket(), socket);
    assert_eq!(two.stop().0, Some(0));
    three.wait_for("source.tail", &[]);
    assert!(!Path::new(&other).exists(), "one that ends leaves nothing");

    let (code, _, said) = run(&["status", "--name", "nobody's"]);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("no host of the name nobody's of this user runs here") && said.contains("help: "),
        "{said}"
    );
    assert_eq!(three.stop().0, Some(0));
}

#[tokio::test]
async fn a_host_that_is_to_be_steered_by_nobody_is_not() {
    let server = Server::ready().unwrap();
    let (name, print_ops) = (ObjectId::new().to_hex(), plugin("print_ops"));
    let arguments = ["--plugin", &print_ops, "--uri", server.uri(), "--name", &name, "--admin", "none"];
    let host = Host::tailing(&arguments);
    let (code, _, said) = run(&["status", "--name", &name]);
    assert_eq!((code, said.contains("no host of the name")), (Some(1), true), "{said}");
    assert!(host.count("admin.listen", &[]) == 0);
    assert_eq!(host.stop().0, Some(0));
}

/// An admin API of a host that is starting, at a socket that every user can reach.
fn open_socket() -> (tempfile::TempDir, String, Serving) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("host.sock");
    let admin = Admin::at_path(&path).unwrap();
    for (path, mode) in [(directory.path(), 0o755), (&path, 0o666)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let control = HostControl::new("shop", None, CancellationToken::new());
    let serving = admin.serve(control, std::time::Duration::from_secs(30)).unwrap();
    (directory, path.to_str().unwrap().to_owned(), serving)
}

#[test]
#[expect(clippy::print_stderr, reason = "for who reads what was tested")]
fn another_user_steers_nothing_by_the_socket() {
    if own_user() != 0 {
        eprintln!("not tested, as only root can act as another user");
        return;
    }
    let (_directory, socket, _serving) = open_socket();
    assert_eq!(ask(&socket, "GET /status").0, 200);
    let asked = "import os, socket, sys\nos.setgid(65534); os.setuid(65534)\n\
                 s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n\
                 s.sendall(('%s HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' % sys.argv[2]).encode())\n\
                 print(b''.join(iter(lambda: s.recv(4096), b'')).decode())";
    for (request, status) in [
        ("GET /status", " 403 "),
        ("POST /pause", " 403 "),
        ("GET /metrics", " 403 "),
        ("GET /health", " 200 "),
    ] {
        let child = Command::new("python3").args(["-c", asked, &socket, request]).output().unwrap();
        let said = String::from_utf8(child.stdout).unwrap();
        assert!(said.starts_with(&format!("HTTP/1.1{status}")), "{request}: {said} {:?}", child.stderr);
        let why = "only the user 0 and root may use this socket";
        assert_eq!(said.contains(why), status == " 403 ", "{said}");
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "for who reads what was tested")]
fn a_socket_of_another_user_is_not_believed() {
    if own_user() != 0 {
        eprintln!("not tested, as only root can act as another user");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let socket = directory.path().join("host.sock").to_str().unwrap().to_owned();
    let listening = "import os, socket, sys\nos.setgid(65534); os.setuid(65534)\n\
                     s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); print('listening', flush=True)\n\
                     c, _ = s.accept()\nwhile c.recv(4096): print('asked', flush=True)";
    let mut command = Command::new("python3");
    let mut child =
        command.args(["-c", listening, &socket]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "listening");
    let (code, out, said) = run(&["swap", "p", "/dev/null", "--admin", &socket]);
    assert_eq!((code, out.as_str()), (Some(1), ""), "{said}");
    assert!(said.contains(&format!("number 65534 listens at the socket {socket}")), "{said}");
    child.wait().unwrap();
    assert!(lines.next().is_none(), "nothing is sent to it");
}

#[tokio::test]
async fn a_host_makes_a_token_for_tcp_that_commands_of_its_user_find() {
    let server = Server::ready().unwrap();
    let print_ops = plugin("print_ops");
    let arguments = ["--plugin", &print_ops, "--uri", server.uri(), "--admin", "127.0.0.1:0"];
    let host = Host::tailing(&arguments);
    let address = host.address();
    let said = |line: &Value| line["token_file"].as_str().map(str::to_owned);
    let file = host.logged().iter().find_map(said).unwrap();
    assert_eq!((mode(&file), host.token().len()), (0o600, 64));
    assert!(!host.logged().iter().any(|line| line.to_string().contains(&host.token())));
    let (code, out, said) = run(&["pause", "--admin", &address]);
    assert_eq!((code, out.as_str()), (Some(0), "paused: print_ops\n"), "{said}");
    // As another user would have it, who has another directory.
    let nowhere = tempfile::tempdir().unwrap();
    let asked = ["pause", "--admin", &address, "--log-format", "text"];
    let mut other = Host::start_in(&asked, &[("XDG_RUNTIME_DIR", nowhere.path().to_str().unwrap())]);
    let (code, said) = other.ended();
    assert_eq!(code, Some(1));
    assert!(said.iter().any(|line| message(line).contains("a token is needed")), "{said:?}");
    assert_eq!(host.stop().0, Some(0));
    assert!(!Path::new(&file).exists());
}

#[tokio::test]
async fn whoever_steers_a_host_is_recorded_whatever_is_logged() {
    let server = Server::ready().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("p.wasm");
    put(plugin("print_ops"), &file);
    let config = directory.path().join("gtm.toml");
    let settings = |grants: &str| {
        let text = format!("[plugins.p]\npath = \"p.wasm\"\n[plugins.p.grants]\n{grants}\n");
        std::fs::write(&config, text).unwrap();
    };
    settings("");
    let name = ObjectId::new().to_hex();
    let config = config.to_str().unwrap().to_owned();
    let arguments = ["--config", &config, "--uri", server.uri(), "--name", &name, "--log", "error"];
    let mut host =
        Host::start(&[&arguments[..], &["--admin", "127.0.0.1:0", "--admin-token", "s3cret"]].concat());
    // With this filter, nothing says when it is there, and where it listens.
    let deadline = Instant::now() + LIMIT;
    while run(&["pause", "--name", &name]).0 != Some(0) {
        assert!(Instant::now() < deadline, "no host answers");
    }
    let user = own_user();
    let line = host.wait_for("audit.pause", &[("outcome", "done")]);
    assert_eq!(
        (&line["target"], &line["level"], &line["via"], &line["user"], &line["plugin"]),
        (&json!("gtm_host::audit"), &json!("INFO"), &json!("socket"), &json!(user), &json!("p"))
    );
    run(&["resume", "--name", &name, "--plugin", "q"]);
    run(&["seek", "-1s", "--name", &name]);
    host.wait_for("audit.seek", &[("outcome", "done")]);
    run(&["swap", "p", "/dev/null", "--name", &name]);
    put_another("print_ops", 1, &file);
    host.wait_for("audit.swap", &[("outcome", "done")]);
    settings("mail = { to = [\"*@example.com\"] }");
    host.signal(nix::sys::signal::Signal::SIGHUP);
    host.wait_for("audit.grant", &[]);
    let log = host.logged();
    for (action, fields) in [
        ("audit.resume", json!({ "outcome": "refused", "plugin": "q", "via": "socket", "user": user })),
        ("audit.seek", json!({ "detail": "-1s", "via": "socket" })),
        ("audit.swap", json!({ "outcome": "refused", "detail": "/dev/null", "via": "socket" })),
        ("audit.swap", json!({ "outcome": "done", "plugin": "p", "via": "file-watch" })),
        (
            "audit.grant",
            json!({ "plugin": "p", "via": "sighup", "detail": "mail: granted, from any address, to *@example.com, at most 600 a minute" }),
        ),
    ] {
        assert!(recorded(log, action, &fields), "{action} {fields}");
    }
    host.signal(nix::sys::signal::Signal::SIGTERM);
    let (code, log) = host.all();
    assert_eq!((code, audit(&log).len()), (Some(0), log.len()), "nothing else is logged: {log:?}");
}

#[tokio::test]
async fn what_a_client_told_that_has_left_is_done_and_recorded_and_one_swap_at_a_time() {
    let server = Server::ready().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    put(plugin("print_ops"), at("p.wasm").as_ref());
    put_another("print_ops", 1, at("other.wasm").as_ref());
    let (file, cache) = (at("p.wasm"), at("cache"));
    let mut host = Host::tailing(&["--plugin", &file, "--uri", server.uri(), "--cache-dir", &cache]);
    let socket = host.socket();
    let swap = |file: &str| format!("POST /swap?plugin=p&file={}", at(file));
    // A swap waits for its turn to compile.
    let turn = std::fs::File::options().write(true).open(format!("{cache}/compiled/lock")).unwrap();
    turn.lock().unwrap();
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream.write_all(format!("{} HTTP/1.1\r\nHost: x\r\n\r\n", swap("other.wasm")).as_bytes()).unwrap();
    host.wait_for("plugin.swap_start", &[]);
    drop(stream);
    for _ in 0..3 {
        let (status, said) = ask(&socket, &swap("other.wasm"));
        assert_eq!((status, said.contains("another swap is under way")), (409, true), "{said}");
        host.wait_for("audit.swap", &[("outcome", "refused")]);
    }
    turn.unlock().unwrap();
    let done = host.wait_for("audit.swap", &[("outcome", "done")]);
    assert_eq!((&done["plugin"], &done["via"]), (&json!("p"), &json!("socket")));
    let (status, said) = ask(&socket, &swap("p.wasm"));
    assert_eq!(status, 200, "{said}");
    assert_eq!(host.stop().0, Some(0));
}

#[tokio::test]
async fn whoever_steers_by_tcp_is_recorded_by_the_address() {
    let server = Server::ready().unwrap();
    let print_ops = plugin("print_ops");
    let mut host = Host::tailing(&["--plugin", &print_ops, "--uri", server.uri(), "--admin", "127.0.0.1:0"]);
    assert_eq!(run(&["pause", "--admin", &host.address()]).0, Some(0));
    let line = host.wait_until("the pause", |line| line["target"] == "gtm_host::audit");
    assert_eq!(
        (&line["event"], &line["via"], line.get("user")),
        (&json!("audit.pause"), &json!("tcp"), None)
    );
    assert_eq!(message(&line), "pause");
    assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    assert_eq!(host.stop().0, Some(0));
    // A filter that names the target is believed.
    let arguments = ["--plugin", &print_ops, "--uri", server.uri(), "--admin", "127.0.0.1:0"];
    let host = Host::tailing(&[&arguments[..], &["--log", "info,gtm_host::audit=off"]].concat());
    assert_eq!(run(&["pause", "--admin", &host.address()]).0, Some(0));
    let (code, log) = host.stop();
    assert_eq!((code, audit(&log).len()), (Some(0), 0));
}

#[tokio::test]
async fn requests_that_are_not_let_in_are_recorded_and_a_flood_of_them_is_counted() {
    const FLOOD: usize = 200;
    let server = Server::ready().unwrap();
    let print_ops = plugin("print_ops");
    let how = ["--admin", "127.0.0.1:0", "--admin-token", "s3cret"];
    let mut host = Host::tailing(&[&["--plugin", &print_ops, "--uri", server.uri()][..], &how].concat());
    let address = host.address();
    let ask = |request: &str, token: &str| {
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        let request = format!("{request} HTTP/1.1\r\nHost: x\r\n{token}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    };
    let is_request = |line: &Value| line["event"] == "audit.request";
    ask("POST /pause?plugin=s3cre", "");
    let line = host.wait_until("no token", is_request);
    assert_eq!(
        (&line["target"], &line["outcome"], &line["via"], &line["detail"], line.get("plugin")),
        (&json!("gtm_host::audit"), &json!("refused"), &json!("tcp"), &json!("POST /pause"), None)
    );
    assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    assert!(line["reason"].as_str().unwrap().starts_with("a token is needed"), "{line}");
    let started = Instant::now();
    for _ in 0..FLOOD {
        ask("GET /metrics", "Authorization: Bearer gu3ss\r\n");
    }
    let minutes = usize::try_from(started.elapsed().as_secs() / 60).unwrap() + 1;
    host.wait_for("audit.leave_out", &[]);
    host.signal(nix::sys::signal::Signal::SIGTERM);
    let (code, log) = host.all();
    let recorded = audit(&log).into_iter().filter(|line| is_request(line)).count();
    let left_out: u64 = log.iter().filter_map(|line| line["left_out"].as_u64()).sum();
    assert!(recorded <= 60 * (minutes + 1), "{recorded} in {minutes} minutes");
    assert_eq!((code, recorded + usize::try_from(left_out).unwrap()), (Some(0), FLOOD + 1));
    let said = format!("{log:?}");
    assert!(!said.contains("gu3ss") && !said.contains("s3cre"), "{said}");
}

#[tokio::test]
async fn a_swap_from_elsewhere_is_refused_with_the_places_that_swaps_take_files_from() {
    let server = Server::ready().unwrap();
    let (own, named, elsewhere) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (file, other) = (own.path().join("p.wasm"), elsewhere.path().join("p.wasm"));
    [&file, &other].iter().for_each(|to| put(plugin("print_ops"), to));
    let (name, path) = (ObjectId::new().to_hex(), file.to_str().unwrap());
    // The command may run in another directory than the host, which runs in this one.
    let swap_from = ["--admin-swap-from", named.path().to_str().unwrap(), "--admin-swap-from", "src"];
    let mut host = Host::start(
        &[&["--plugin", path, "--uri", server.uri(), "--name", &name, "--log", "info"], &swap_from[..]]
            .concat(),
    );
    host.wait_for("source.tail", &[]);
    let swap = |file: &Path| run(&["swap", "p", file.to_str().unwrap(), "--name", &name]);
    let (code, _, said) = swap(&other);
    let places = format!(
        "is at {}, and swaps take files only from {}, {} (with its subdirectories) and {} (with its subdirectories)",
        other.canonicalize().unwrap().display(),
        own.path().display(),
        named.path().display(),
        std::env::current_dir().unwrap().join("src").display()
    );
    assert!(code == Some(1) && said.contains(&format!("{places}. help: ")), "{said}");
    // The command sees a missing file itself.
    let missing = format!("POST /swap?plugin=p&file={}/missing.wasm", elsewhere.path().display());
    let (status, said) = ask(&host.socket(), &missing);
    assert!(status == 409 && said.contains("missing.wasm cannot be read: No such file"), "{said}");
    let (code, log) = host.stop();
    assert_eq!(code, Some(0));
    let refused = |reason: &str| {
        audit(&log).iter().any(|line| line["reason"].as_str().is_some_and(|said| said.contains(reason)))
    };
    let places = places.trim_end_matches(". help: ");
    assert!(refused(places) && refused("No such file"), "{log:?}");
}

#[tokio::test]
async fn a_plugin_that_is_pinned_stays_the_version_that_it_is() {
    let server = Server::ready().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("p.wasm");
    put(plugin("print_ops"), &file);
    let path = file.to_str().unwrap();
    let digest = |path: &str| {
        let (_, out, said) = run(&["check", path, "--output", "json"]);
        let checked: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{said}"));
        checked["sha256"].as_str().unwrap().to_owned()
    };
    let pin = digest(path);
    assert!(run(&["check", path]).1.contains(&format!("\n  sha256         {pin}\n")));
    let (pinned, other) = (format!("{path}@sha256:{pin}"), "0".repeat(64));
    let said = error_of(&["-p", &format!("{path}@sha256:{other}"), "--uri", "mongodb://127.0.0.1:1/"]);
    assert!(said.contains(&format!("pinned to the SHA-256 {other}")) && said.contains(&pin), "{said}");
    let (code, _, said) = run(&["-p", &format!("{path}@sha256:12"), "--uri", "mongodb://127.0.0.1:1/"]);
    assert_eq!((code, said.contains("64 hexadecimal digits")), (Some(2), true), "{said}");

    let name = ObjectId::new().to_hex();
    let mut host = Host::start(&["--plugin", &pinned, "--uri", server.uri(), "--name", &name]);
    host.wait_for("source.tail", &[]);
    let version = || {
        let (_, out, said) = run(&["status", "--name", &name, "--output", "json"]);
        let status: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{said}"));
        status["plugins"][0]["version"].as_str().unwrap().to_owned()
    };
    let before = version();
    assert!(before.ends_with(&pin[..12]), "{before}");
    // By its file, and by hand.
    let second = directory.path().join("second.wasm");
    put_another("print_ops", 1, &second);
    put_another("print_ops", 1, &file);
    let line = host.wait_for("plugin.swap_failed", &[]);
    assert!(log::field(&line, "error").contains("is pinned to the SHA-256"), "{line}");
    let (code, _, said) = run(&["swap", "p", second.to_str().unwrap(), "--name", &name]);
    assert_eq!((code, said.contains("is pinned to the SHA-256")), (Some(1), true), "{said}");
    assert_eq!(version(), before);
    assert_eq!(host.stop().0, Some(0));

    // By the settings: another digest lets another version in, and a wrong one nothing.
    let config = directory.path().join("gtm.toml");
    let set = |digest: &str| {
        std::fs::write(&config, format!("[plugins.p]\npath = \"p.wasm\"\nsha256 = \"{digest}\"\n")).unwrap();
    };
    let (first, next) = (digest(path), digest(&plugin("print_ops")));
    set(&first);
    let config = config.to_str().unwrap().to_owned();
    let mut host = Host::start(&["--config", &config, "--uri", server.uri(), "--name", &name]);
    host.wait_for("source.tail", &[]);
    let before = version();
    set(&other);
    host.signal(nix::sys::signal::Signal::SIGHUP);
    host.wait_for("plugin.swap_failed", &[]);
    assert_eq!(version(), before);
    put(plugin("print_ops"), &file);
    host.wait_for("plugin.swap_failed", &[]);
    set(&next);
    host.signal(nix::sys::signal::Signal::SIGHUP);
    host.wait_for("plugin.swap", &[]);
    assert!(version().ends_with(&next[..12]));
    assert_eq!(host.stop().0, Some(0));
}
