//! A plugin that does wrong is named with the op it did it on, and costs itself only.

use bson::doc;
use serde_json::Value;

use crate::log;
use crate::support::{Scene, in_words, message, plugin, scaled};

const GRANT: &str = "misbehave:http=https://api.example.com";

/// A plugin that misbehaves on each op of a namespace, and one beside it that does not.
async fn misbehaving(how: &str, more: &[&str]) -> Scene {
    let (print_ops, how) = (plugin("print_ops"), format!("misbehave:{how}"));
    let beside = ["--plugin", &print_ops, "--retry-max-attempts", "2", "--retry-initial-delay", "10ms"];
    Scene::misbehaving(&how, &[&beside[..], more].concat()).await
}

/// Inserts three documents: each is reported as not handled, for the reason given, and the plugin
/// beside it gets all of them.
async fn each_op_fails(mut scene: Scene, reason: &str) {
    scene.things().insert_many((0..3).map(|n| doc! { "_id": n })).await.unwrap();
    let (mut failed, mut seen) = (Vec::new(), Vec::new());
    while failed.len() < 3 || seen.len() < 3 {
        let line = scene.host.wait_until(reason, |line| {
            line["plugin"] == "print_ops" && line["target"] == "plugin"
                || log::is_event(line, "op.give_up", &[("attempts", "2")])
        });
        if line["plugin"] == "print_ops" {
            seen.push(op_id(&line));
        } else {
            assert_eq!(line["plugin"], "misbehave");
            assert!(log::error(&line).contains(reason), "{line}");
            failed.push(op_id(&line));
        }
    }
    assert_eq!(failed, seen, "the same ops, in the same order");
    assert_eq!(scene.host.stop().0, Some(0));
}

