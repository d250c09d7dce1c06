//! Connections to servers that are granted, and to others.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bson::doc;
use serde_json::Value;

use super::Errands;
use crate::log;
use crate::support::{eventually, plugin, run, scaled};

/// A server that echoes what it receives, sends nothing, or sends without end.
pub struct Peer {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

#[derive(Clone, Copy)]
pub enum Manner {
    Echoes,
    IsSilent,
    NeverStops,
}

impl Peer {
    pub fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, connections) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
        let counted = Arc::clone(&connections);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    let mut bytes = vec![b'x'; 64 << 10];
                    match manner {
                        Manner::Echoes => {
                            while let Ok(length @ 1..) = stream.read(&mut bytes) {
                                if stream.write_all(&bytes[..length]).is_err() {
                                    break;
                                }
                            }
                        }
                        Manner::IsSilent => while let Ok(1..) = stream.read(&mut bytes) {},
                        Manner::NeverStops => while stream.write_all(&bytes).is_ok() {},
                    }
                });
            }
        });
        Self { address, connections }
    }

    fn port(&self) -> u16 {
        self.address.port()
    }

    fn to(&self) -> String {
        self.address.to_string()
    }

    fn grant(&self) -> String {
        format!("tcp={}", self.address)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Waits until the host has logged why a server is not reached. It logs each reason once.
fn wait_for_reason(errands: &mut Errands, part: &str) {
    let has_it = |line: &Value| log::error(line).contains(part);
    if !errands.host.logged().iter().any(has_it) {
        errands.host.wait_until(part, has_it);
    }
}

#[tokio::test]
async fn a_server_that_is_granted_is_reached_and_the_connection_stays_open() {
    let peer = Peer::start(Manner::Echoes);
    let how = ["--delivery-lanes", "1", "--admin", "127.0.0.1:0"];
    let mut errands = Errands::with(&[&peer.grant()], &how, &[]).await;
    let talk = doc! { "do": "talk", "to": peer.to(), "send": "hello", "read": 5, "keep": true };
    assert_eq!(errands.run(talk).await, "ok hello");
    for n in 0..3 {
        let again = doc! { "do": "talk", "send": format!("again{n}"), "read": 6, "keep": true };
        assert_eq!(errands.run(again).await, format!("ok again{n}"));
    }
    assert_eq!(peer.connections(), 1, "one connection for all ops of the instance");
    // More than the kernel takes at a time, in both directions.
    let large = doc! { "do": "talk", "to": peer.to(), "send_bytes": 100_000, "read": 100_000 };
    assert_eq!(errands.run(large).await, "ok 100000 bytes");
    let status = errands.host.status();
    assert_eq!(status["plugins"][0]["usage"]["connections"]["made"], 2, "{status}");
}

#[tokio::test]
async fn a_server_that_is_not_granted_is_never_reached() {
    let (peer, granted) = (Peer::start(Manner::Echoes), Peer::start(Manner::Echoes));
    let (port, any) = (peer.port(), format!("tcp=*:{}", peer.port()));
    let mut errands = Errands::granted(&[&granted.grant(), &any]).await;
    // By name, and by address in all its forms: none of them is public.
    for host in ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]"]
    {
        let said = errands.run(doc! { "do": "talk", "to": format!("{host}:{port}") }).await;
        assert!(said.starts_with("error "), "{host}: {said}");
    }
    wait_for_reason(&mut errands, "localhost is at ");
    wait_for_reason(
        &mut errands,
        "which is not a public address. help: grant the server with tcp-private in place of tcp",
    );
    for to in [format!("169.254.169.254:{port}"), format!("0.0.0.0:{port}")] {
        assert!(errands.run(doc! { "do": "talk", "to": to }).await.starts_with("error "));
    }
    // At another port, and by no grant at all.
    for to in ["127.0.0.1:1", "10.0.0.1:5432", "[fd00::1]:5432"] {
        assert!(errands.run(doc! { "do": "talk", "to": to }).await.starts_with("error "));
        wait_for_reason(&mut errands, &format!("tcp to {to} is not granted to the plugin errand"));
    }
    wait_for_reason(
        &mut errands,
        "help: pass --grant errand:tcp=10.0.0.1:5432, or set tcp = [\"10.0.0.1:5432\"] under [plugins.errand.grants]",
    );
    assert_eq!((peer.connections(), granted.connections()), (0, 0));
    assert!(
        errands
            .run(doc! { "do": "talk", "to": granted.to(), "send": "x", "read": 1 })
            .await
            .starts_with("ok x")
    );
}

