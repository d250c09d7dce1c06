//! Plugins that want more than there is.

use std::time::Instant;

use bson::doc;

use crate::support::{Scene, message, scaled};

#[tokio::test]
async fn lines_without_end_are_counted_and_left_out() {
    let limit = format!("{}ms", scaled(3000));
    let how = ["--handle-timeout", &limit, "--max-attempts", "1", "--log-lines", "50"];
    let started = Instant::now();
    let mut scene = Scene::misbehaving("handle=log", &how).await;
    scene.things().insert_one(doc! {}).await.unwrap();
    scene.host.wait_for("lines of the plugin are left out: it logs more than 50 in a second");
    scene.host.wait_for("given up after attempt 1");
    let lines = scene.host.logged().iter().filter(|line| message(line) == "and another line").count();
    // In each second that began, however long it all took.
    let seconds = usize::try_from(started.elapsed().as_secs()).unwrap() + 1;
    assert!(lines <= seconds * 50, "{lines} in {seconds} s");
}

#[tokio::test]
async fn what_is_printed_is_kept_up_to_a_bound() {
    let mut scene = Scene::misbehaving("handle=print-much", &["--handle-timeout", "10m"]).await;
    scene.things().insert_one(doc! {}).await.unwrap();
    scene.host.wait_for("handled at attempt 1");
    // It is logged when the call is over.
    let (_, log) = scene.host.stop();
    let printed = log.iter().filter(|line| message(line).ends_with("xxx")).count();
    assert!((1..20).contains(&printed), "{printed}");
}

#[tokio::test]
async fn an_error_of_100_mb_is_cut() {
    let mut scene = Scene::misbehaving("handle=say-much", &["--handle-timeout", "10m"]).await;
    scene.things().insert_one(doc! {}).await.unwrap();
    let line = scene.host.wait_for("rejected by the plugin, the op is not handled: ");
    assert!(
        message(&line).len() < 20_000 && message(&line).contains("bytes more)"),
        "{}",
        message(&line).len()
    );
}

#[tokio::test]
async fn resources_of_the_host_are_bounded() {
    let mut scene = Scene::misbehaving("handle=hoard", &["--max-attempts", "1"]).await;
    scene.things().insert_one(doc! {}).await.unwrap();
    let line = scene.host.wait_for("given up after attempt 1");
    assert!(message(&line).contains("handle trapped: ") && message(&line).contains("table"), "{line}");
}

/// Two parts of each body are kept, so the host keeps 2 MiB at most.
#[tokio::test]
async fn bodies_that_are_never_sent_are_bounded() {
    let how = ["--max-attempts", "1", "--grant", "http=https://api.example.com"];
    let mut scene = Scene::misbehaving("handle=hoard-bodies", &how).await;
    let before = peak(&mut scene);
    scene.things().insert_one(doc! {}).await.unwrap();
    let line = scene.host.wait_for("given up after attempt 1");
    assert!(message(&line).contains("it has 16 bodies of requests open, and may not open more"), "{line}");
    let more = peak(&mut scene) - before;
    assert!(more < 64 << 10, "{more} KiB more");
}

/// KiB of memory that the host has taken at most.
fn peak(scene: &mut Scene) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", scene.host.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn waiting_for_ever_in_the_host_is_cut_off() {
    let limit = scaled(300);
    let timeout = format!("{limit}ms");
    let how = ["--handle-timeout", &timeout, "--max-attempts", "1"];
    let mut scene = Scene::misbehaving("handle=wait", &how).await;
    scene.things().insert_one(doc! {}).await.unwrap();
    let line = scene.host.wait_for("given up after attempt 1");
    assert!(message(&line).contains(&format!("handle took longer than {limit} ms")), "{line}");
}