fn op_id(line: &Value) -> String {
    line["op"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_trap_in_handle() {
    each_op_fails(misbehaving("handle=panic", &[]).await, "handle trapped: thread '<unnamed>'").await;
}

#[tokio::test]
async fn a_trap_in_filter() {
    each_op_fails(misbehaving("filter=panic", &[]).await, "as I was told to").await;
}

#[tokio::test]
async fn an_endless_loop_in_handle() {
    let limit = scaled(200);
    let scene = misbehaving("handle=loop", &["--limits-handle-timeout", &format!("{limit}ms")]).await;
    each_op_fails(scene, &format!("handle took longer than {} and was stopped", in_words(limit))).await;
}

#[tokio::test]
async fn an_endless_loop_in_filter() {
    let limit = scaled(200);
    let scene = misbehaving("filter=loop", &["--limits-filter-timeout", &format!("{limit}ms")]).await;
    each_op_fails(scene, &format!("filter took longer than {} and was stopped", in_words(limit))).await;
}

#[tokio::test]
async fn eating_memory_in_handle() {
    let scene = misbehaving("handle=eat-memory", &["--limits-memory", "32MiB"]).await;
    each_op_fails(scene, "handle needs more memory than its limit of 32 MiB").await;
}

#[tokio::test]
async fn eating_memory_in_filter() {
    let scene = misbehaving("filter=eat-memory", &["--limits-memory", "32MiB"]).await;
    each_op_fails(scene, "filter needs more memory than its limit of 32 MiB").await;
}

#[tokio::test]
async fn endless_recursion() {
    each_op_fails(misbehaving("handle=recurse", &[]).await, "handle trapped: ").await;
}

#[tokio::test]
async fn sleeping_for_ever_in_handle() {
    let limit = scaled(200);
    let scene = misbehaving("handle=sleep", &["--limits-handle-timeout", &format!("{limit}ms")]).await;
    each_op_fails(scene, &format!("handle took longer than {}", in_words(limit))).await;
}

#[tokio::test]
async fn sleeping_in_filter() {
    each_op_fails(misbehaving("filter=sleep", &[]).await, "it tried to wait").await;
}

#[tokio::test]
async fn writing_what_nobody_reads_in_filter() {
    let limit = scaled(20);
    let how = ["--limits-filter-timeout", &format!("{limit}ms"), "--grant", GRANT];
    let scene = misbehaving("filter=stall", &how).await;
    each_op_fails(scene, &format!("filter took longer than {} and was stopped", in_words(limit))).await;
}

#[tokio::test]
async fn wasi_http_without_a_grant_says_what_to_grant() {
    let sentence = "http is not granted to the plugin misbehave. help: pass --grant misbehave:http=SERVER";
    each_op_fails(misbehaving("filter=stall", &[]).await, sentence).await;
    let mut scene = misbehaving("handle=stall", &[]).await;
    scene.things().insert_one(doc! {}).await.unwrap();
    let line = scene.host.wait_for("plugin.block", &[]);
    assert!(log::error(&line).contains(sentence), "{line}");
}

#[tokio::test]
async fn a_mail_from_the_filter_is_refused() {
    let mut scene =
        misbehaving("filter=mail", &["--grant", "mail", "--mail-url", "smtp://127.0.0.1:1"]).await;
    scene.things().insert_one(doc! {}).await.unwrap();
    let line = scene.host.wait_for_plugin_log("no mail: ");
    assert!(message(&line).contains("in handle only, not in filter"), "{line}");
    scene.host.wait_for_plugin_log("handled at attempt 1");
}

#[tokio::test]
async fn a_mail_without_a_mail_server_says_what_to_do() {
    let mut scene = misbehaving("handle=mail", &["--grant", "mail"]).await;
    scene.things().insert_one(doc! {}).await.unwrap();
    let line = scene.host.wait_for("plugin.block", &[]);
    assert!(log::error(&line).contains("start it with --mail-url URL"), "{line}");
}

#[tokio::test]
async fn what_fails_once_is_handled_the_second_time() {
    for how in ["handle=panic-once", "filter=panic-once"] {
        let mut scene = misbehaving(how, &[]).await;
        scene.things().insert_one(doc! {}).await.unwrap();
        let first = scene.host.wait_for("op.retry", &[("attempt", "1")]);
        assert!(log::error(&first).contains("only once"), "{first}");
        let second = scene.host.wait_for_plugin_log("handled at attempt 2");
        assert_eq!(op_id(&first), op_id(&second));
    }
}

#[tokio::test]
async fn what_is_logged_in_an_attempt_names_it_at_debug() {
    for (filter, attempt) in [("debug", "2"), ("info", "")] {
        let mut scene = misbehaving("handle=panic-once", &["--log", filter]).await;
        scene.things().insert_one(doc! {}).await.unwrap();
        let line = scene.host.wait_for_plugin_log("handled at attempt 2");
        assert_eq!(log::field(&line, "attempt"), attempt, "{filter}: {line}");
        assert_eq!((&line["plugin"], line["op"].is_string()), (&"misbehave".into(), true), "{line}");
    }
}

#[tokio::test]
async fn a_rejected_op_is_not_tried_again() {
    let mut scene = misbehaving("handle=reject", &[]).await;
    scene.things().insert_one(doc! {}).await.unwrap();
    scene.host.wait_for("op.reject", &[("error", "not this one"), ("level", "ERROR")]);
    let (_, log) = scene.host.stop();
    let counts = [("rejected", "1"), ("failed", "0"), ("unfinished", "0"), ("retries", "0")];
    assert_eq!(log::count(&log, "plugin.stop", &counts), 1, "{log:?}");
}

#[tokio::test]
async fn what_a_plugin_prints_is_logged_under_its_name() {
    let mut scene = misbehaving("handle=print", &[]).await;
    scene.things().insert_one(doc! {}).await.unwrap();
    for text in ["printed by handle", "and to standard error"] {
        let line = scene.host.wait_for_plugin_log(text);
        assert_eq!(line["plugin"], "misbehave");
        assert!(line["op"].is_string());
    }
}

#[tokio::test]
async fn a_flood_of_words_is_cut() {
    let mut scene = misbehaving("handle=flood", &[]).await;
    scene.things().insert_one(doc! {}).await.unwrap();
    let line = scene.host.wait_for_plugin_log("bytes more)");
    assert!(message(&line).len() < 20_000);
}

#[tokio::test]
async fn nothing_outside_can_be_seen() {
    let mut scene = misbehaving("handle=spy", &[]).await;
    scene.things().insert_one(doc! {}).await.unwrap();
    let line = scene.host.wait_for_plugin_log("environment ");
    assert_eq!(message(&line), "file false, directory false, environment 0, arguments 0, network false");
}