#[tokio::test]
async fn a_name_is_resolved_if_it_is_granted_and_leads_to_its_own_addresses_only() {
    let peer = Peer::start(Manner::Echoes);
    let port = peer.port();
    let mut errands =
        Errands::with(&[&format!("tcp=localhost:{port}")], &["--delivery-lanes", "1"], &[]).await;
    let said = errands.run(doc! { "do": "resolve", "name": "example.com" }).await;
    assert!(said.starts_with("error "), "{said}");
    wait_for_reason(
        &mut errands,
        "tcp to example.com is not granted to the plugin errand. help: pass --grant errand:tcp=example.com:PORT",
    );
    // The name is granted, and the instance has not resolved it yet: the address alone is not.
    assert!(
        errands.run(doc! { "do": "talk", "to": format!("127.0.0.1:{port}") }).await.starts_with("error ")
    );
    let said = errands.run(doc! { "do": "resolve", "name": "LOCALHOST." }).await;
    assert!(said.starts_with("ok ") && said.contains("127.0.0.1"), "{said}");
    for (to, is_reached) in [
        (format!("localhost:{port}"), true),
        (format!("127.0.0.1:{port}"), true),
        (format!("127.0.0.2:{port}"), false),
        ("localhost:1".to_owned(), false),
    ] {
        let said = errands.run(doc! { "do": "talk", "to": &to, "send": "x", "read": 1 }).await;
        assert_eq!(said.starts_with("ok x"), is_reached, "{to}: {said}");
    }
    for name in ["", "a b", "a..b", &"a".repeat(300), "ä.example"] {
        assert!(errands.run(doc! { "do": "resolve", "name": name }).await.starts_with("error "), "{name}");
    }
}

#[tokio::test]
async fn a_private_address_is_reached_when_that_is_granted() {
    let peer = Peer::start(Manner::Echoes);
    let mut errands = Errands::granted(&[&format!("tcp-private=*:{}", peer.port())]).await;
    for host in ["127.1", "127.0.0.1", "localhost"] {
        let to = format!("{host}:{}", peer.port());
        assert_eq!(errands.run(doc! { "do": "talk", "to": to, "send": "x", "read": 1 }).await, "ok x");
    }
}

#[tokio::test]
async fn a_plugin_cannot_connect_to_its_own_host() {
    let admin = format!("127.0.0.1:{}", gtm_test_support::free_port().unwrap());
    let port = admin.rsplit(':').next().unwrap().to_owned();
    let grants = [format!("tcp={admin}"), format!("tcp=localhost:{port}"), format!("tcp-private=*:{port}")];
    let grants: Vec<_> = grants.iter().map(String::as_str).collect();
    let mut errands = Errands::with(&grants, &["--admin", &admin], &[]).await;
    for host in ["127.0.0.1", "localhost", "127.1"] {
        let to = format!("{host}:{port}");
        let said = errands
            .run(doc! { "do": "talk", "to": to, "send": "GET /health HTTP/1.0\r\n\r\n", "read": 1 })
            .await;
        assert!(said.starts_with("error "), "{host}: {said}");
    }
    wait_for_reason(&mut errands, "is this gtm-host itself");
}

#[tokio::test]
async fn a_plugin_serves_no_connections() {
    let mut errands = Errands::granted(&["tcp-private=*:1", "tcp=127.0.0.1:1"]).await;
    for at in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
        let said = errands.run(doc! { "do": "listen", "at": at }).await;
        assert!(said.starts_with("error "), "{said}");
    }
}

#[tokio::test]
async fn sockets_are_bounded_and_freed() {
    let peer = Peer::start(Manner::Echoes);
    let how = ["--delivery-lanes", "1", "--log", "info,gtm_runtime=debug"];
    let mut errands = Errands::with(&[&peer.grant()], &how, &[]).await;
    for _ in 0..2 {
        let said = errands.run(doc! { "do": "sockets", "to": peer.to(), "count": 10_000 }).await;
        assert!(said.starts_with("ok 16 "), "{said}");
    }
    // The peer accepts a little later than the plugin connects.
    eventually("each has connected", async || peer.connections() >= 32).await;
    assert_eq!(peer.connections(), 32);
    let failed =
        errands.host.logged().iter().find(|line| log::is_event(line, "tcp.connect_failed", &[])).unwrap();
    assert!(
        log::error(failed).contains("holds 16 sockets, the maximum. help: raise --limits-tcp-sockets"),
        "{failed}"
    );
    assert_eq!(errands.run(doc! { "do": "talk", "to": peer.to(), "send": "x", "read": 1 }).await, "ok x");
}

