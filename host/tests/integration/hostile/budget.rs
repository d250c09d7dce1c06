//! Plugins that have the host keep more for them than it does: one account for all of it.

use bson::doc;

use crate::log;
use crate::support::{Scene, message};

/// Bytes by which an attack may change the memory of the host.
const MORE: u64 = 64 << 20;

/// Bytes of memory that the host has now, or has had at most.
fn memory(scene: &mut Scene, what: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", scene.host.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

/// Has the plugin misbehave on some ops, each of which is to fail with this sentence; and looks at the memory of the host.
async fn fails(how: &str, more: &[&str], said: &str) {
    const OPS: usize = 3;
    let more = [&["--retry-max-attempts", "1", "--limits-handle-timeout", "10m"], more].concat();
    let mut scene = Scene::misbehaving(how, &more).await;
    let before = memory(&mut scene, "VmRSS:");
    for n in 0..OPS {
        scene.things().insert_one(doc! {}).await.unwrap();
        let line = scene.host.wait_for("op.give_up", &[("attempts", "1")]);
        assert!(log::error(&line).contains(said), "{how} {n}: {line}");
    }
    let after = memory(&mut scene, "VmRSS:");
    assert!(after < before + MORE, "{how}: {before} bytes, then {after}");
    let (code, _) = scene.host.stop();
    assert_eq!(code, Some(0), "{how}");
}

#[tokio::test]
async fn what_is_handed_over_at_a_time_is_bounded() {
    let said = "handle passed more to the host than is left of the 48 MiB that the host keeps for an instance at a time. help: ";
    for how in ["handle=log-too-much", "handle=say-too-much"] {
        fails(how, &[], said).await;
    }
}

#[tokio::test]
async fn bodies_that_are_never_sent_are_bounded() {
    let granted = ["--grant", "http=https://api.example.com"];
    // By the number of resources, or by the account, where it is small.
    fails("handle=hoard-bodies", &granted, "it holds 256 streams, requests and files of the host").await;
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("gtm.toml");
    std::fs::write(&config, "[limits]\nhost_memory = \"4 MiB\"\n").unwrap();
    let more = [&granted[..], &["--config", config.to_str().unwrap()]].concat();
    // Headers are charged with each request, and there is too little left for the next.
    let said = " of its 4 MiB are left. help: ask for less per call, or raise --limits-host-memory, or limits.host_memory under [plugins.misbehave]";
    fails("handle=hoard-bodies", &more, said).await;
}

/// A method, a server and a path of 4 MiB each, of 50 requests.
#[tokio::test]
async fn texts_of_requests_that_are_never_sent_are_bounded() {
    let more = ["--limits-handle-timeout", "10m", "--grant", "http=https://api.example.com"];
    let mut scene = Scene::misbehaving("handle=hoard-texts", &more).await;
    let before = memory(&mut scene, "VmHWM:");
    scene.things().insert_one(doc! {}).await.unwrap();
    scene.host.wait_for_plugin_log("150 of 150 texts are refused");
    scene.host.wait_for_plugin_log("handled at attempt 1");
    let after = memory(&mut scene, "VmHWM:");
    assert!(after < before + MORE, "{before} bytes, then {after}");
}

/// 100 listings of 100,000 names: a gigabyte, if the host kept them.
#[tokio::test]
async fn listings_of_a_large_directory_are_read_as_they_are_asked_for() {
    const ENTRIES: usize = 100_000;
    let directory = tempfile::tempdir().unwrap();
    for n in 0..ENTRIES {
        std::fs::File::create(directory.path().join(format!("entry-{n:0>90}"))).unwrap();
    }
    let grant = format!("dir={}:/d", directory.path().display());
    let granted = ["--grant", &grant, "--limits-handle-timeout", "10m"];
    let mut scene = Scene::misbehaving("handle=list", &granted).await;
    let before = memory(&mut scene, "VmHWM:");
    scene.things().insert_one(doc! {}).await.unwrap();
    scene.host.wait_for_plugin_log(&format!("{ENTRIES} entries beside 100 listings"));
    scene.host.wait_for_plugin_log("handled at attempt 1");
    let after = memory(&mut scene, "VmHWM:");
    assert!(after < before + MORE, "{before} bytes, then {after}");
    // How many may be open is bounded, by the number of resources, or by the account, where it is small.
    fails("handle=list-many", &granted[..2], "it holds 256 streams, requests and files of the host").await;
    let place = tempfile::tempdir().unwrap();
    let config = place.path().join("gtm.toml");
    std::fs::write(&config, "[limits]\nhost_memory = \"4 MiB\"\n").unwrap();
    let more = ["--grant", &grant, "--config", config.to_str().unwrap()];
    let said = " of its 4 MiB are left. help: ask for less per call, or raise --limits-host-memory, or limits.host_memory under [plugins.misbehave]";
    fails("handle=list-many", &more, said).await;
}

#[tokio::test]
async fn headers_that_are_never_sent_are_charged() {
    let granted = ["--grant", "http=https://api.example.com"];
    let said = "are left. help: ask for less per call, or raise --limits-host-memory, or limits.host_memory under [plugins.misbehave]";
    fails("handle=hoard-headers", &granted, said).await;
}

/// 90 MB of text each, if they were written.
#[tokio::test]
async fn texts_that_are_many_times_as_long_as_their_documents_are_bounded() {
    let more = ["--limits-handle-timeout", "10m", "--limits-memory", "128MiB"];
    let mut scene = Scene::misbehaving("handle=encode-much", &more).await;
    let before = memory(&mut scene, "VmHWM:");
    scene.things().insert_one(doc! {}).await.unwrap();
    let line = scene.host.wait_for_plugin_log("10 of 10 texts are refused: ");
    assert!(message(&line).contains("limits.host_memory under [plugins.misbehave]"), "{line}");
    scene.host.wait_for_plugin_log("handled at attempt 1");
    let after = memory(&mut scene, "VmHWM:");
    // The plugin has its own memory, in which the document is.
    assert!(after < before + MORE + (128 << 20), "{before} bytes, then {after}");
}
