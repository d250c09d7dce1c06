//! What is seen of a running host: how far it is behind, whether its source answers, and what Prometheus reads.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bson::doc;
use gtm_delivery::{HostActivity, HostControl};
use gtm_host::admin::{Admin, AdminAddress, AdminClient};
use gtm_test_support::Server;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::log;
use crate::proxy::Proxy;
use crate::support::{Database, Host, LIMIT, create_oplog, plugin, run};

/// Waits until the status is as wanted, and returns it.
async fn status_until(host: &Host, what: &str, mut wanted: impl FnMut(&Value) -> bool) -> Value {
    let deadline = Instant::now() + LIMIT;
    loop {
        let status = host.status();
        if wanted(&status) {
            return status;
        }
        assert!(Instant::now() < deadline, "{what} does not come: {status:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Asks a host, and returns the status code, the content type and the body.
fn get(address: &str, path: &str, accept: Option<&str>) -> (u16, String, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut request = agent.get(format!("http://{address}{path}"));
    if let Some(accept) = accept {
        request = request.header("Accept", accept);
    }
    let mut answer = request.call().unwrap();
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    (answer.status().as_u16(), kind, answer.body_mut().read_to_string().unwrap())
}

fn ready(host: &Host) -> (u16, String) {
    let (code, _, body) = get(&host.address(), "/ready", None);
    (code, body)
}

/// Lag in seconds of the plugin at this place.
fn lag(status: &Value, index: usize) -> f64 {
    status["plugins"][index]["lagSeconds"].as_f64().unwrap_or(-1.0)
}

async fn write(own: &Database, seconds: std::ops::Range<u32>) {
    let entries = seconds.map(|time| {
        let ts = bson::Timestamp { time: 1_700_000_000 + time, increment: 1 };
        doc! { "op": "i", "ns": "a.b", "o": { "_id": time }, "ts": ts }
    });
    own.collection("oplog").insert_many(entries).await.unwrap();
}

#[tokio::test]
async fn a_paused_plugin_lags_behind_what_is_written_and_an_idle_one_does_not() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let oplog = create_oplog(&own, []).await;
    let (one, two) = (plugin("print_ops"), format!("two={}", plugin("print_ops")));
    let arguments =
        ["-p", &one, "-p", &two, "--uri", server.uri(), "--source-oplog", &oplog, "--start", "oldest"];
    let mut host = Host::start(&[&arguments[..], &["--admin", "127.0.0.1:0"]].concat());
    host.wait_for("source.tail", &[]);
    host.wait_for("source.tail", &[]);
    write(&own, 0..10).await;
    let is_idle = |status: &Value| lag(status, 0) == 0.0 && lag(status, 1) == 0.0;
    let all_handled = |status: &Value, count: u64| {
        [0, 1].iter().all(|index| status["plugins"][index]["counts"]["handled"] == count)
    };
    status_until(&host, "the first ops", |status| all_handled(status, 10) && is_idle(status)).await;

    assert_eq!(run(&["pause", "--plugin", "two", "--admin", &host.address()]).0, Some(0));
    // Everything that there is was done: it has nothing to catch up with, however long it is paused.
    let mut looks = 0;
    status_until(&host, "more looks", |status| {
        assert_eq!((&status["plugins"][1]["reader"], lag(status, 1)), (&json!("none"), 0.0), "{status:#}");
        looks += 1;
        looks > 5 && status["source"]["newestSeconds"] == 1_700_000_009
    })
    .await;
    write(&own, 10..20).await;
    let status = status_until(&host, "lag of the one that is paused", |status| {
        lag(status, 1) > 0.0 && status["plugins"][0]["counts"]["handled"] == 20
    })
    .await;
    assert_eq!(status["plugins"][1]["counts"]["handled"], 10);
    // At least by as much as the newest change is newer than its position.
    assert!(lag(&status, 1) >= 10.0, "{status:#}");
    status_until(&host, "no lag of the other", |status| lag(status, 0) == 0.0 && lag(status, 1) > 0.0).await;

    assert_eq!(run(&["resume", "--admin", &host.address()]).0, Some(0));
    status_until(&host, "no lag", |status| all_handled(status, 20) && is_idle(status)).await;
    assert_eq!(host.stop().0, Some(0));
}

#[tokio::test]
async fn a_change_stream_lags_while_it_is_paused_and_not_while_it_is_idle() {
    let server = Server::ready().unwrap();
    let (own, print_ops) = (Database::new(server.uri()).await, plugin("print_ops"));
    let arguments = ["--plugin", &print_ops, "--uri", server.uri(), "--source-kind", "change-stream"];
    let host = Host::tailing(&[&arguments[..], &["--admin", "127.0.0.1:0"]].concat());
    own.collection("things").insert_one(doc! { "_id": 1 }).await.unwrap();
    let is_idle = |status: &Value| status["source"]["newest"].is_string() && lag(status, 0) == 0.0;
    status_until(&host, "no lag", is_idle).await;
    assert_eq!(run(&["pause", "--admin", &host.address()]).0, Some(0));
    own.collection("things").insert_one(doc! { "_id": 2 }).await.unwrap();
    status_until(&host, "lag", |status| lag(status, 0) > 0.0).await;
    assert_eq!(run(&["resume", "--admin", &host.address()]).0, Some(0));
    status_until(&host, "no lag", is_idle).await;
    assert_eq!(host.stop().0, Some(0));
}

/// Waits until the lag of `misbehave` shows how long its only op has waited for its second attempt, while others write.
async fn lags_by_the_op_that_waits(arguments: &[&str]) {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let (misbehave, namespace) = (plugin("misbehave"), format!("misbehave:namespace={}.things", own.name));
    // What others write does not wait for the op.
    let how =
        ["--set", "misbehave:handle=retry", "--retry-initial-delay", "1h", "--delivery-ordering", "document"];
    let with = ["--plugin", &misbehave, "--uri", server.uri(), "--admin", "127.0.0.1:0", "--set", &namespace];
    let mut host = Host::tailing(&[&with[..], &how, arguments].concat());
    own.collection("things").insert_one(doc! { "_id": 1 }).await.unwrap();
    host.wait_for("op.retry", &[("plugin", "misbehave")]);
    let deadline = Instant::now() + LIMIT;
    // A read that found nothing shows for three seconds that there is nothing to do.
    while lag(&host.status(), 0) < 5.0 {
        assert!(Instant::now() < deadline, "the op waits, and there is no lag: {:#}", host.status());
        own.collection("others").insert_one(doc! {}).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (_, _, metrics) = get(&host.address(), "/metrics", None);
    let shown =
        metrics.lines().find_map(|line| line.strip_prefix("gtm_host_lag_seconds{plugin=\"misbehave\"} "));
    assert!(shown.is_some_and(|lag| lag.parse::<f64>().unwrap() >= 5.0), "{metrics}");
}

#[tokio::test]
async fn a_plugin_beside_others_lags_by_the_op_that_waits() {
    let print_ops = plugin("print_ops");
    lags_by_the_op_that_waits(&["--plugin", &print_ops, "--source-kind", "oplog"]).await;
}

#[tokio::test]
async fn a_plugin_alone_on_a_change_stream_lags_by_the_op_that_waits() {
    lags_by_the_op_that_waits(&["--source-kind", "change-stream"]).await;
}

#[tokio::test]
async fn a_server_that_is_away_is_seen_and_the_host_is_not_ready_after_a_while() {
    let mut server = Server::start(Default::default()).unwrap();
    let print_ops = plugin("print_ops");
    let arguments = ["--plugin", &print_ops, "--uri", server.uri(), "--admin", "127.0.0.1:0"];
    let patient = Host::tailing(&[&arguments[..], &["--admin-ready-grace", "1h"]].concat());
    let host = Host::tailing(&[&arguments[..], &["--admin-ready-grace", "1ms"]].concat());
    let connected = |status: &Value| status["source"]["state"] == "connected" && lag(status, 0) == 0.0;
    status_until(&host, "a connection", connected).await;
    status_until(&patient, "a connection", connected).await;
    assert_eq!(ready(&host), (200, "active\n".to_owned()));

    server.kill().unwrap();
    let away = |status: &Value| status["source"]["state"] == "reconnecting" && lag(status, 0) > 0.0;
    let status = status_until(&host, "the loss", away).await;
    assert!(status["source"]["lastError"].as_str().is_some_and(|error| !error.is_empty()), "{status:#}");
    assert_eq!(status["standing"], "active");
    let (code, said) = ready(&host);
    assert_eq!(code, 503);
    assert!(said.starts_with("active: reconnecting for ") && said.ends_with(" s\n"), "{said}");
    status_until(&patient, "the loss", away).await;
    assert_eq!(ready(&patient), (200, "active\n".to_owned()));
    let (_, shown, _) = run(&["status", "--admin", &host.address()]);
    assert!(shown.contains("\nsource: reconnecting since 2"), "{shown}");
    let (_, _, metrics) = get(&host.address(), "/metrics", None);
    assert!(metrics.contains("\ngtm_host_source_connected 0\n"), "{metrics}");

    server.restart().unwrap();
    let status = status_until(&host, "the server again", connected).await;
    assert_eq!(status["source"].get("lastError"), None, "{status:#}");
    assert_eq!(ready(&host), (200, "active\n".to_owned()));
    assert_eq!(host.stop().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_died_without_a_word_is_seen() {
    let server = Server::ready().unwrap();
    let (proxy, print_ops) = (Proxy::start(server.uri()).await, plugin("print_ops"));
    let arguments = ["--plugin", &print_ops, "--uri", proxy.uri(), "--admin", "127.0.0.1:0"];
    let host = Host::tailing(&arguments);
    status_until(&host, "a connection", |status| status["source"]["state"] == "connected").await;
    // Then nobody reads.
    assert_eq!(run(&["pause", "--admin", &host.address()]).0, Some(0));
    proxy.stall();
    let lost = status_until(&host, "the loss", |status| status["source"]["state"] == "reconnecting").await;
    // It is seen when a question is 5 seconds old, and the last answer was before that.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(lost["source"]["sinceSeconds"].as_u64().unwrap() + 5 <= now, "now {now}: {lost:#}");
    proxy.resume();
    status_until(&host, "a connection", |status| status["source"]["state"] == "connected").await;
    assert_eq!(host.stop().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_since_the_source_is_away_is_one_when_the_lease_is_lost() {
    let server = Server::ready().unwrap();
    let (proxy, print_ops) = (Proxy::start(server.uri()).await, plugin("print_ops"));
    let arguments = ["--plugin", &print_ops, "--uri", proxy.uri(), "--admin", "127.0.0.1:0"];
    let more = ["--admin-ready-grace", "1ms", "--lease-ttl", "8s"];
    let mut host = Host::tailing(&[&arguments[..], &more].concat());
    status_until(&host, "a connection", |status| status["source"]["state"] == "connected").await;
    proxy.stall();
    let away = |status: &Value| status["source"]["state"] == "reconnecting";
    let since = status_until(&host, "the loss", away).await["source"]["sinceSeconds"].clone();
    // What reads ends with the lease. That does not show that the server answers.
    host.wait_for("lease.lose", &[]);
    let mut looks = 0;
    status_until(&host, "more looks", |status| {
        assert!(away(status) && status["source"]["sinceSeconds"] == since, "{since}: {status:#}");
        looks += 1;
        looks > 10
    })
    .await;
    assert_eq!(ready(&host).0, 503);
    proxy.resume();
    status_until(&host, "a connection", |status| status["source"]["state"] == "connected").await;
    host.wait_for("source.tail", &[]);
    assert_eq!(ready(&host), (200, "active\n".to_owned()));
    assert_eq!(host.stop().0, Some(0));
}

#[tokio::test]
async fn an_error_is_shown_until_a_success_and_attempts_are_counted() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let namespace = format!("namespace={}.things", own.name);
    let misbehave = plugin("misbehave");
    let arguments = ["--plugin", &misbehave, "--uri", server.uri(), "--admin", "127.0.0.1:0"];
    let how = ["--set", &namespace, "--set", "handle=panic-once", "--retry-initial-delay", "3s"];
    let host = Host::tailing(&[&arguments[..], &how].concat());
    own.collection("things").insert_one(doc! { "_id": 1 }).await.unwrap();
    let status =
        status_until(&host, "an error", |status| status["plugins"][0].get("lastError").is_some()).await;
    let error = status["plugins"][0]["lastError"].as_str().unwrap();
    assert!(error.contains("only once"), "{error}");
    assert!(status["plugins"][0]["lastErrorSeconds"].as_u64().unwrap() > 1_700_000_000, "{status:#}");
    let (_, shown, _) = run(&["status", "--admin", &host.address()]);
    assert!(shown.contains("misbehave, last error, "), "{shown}");

    let status =
        status_until(&host, "a success", |status| status["plugins"][0]["counts"]["handled"] == 1).await;
    let misbehave = &status["plugins"][0];
    assert_eq!(misbehave.get("lastError"), None, "{status:#}");
    assert!(misbehave["lastErrorSeconds"].is_u64(), "it is still known when: {status:#}");
    assert_eq!((&misbehave["counts"]["attempts"], &misbehave["counts"]["retries"]), (&json!(2), &json!(1)));
    let usage = &misbehave["usage"];
    assert_eq!(
        (&usage["traps"]["trapped"], &usage["handleSeconds"]["count"]),
        (&json!(1), &json!(2)),
        "{usage}"
    );
    let (_, shown, _) = run(&["status", "--admin", &host.address()]);
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    let (_, _, metrics) = get(&host.address(), "/metrics", None);
    for line in [
        "gtm_host_attempts_total{plugin=\"misbehave\"} 2",
        "gtm_host_traps_total{plugin=\"misbehave\",reason=\"trap\"} 1",
        "gtm_host_instance_restarts_total{plugin=\"misbehave\"} 1",
        "gtm_host_handle_duration_seconds_count{plugin=\"misbehave\"} 2",
        "gtm_host_handle_duration_seconds_bucket{le=\"+Inf\",plugin=\"misbehave\"} 2",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in:\n{metrics}");
    }
    assert_eq!(host.stop().0, Some(0));
}

#[tokio::test]
async fn the_checkpoint_of_an_idle_stream_keeps_up_with_its_position() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let directory = tempfile::tempdir().unwrap();
    let misbehave = plugin("misbehave");
    let store = format!("file:{}", directory.path().display());
    let namespace = format!("namespace={}.things", own.name);
    let arguments = ["--plugin", &misbehave, "--uri", server.uri(), "--store", &store, "--set", &namespace];
    let host = Host::tailing(&[&arguments[..], &["--admin", "127.0.0.1:0"]].concat());
    // What is written elsewhere moves the position, with nothing to do for the plugin.
    let first = host.status()["plugins"][0]["checkpoint"].clone();
    let mut positions = Vec::new();
    let deadline = Instant::now() + LIMIT;
    loop {
        own.collection("others").insert_one(doc! {}).await.unwrap();
        let status = host.status();
        let misbehave = &status["plugins"][0];
        assert_eq!(misbehave["counts"]["handled"], 0, "{status:#}");
        let position = misbehave["position"].clone();
        if positions.last() != Some(&position) {
            positions.push(position);
        }
        // The position moves every five seconds, and is stored as often: on a machine that stalls, some times later.
        assert!(positions.len() <= 20, "not stored: {status:#}");
        if misbehave["checkpoint"] != first {
            assert!(positions.contains(&misbehave["checkpoint"]), "{positions:?}: {status:#}");
            break;
        }
        assert!(Instant::now() < deadline, "no checkpoint was stored: {status:#}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(host.stop().0, Some(0));
}

/// `promtool`, if it is there. CI must have it.
fn promtool(metrics: &str) {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).stdout(Stdio::piped());
    let mut tool = match command.spawn() {
        Ok(tool) => tool,
        Err(error) => {
            assert!(
                std::env::var_os("CI").is_none_or(|ci| ci.is_empty()),
                "promtool cannot be started: {error}. Install it (on Debian, the package prometheus has it)"
            );
            return;
        }
    };
    tool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let done = tool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned() + &String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.is_empty(), "{said}\nof:\n{metrics}");
}

#[tokio::test]
async fn prometheus_gets_the_format_that_it_asks_for_and_promtool_finds_no_fault() {
    let mut errands = crate::capabilities::Errands::with(&[], &["--admin", "127.0.0.1:0"], &[]).await;
    assert_eq!(errands.run(doc! { "do": "count" }).await, "ok counted");
    let address = errands.host.address();
    let (code, kind, plain) = get(&address, "/metrics", None);
    assert_eq!((code, kind.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
    promtool(&plain);
    for name in [
        "gtm_host_build_info",
        "gtm_host_source_connected",
        "gtm_host_lag_seconds",
        "gtm_host_checkpoint_age_seconds",
        "gtm_host_filter_duration_seconds_bucket",
        "gtm_host_handle_duration_seconds_sum",
        "gtm_host_traps_total",
        "gtm_host_instance_restarts_total",
        "gtm_host_mails_total",
        "gtm_host_http_requests_total",
        "gtm_plugin_counted_total",
        "process_cpu_seconds_total",
        "process_start_time_seconds",
    ] {
        let sample = |line: &str| line.split(['{', ' ']).next() == Some(name);
        assert!(plain.lines().any(sample), "{name} in:\n{plain}");
    }
    let of_linux = ["process_resident_memory_bytes", "process_open_fds", "process_max_fds"];
    assert!(!cfg!(target_os = "linux") || of_linux.iter().all(|name| plain.contains(name)), "{plain}");

    let asked = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let (_, kind, openmetrics) = get(&address, "/metrics", Some(asked));
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(openmetrics.ends_with("# EOF\n") && openmetrics.contains("# TYPE gtm_host_ops counter\n"));
}

#[tokio::test]
async fn a_number_that_is_not_finite_breaks_nothing() {
    let mut errands = crate::capabilities::Errands::with(&[], &["--admin", "127.0.0.1:0"], &[]).await;
    for errand in ["count", "count-odd"] {
        assert_eq!(errands.run(doc! { "do": errand }).await, "ok counted");
    }
    let status = errands.host.status();
    let metrics = &status["plugins"][0]["metrics"];
    assert_eq!(metrics["gauges"], json!({ "level": 0.5 }));
    assert_eq!(metrics["histograms"]["seconds"]["count"], 1);
    let (code, shown, said) = run(&["status", "--admin", &errands.host.address()]);
    assert_eq!(code, Some(0), "{said}");
    assert!(shown.contains("errand"), "{shown}");
    promtool(&get(&errands.host.address(), "/metrics", None).2);
    errands.host.signal(nix::sys::signal::Signal::SIGTERM);
    let log = errands.host.ended().1;
    let all = errands.host.logged().iter().chain(&log);
    assert_eq!(log::count(all, "metric.drop_value", &[]), 1, "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_and_requests_are_counted_by_whether_they_arrived() {
    let smtp = gtm_test_support::SmtpSink::start().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, axum::Router::new()).await });
    // Nobody listens there any more.
    let nobody =
        format!("http://{}", std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let grants = [format!("http={server}"), format!("http={nobody}"), "mail".to_owned()];
    let grants: Vec<_> = grants.iter().map(String::as_str).collect();
    let more = ["--admin", "127.0.0.1:0", "--mail-url", &smtp.url()];
    let mut errands = crate::capabilities::Errands::with(&grants, &more, &[]).await;
    for by_wasi in [false, true] {
        let said = errands.run(doc! { "do": "http", "url": &server, "by_wasi": by_wasi }).await;
        assert!(said.starts_with("ok 404"), "{said}");
        let said = errands.run(doc! { "do": "http", "url": &nobody, "by_wasi": by_wasi }).await;
        assert!(said.starts_with("error "), "{said}");
    }
    assert!(errands.run(doc! { "do": "http", "url": "http://10.0.0.1/" }).await.starts_with("error "));
    assert!(errands.run(doc! { "do": "mail", "to": "ada@example.com" }).await.starts_with("ok "));
    drop(smtp);
    assert!(errands.run(doc! { "do": "mail", "to": "ada@example.com" }).await.starts_with("error "));
    let usage = errands.host.status()["plugins"][0]["usage"].clone();
    // One that is not granted was not sent.
    assert_eq!(usage["requests"], json!({ "sent": 2, "failed": 2 }));
    assert_eq!(usage["mails"], json!({ "sent": 1, "failed": 1 }));
    let (_, _, metrics) = get(&errands.host.address(), "/metrics", None);
    for line in [
        "gtm_host_http_requests_total{plugin=\"errand\",outcome=\"sent\"} 2",
        "gtm_host_mails_total{plugin=\"errand\",outcome=\"failed\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in:\n{metrics}");
    }
    promtool(&metrics);
}

/// An admin API of a host that is starting.
fn admin() -> (String, gtm_host::admin::Serving) {
    let admin = Admin::at_address(&"127.0.0.1:0".parse().unwrap(), None).unwrap();
    let address = admin.local_addr().expect("it listens by TCP").to_string();
    let control = HostControl::new("shop", None, CancellationToken::new());
    (address, admin.serve(control, Duration::from_secs(30)).unwrap())
}

#[tokio::test(flavor = "current_thread")]
async fn it_answers_while_the_threads_of_plugins_are_busy() {
    // The only thread of this runtime waits in the calls below, and lets nothing else run on it.
    let (address, _serving) = admin();
    assert_eq!(get(&address, "/health", None).0, 200);
    let client = AdminClient::new(&address.parse::<AdminAddress>().unwrap(), None).unwrap();
    assert_eq!(client.status().unwrap().standing, HostActivity::Starting);
}

/// Whether the other end has closed this connection, once it has.
fn is_closed(mut stream: &TcpStream) -> bool {
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    match stream.read(&mut [0; 1024]) {
        Ok(0) => true,
        Ok(_) => is_closed(stream),
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn clients_that_send_nothing_are_let_go_and_keep_nobody_out() {
    let (address, serving) = admin();
    let silent: Vec<_> = (0..300).map(|_| TcpStream::connect(&address).unwrap()).collect();
    assert_eq!(get(&address, "/health", None).0, 200);
    // As many as are too many at once, and in the end all of them.
    assert!(silent.iter().all(is_closed));

    let mut half = TcpStream::connect(&address).unwrap();
    half.write_all(b"GET /health HTTP/1.1\r\nHost: x").unwrap();
    assert!(is_closed(&half), "a request that does not end");
    let mut again = TcpStream::connect(&address).unwrap();
    again.write_all(format!("GET /health HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).unwrap();
    assert!(is_closed(&again), "one request for each connection");

    drop(serving);
    let deadline = Instant::now() + LIMIT;
    while TcpStream::connect(&address).is_ok() {
        assert!(Instant::now() < deadline, "it still listens");
        std::thread::sleep(Duration::from_millis(20));
    }
}