#[tokio::test]
async fn a_peer_that_never_answers_costs_one_call() {
    let (silent, peer) = (Peer::start(Manner::IsSilent), Peer::start(Manner::Echoes));
    let limit = format!("{}ms", scaled(1000));
    let how = ["--limits-handle-timeout", &limit, "--retry-max-attempts", "1"];
    let mut errands = Errands::with(&[&silent.grant(), &peer.grant()], &how, &[]).await;
    for errand in [
        doc! { "_id": "read", "do": "talk", "to": silent.to(), "read": 1 },
        doc! { "_id": "again", "do": "talk", "to": silent.to(), "send": "x", "read": -1 },
    ] {
        errands.own.collection("errands").insert_one(errand).await.unwrap();
        let line = errands.host.wait_for("op.give_up", &[]);
        assert!(log::error(&line).contains("handle took longer than"), "{line}");
    }
    assert_eq!(errands.run(doc! { "do": "talk", "to": peer.to(), "send": "x", "read": 1 }).await, "ok x");
}

#[tokio::test]
async fn a_peer_that_never_stops_fills_the_plugin_and_not_the_host() {
    let (endless, peer) = (Peer::start(Manner::NeverStops), Peer::start(Manner::Echoes));
    let how = ["--limits-memory", "64MiB"];
    let mut errands = Errands::with(&[&endless.grant(), &peer.grant()], &how, &[]).await;
    let some = doc! { "do": "talk", "to": endless.to(), "read": 8 << 20 };
    assert_eq!(errands.run(some).await, format!("ok {} bytes", 8 << 20));
    let all = doc! { "do": "talk", "to": endless.to(), "read": -1 };
    assert_eq!(errands.run(all).await, "error out of memory");
    assert_eq!(errands.run(doc! { "do": "talk", "to": peer.to(), "send": "x", "read": 1 }).await, "ok x");
}

#[tokio::test]
async fn a_dry_run_records_a_connection_and_makes_none() {
    let peer = Peer::start(Manner::Echoes);
    let mut errands =
        Errands::with(&[&peer.grant(), "tls=redis.example.com:6379"], &["--dry-run"], &[]).await;
    for (to, server, tls) in [
        (peer.to(), peer.to(), false),
        ("redis.example.com:6379".to_owned(), "redis.example.com:6379".to_owned(), true),
    ] {
        let said = errands.run(doc! { "do": "talk", "to": to, "send": "x", "read": 1 }).await;
        assert!(said.starts_with("error "), "{said}");
        let effect = format!("{{\"connect\":\"{server}\",\"tls\":{tls},\"answered\":\"refused\"}}");
        let is_recorded = |line: &Value| {
            log::is_event(line, "dry_run.record", &[("capability", "tcp")])
                && log::field(line, "effect") == effect
        };
        assert!(errands.host.logged().iter().any(is_recorded), "{effect}");
    }
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn a_filter_connects_nowhere_whatever_is_granted() {
    let peer = Peer::start(Manner::Echoes);
    let mut errands = Errands::granted(&[&peer.grant(), &format!("tcp=localhost:{}", peer.port())]).await;
    for to in [peer.to(), format!("localhost:{}", peer.port())] {
        let said = errands.run(doc! { "do": "talk", "to": to, "in_filter": true }).await;
        assert!(said.starts_with("error "), "{said}");
    }
    assert_eq!(peer.connections(), 0);
}

#[test]
fn check_shows_that_a_plugin_may_connect() {
    let errand = plugin("errand");
    let (code, text, _) = run(&["check", &errand]);
    assert!(code == Some(0) && text.contains("tcp: not granted"), "{text}");
    let (_, text, _) = run(&[
        "check",
        &errand,
        "--grant",
        "tcp=redis.example.com:6379",
        "--grant",
        "tls-private=db.internal:5432",
    ]);
    assert!(
        text.contains(
            "tcp: granted redis.example.com:6379, db.internal:5432 (by TLS) (private addresses too)"
        ),
        "{text}"
    );
    let (_, text, _) = run(&["check", &plugin("trivial")]);
    assert!(text.contains("asks for       nothing"), "{text}");
    let (code, _, error) = run(&["check", &errand, "--grant", "tcp=redis.example.com"]);
    assert!(code == Some(2) && error.contains("always with a port"), "{error}");
}
