//! Real databases that plugins reach by TCP: Redis, and PostgreSQL.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bson::doc;
use gtm_test_support::{Process, Server, free_port, languages};
use tempfile::TempDir;

use super::Errands;
use crate::log;
use crate::support::{Database, Host, eventually, plugin};

const START_TIMEOUT: Duration = Duration::from_secs(120);

/// The user nobody: PostgreSQL refuses to run as root.
const NOBODY: u32 = 65534;

/// A program of a Debian package. None: it is not here, which only a person's machine may lack.
fn program(name: &str, package: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).flat_map(|directory| {
        // Debian has the server of PostgreSQL in a folder of its version.
        let versions = directory.join("../lib/postgresql").read_dir().into_iter().flatten().flatten();
        let versions: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
        [directory].into_iter().chain(versions)
    });
    let found = directories.map(|directory| directory.join(name)).find(|program| program.is_file());
    if found.is_none() {
        let missing = format!("{name} is missing. Install it (on Debian, the package {package} has it)");
        assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "{missing}");
        std::io::stderr().write_all(format!("left out: {missing}\n").as_bytes()).unwrap();
    }
    found
}

/// A command with the libraries beside the program, if it was taken out of its package.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    let is_system = program.starts_with("/usr/bin") || program.starts_with("/usr/lib");
    if let Some(usr) = program.ancestors().find(|folder| folder.ends_with("usr")).filter(|_| !is_system) {
        command.env("LD_LIBRARY_PATH", usr.join(format!("lib/{}-linux-gnu", std::env::consts::ARCH)));
    }
    command
}

struct Redis {
    port: u16,
    _process: Process,
    _data: TempDir,
}

impl Redis {
    fn start(tls: bool) -> Option<Self> {
        let redis = program("redis-server", "redis-server")?;
        let (port, plain, data) = (free_port().unwrap(), free_port().unwrap(), tempfile::tempdir().unwrap());
        let mut command = command(&redis);
        command.args(["--bind", "127.0.0.1", "--save", "", "--dir"]).arg(data.path());
        command.args(["--loglevel", "warning", "--port", &(if tls { plain } else { port }).to_string()]);
        if tls {
            command.args(["--tls-port", &port.to_string(), "--tls-auth-clients", "no"]);
            for (option, file) in [
                ("--tls-ca-cert-file", "ca.pem"),
                ("--tls-cert-file", "server.pem"),
                ("--tls-key-file", "server.key"),
            ] {
                command.arg(option).arg(certificate(file));
            }
        }
        let mut process = Process::start("redis-server", &mut command).unwrap();
        process.wait_for_port(port, START_TIMEOUT).unwrap();
        let port_of_reads = if tls { plain } else { port };
        process.wait_for_port(port_of_reads, START_TIMEOUT).unwrap();
        Some(Self { port, _process: process, _data: data })
    }
}

/// A file of the tests' own certificates, which are valid for localhost.
fn certificate(name: &str) -> PathBuf {
    gtm_test_support::root().join("host/tests/tls").join(name)
}

