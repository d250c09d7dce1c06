//! Plugins that want more than there is.

use std::time::Instant;

use bson::doc;

use crate::log;
use crate::support::{Scene, eventually, in_words, message, scaled};

#[tokio::test]
async fn lines_without_end_are_counted_and_left_out() {
    let limit = format!("{}ms", scaled(3000));
    let how = ["--limits-handle-timeout", &limit, "--retry-max-attempts", "1", "--limits-log-lines", "50"];
    let started = Instant::now();
    let mut scene = Scene::misbehaving("handle=log", &how).await;
    scene.things().insert_one(doc! {}).await.unwrap();
    scene.host.wait_for("log.leave_out", &[("limit_per_second", "50")]);
    scene.host.wait_for("op.give_up", &[("attempts", "1")]);
    let lines = scene.host.logged().iter().filter(|line| message(line) == "and another line").count();
    // In each second that began, however long it all took.
    let seconds = usize::try_from(started.elapsed().as_secs()).unwrap() + 1;
    assert!(lines <= seconds * 50, "{lines} in {seconds} s");
}

#[tokio::test]
async fn lines_that_were_left_out_are_reported_though_no_other_line_follows() {
    let mut scene =
        Scene::misbehaving("handle=log-burst", &["--limits-log-lines", "50", "--admin", "127.0.0.1:0"]).await;
    scene.things().insert_one(doc! {}).await.unwrap();
    scene.host.wait_for("log.leave_out", &[("limit_per_second", "50")]);
    // A second burst, and the end before the next report is due.
    scene.things().insert_one(doc! {}).await.unwrap();
    eventually("both ops are handled", async || scene.host.status()["plugins"][0]["counts"]["handled"] == 2)
        .await;
    scene.host.signal(nix::sys::signal::Signal::SIGTERM);
    let (code, log) = scene.host.all();
    let logged = log.iter().filter(|line| line["target"] == "plugin").count();
    let left_out: u64 = log.iter().filter_map(|line| line["left_out"].as_u64()).sum();
    // Each op has 200 lines, and one that it was handled.
    assert_eq!((code, u64::try_from(logged).unwrap() + left_out), (Some(0), 2 * 201), "{logged} logged");
}

#[tokio::test]
async fn what_is_printed_is_kept_up_to_a_bound() {
    let mut scene = Scene::misbehaving("handle=print-much", &["--limits-handle-timeout", "10m"]).await;
    scene.things().insert_one(doc! {}).await.unwrap();
    scene.host.wait_for_plugin_log("handled at attempt 1");
    // It is logged when the call is over.
    let (_, log) = scene.host.stop();
    let printed = log.iter().filter(|line| message(line).ends_with("xxx")).count();
    assert!((1..20).contains(&printed), "{printed}");
}

#[tokio::test]
async fn an_error_of_40_mb_is_cut() {
    for how in ["handle=say-much", "handle=say-lines"] {
        let mut scene = Scene::misbehaving(how, &["--limits-handle-timeout", "10m"]).await;
        scene.things().insert_one(doc! {}).await.unwrap();
        let line = scene.host.wait_for("op.reject", &[]);
        let error = log::error(&line);
        assert!(error.len() < 20_000 && error.contains("bytes more)"), "{}", error.len());
    }
}

#[tokio::test]
async fn resources_of_the_host_are_bounded() {
    let mut scene = Scene::misbehaving("handle=hoard", &["--retry-max-attempts", "1"]).await;
    scene.things().insert_one(doc! {}).await.unwrap();
    let line = scene.host.wait_for("op.give_up", &[("attempts", "1")]);
    let reason = "handle trapped: it holds 256 streams, requests and files";
    assert!(log::error(&line).contains(reason), "{line}");
}

#[tokio::test]
async fn bytes_without_end_are_counted_and_left_out() {
    let limit = format!("{}ms", scaled(3000));
    let how = [
        "--limits-handle-timeout",
        &limit,
        "--retry-max-attempts",
        "1",
        "--admin",
        "127.0.0.1:0",
        "--limits-log-bytes",
        "1MiB",
    ];
    let started = Instant::now();
    let mut scene = Scene::misbehaving("handle=log-wide", &how).await;
    scene.things().insert_one(doc! {}).await.unwrap();
    scene.host.wait_for("op.give_up", &[("attempts", "1")]);
    let logged = scene.host.logged();
    let lines = logged.iter().filter(|line| message(line).starts_with("xxx")).count();
    // What ten seconds may have, in each ten seconds that began.
    let most = usize::try_from(started.elapsed().as_secs() / 10 + 1).unwrap() * (10 << 20);
    assert!((1..=most / 16_000).contains(&lines), "{lines}");
    let usage = &scene.host.status()["plugins"][0]["usage"];
    let left_out = |name: &str| usage[name].as_u64().unwrap();
    let (left_lines, left_bytes) = (left_out("logLinesLeftOut"), left_out("logBytesLeftOut"));
    assert!(left_lines > 0 && left_bytes >= 16_000 * left_lines, "{usage}");
}

#[tokio::test]
async fn waiting_for_ever_in_the_host_is_cut_off() {
    let limit = scaled(300);
    let timeout = format!("{limit}ms");
    let how = ["--limits-handle-timeout", &timeout, "--retry-max-attempts", "1"];
    let mut scene = Scene::misbehaving("handle=wait", &how).await;
    scene.things().insert_one(doc! {}).await.unwrap();
    let line = scene.host.wait_for("op.give_up", &[("attempts", "1")]);
    let reason = format!("handle took longer than {}", in_words(limit));
    assert!(log::error(&line).contains(&reason), "{line}");
}