/// Returns the reply to a command of Redis without spaces in its words.
fn ask(port: u16, words: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(format!("{words}\r\nQUIT\r\n").as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

/// A host with a plugin, and the database whose collection `things` it follows.
async fn host(plugin: &str, more: &[&str], environment: &[(&str, &str)]) -> (Host, Database, Server) {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let namespace = format!("namespace={}.things", own.name);
    let arguments = ["--plugin", plugin, "--uri", server.uri(), "--set", &namespace];
    let how = ["--admin", "127.0.0.1:0", "--delivery-lanes", "1"];
    let mut host = Host::start_in(&[&arguments[..], &how, more].concat(), environment);
    host.wait_for("source.tail", &[]);
    (host, own, server)
}

/// Waits until the plugin has handled so many ops.
async fn handled(host: &Host, count: u64) {
    eventually("all ops are handled", async || host.status()["plugins"][0]["counts"]["handled"] == count)
        .await;
}

#[tokio::test]
async fn a_plugin_in_rust_keeps_documents_in_redis() {
    let Some(redis) = Redis::start(false) else { return };
    let (setting, grant) =
        (format!("server=localhost:{}", redis.port), format!("tcp=localhost:{}", redis.port));
    let more = ["--set", &setting, "--grant", &grant];
    let (host, own, _server) = host(&plugin("keep_in_redis"), &more, &[]).await;
    let things = own.collection("things");
    things.insert_many((0..20).map(|n| doc! { "_id": n, "name": "Ada" })).await.unwrap();
    things.update_one(doc! { "_id": 7 }, doc! { "$set": { "name": "Grace" } }).await.unwrap();
    things.delete_one(doc! { "_id": 8 }).await.unwrap();
    handled(&host, 22).await;
    assert!(
        ask(redis.port, &format!("GET {}.things:7", own.name)).contains("{\"_id\":7,\"name\":\"Grace\"}")
    );
    assert!(ask(redis.port, "DBSIZE").starts_with(":19\r\n"));
    let status = host.status();
    assert_eq!(status["plugins"][0]["usage"]["connections"]["made"], 1, "{status}");
    assert_eq!(host.stop().0, Some(0));
}

#[tokio::test]
async fn a_server_without_memory_is_asked_again() {
    let Some(redis) = Redis::start(false) else { return };
    assert!(ask(redis.port, "CONFIG SET maxmemory-policy noeviction").starts_with("+OK"));
    // Less than the server itself needs.
    assert!(ask(redis.port, "CONFIG SET maxmemory 1").starts_with("+OK"));
    let (setting, grant) =
        (format!("server=localhost:{}", redis.port), format!("tcp=localhost:{}", redis.port));
    let more = ["--set", &setting, "--grant", &grant];
    let (mut host, own, _server) = host(&plugin("keep_in_redis"), &more, &[]).await;
    own.collection("things").insert_one(doc! { "_id": 1 }).await.unwrap();
    let retry = host.wait_for("op.retry", &[("plugin", "keep_in_redis")]);
    assert!(log::error(&retry).contains(": OOM "), "{retry}");
    assert!(ask(redis.port, "CONFIG SET maxmemory 0").starts_with("+OK"));
    handled(&host, 1).await;
    assert!(ask(redis.port, &format!("GET {}.things:1", own.name)).contains("{\"_id\":1}"));
    assert_eq!(host.stop().0, Some(0));
}

#[tokio::test]
async fn the_host_speaks_tls_for_a_plugin() {
    let Some(redis) = Redis::start(true) else { return };
    let (setting, grant) =
        (format!("server=localhost:{}", redis.port), format!("tls=localhost:{}", redis.port));
    let more = ["--set", &setting, "--grant", &grant, "--log", "info,gtm_runtime=debug"];
    let roots = certificate("ca.pem");
    let trusted = [("SSL_CERT_FILE", roots.to_str().unwrap())];
    let (trusting, own, _server) = host(&plugin("keep_in_redis"), &more, &trusted).await;
    let large = "x".repeat(1 << 20);
    let documents = (0..20).map(|n| doc! { "_id": n, "text": if n % 2 == 0 { &large } else { "" } });
    own.collection("things").insert_many(documents).await.unwrap();
    handled(&trusting, 20).await;
    assert_eq!(trusting.status()["plugins"][0]["usage"]["connections"]["made"], 1);
    assert_eq!(trusting.stop().0, Some(0));
    // A certificate of somebody else.
    let (mut wary, own, _server) = host(&plugin("keep_in_redis"), &more, &[]).await;
    own.collection("things").insert_one(doc! { "_id": 1 }).await.unwrap();
    wary.wait_until("the certificate is refused", |line| {
        log::is_event(line, "tcp.connect_failed", &[])
            && log::error(line).contains("TLS: invalid peer certificate")
    });
}

#[tokio::test]
async fn a_server_that_ends_a_connection_with_tls_is_told_from_one_that_dies() {
    let Some(redis) = Redis::start(true) else { return };
    let to = format!("localhost:{}", redis.port);
    let roots = certificate("ca.pem");
    let trusted = [("SSL_CERT_FILE", roots.to_str().unwrap())];
    let how = ["--delivery-lanes", "1"];
    let mut errands = Errands::with(&[&format!("tls={to}")], &how, &trusted).await;
    let quit = doc! { "do": "talk", "to": &to, "send": "QUIT\r\n", "read": -1 };
    assert_eq!(errands.run(quit).await, "ok +OK");
    let ping = doc! { "do": "talk", "to": &to, "send": "PING\r\n", "read": 7, "keep": true };
    assert_eq!(errands.run(ping).await, "ok +PONG");
    drop(redis);
    // Without the notice of TLS, somebody else may have cut the answer short.
    let cut_short = errands.run(doc! { "do": "talk", "read": -1 }).await;
    assert!(cut_short.starts_with("error "), "{cut_short}");
}

struct Postgres {
    port: u16,
    _process: Process,
    _data: TempDir,
}

impl Postgres {
    fn start() -> Option<Self> {
        let (initdb, postgres) = (program("initdb", "postgresql")?, program("postgres", "postgresql")?);
        let (port, data) = (free_port().unwrap(), tempfile::tempdir().unwrap());
        // As the owner of a new directory.
        let is_root = std::fs::metadata(data.path()).unwrap().uid() == 0;
        let owned = |path: &Path| {
            if is_root {
                std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        };
        let as_user = |program: &Path| {
            let mut command = command(program);
            if is_root {
                command.uid(NOBODY).gid(NOBODY);
            }
            command.current_dir("/");
            command
        };
        let password = data.path().join("password");
        std::fs::write(&password, "s3cret").unwrap();
        owned(data.path());
        owned(&password);
        let directory = data.path().join("data");
        let mut command = as_user(&initdb);
        command.arg("--pgdata").arg(&directory).arg("--pwfile").arg(&password);
        command.args([
            "--username",
            "gtm",
            "--auth",
            "scram-sha-256",
            "--no-sync",
            "--locale",
            "C",
            "--encoding",
            "UTF8",
        ]);
        let made = command.output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let mut command = as_user(&postgres);
        command.arg("-D").arg(&directory).args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
        command.args(["-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "log_min_messages=fatal"]);
        let mut process = Process::start("postgres", &mut command).unwrap();
        process.wait_for_port(port, START_TIMEOUT).unwrap();
        Some(Self { port, _process: process, _data: data })
    }
}

#[tokio::test]
async fn a_plugin_in_python_writes_rows_to_postgresql() {
    if crate::languages::built("python").is_none() {
        return;
    }
    let Some(postgres) = Postgres::start() else { return };
    let folder = languages::rows_in_postgres();
    let plugin = folder.join("rows_in_postgres.wasm");
    let (port, grant) = (format!("port={}", postgres.port), format!("tcp=localhost:{}", postgres.port));
    let more = ["--set", &port, "--set", "user=gtm", "--set", "password=s3cret", "--grant", &grant];
    let (host, own, _server) = host(plugin.to_str().unwrap(), &more, &[]).await;
    let things = own.collection("things");
    things.insert_many((0..20).map(|n| doc! { "_id": n, "name": "Ada" })).await.unwrap();
    things.update_one(doc! { "_id": 7 }, doc! { "$set": { "name": "Grace" } }).await.unwrap();
    things.delete_one(doc! { "_id": 8 }).await.unwrap();
    handled(&host, 22).await;
    let select = format!(
        "import pg8000.native\nc = pg8000.native.Connection('gtm', host='127.0.0.1', port={}, database='postgres', password='s3cret', \
         ssl_context=False)\nprint(c.run('SELECT count(*), min(document->>''name''), max(document->>''name'') FROM documents'))",
        postgres.port
    )
    .replace("''", "\\'");
    let rows = Command::new(folder.join("venv/bin/python")).args(["-c", &select]).output().unwrap();
    let rows = String::from_utf8_lossy(&rows.stdout).into_owned() + &String::from_utf8_lossy(&rows.stderr);
    assert_eq!(rows.trim(), "[[19, 'Ada', 'Grace']]");
    assert_eq!(host.status()["plugins"][0]["usage"]["connections"]["made"], 1);
    assert_eq!(host.stop().0, Some(0));
}
