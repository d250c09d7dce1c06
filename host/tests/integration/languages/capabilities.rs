//! What the SDKs of interpreted languages offer beyond what the example uses, in a host with a live server.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use bson::doc;
use gtm_runtime::Failure;

use super::{Running, bytes, insert};
use crate::capabilities::Errands;

async fn answer(method: Method, uri: Uri, headers: HeaderMap, body: String) -> String {
    let header = headers.get("x-own").map_or("", |value| value.to_str().unwrap());
    format!("{method} {uri} {header} {body}")
}

pub(crate) async fn every_capability(plugin: &Path) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    let http = format!("http=http://{address}");
    let grants = [&http, "state", "mongodb-read=OWN.things", "mongodb-write=OWN.things"];
    let mut errands = Errands::of(plugin.to_str().unwrap(), &grants, &["--set", "key=Wert ü"], &[]).await;
    let url = format!("http://{address}/a?b=c");
    let things = |errand: bson::Document| doc! { "ns": "OWN.things" }.into_iter().chain(errand).collect();
    for (errand, said) in [
        (doc! { "do": "encode", "text": "ü日😀\u{10ffff}" }, "ok ü日😀\u{10ffff}"),
        (doc! { "do": "config", "key": "key" }, "ok Wert ü"),
        (doc! { "do": "config", "key": "other" }, "ok nothing"),
        (doc! { "do": "count" }, "ok counted"),
        (
            doc! { "do": "http", "method": "POST", "url": &url, "headers": { "x-own": "1" }, "body": "ü" },
            "ok 200 POST /a?b=c 1 ü",
        ),
        (
            doc! { "do": "http", "url": "https://example.com/" },
            "error http to https://example.com is not granted",
        ),
        (doc! { "do": "get", "key": "k" }, "ok nothing"),
        (doc! { "do": "set", "key": "k", "value": "ü" }, "ok set"),
        (doc! { "do": "get", "key": "k" }, "ok ü"),
        (doc! { "do": "swap", "key": "k", "expected": "other", "value": "v" }, "ok false"),
        (doc! { "do": "swap", "key": "k", "expected": "ü", "value": "v" }, "ok true"),
        (doc! { "do": "forget", "key": "k" }, "ok forgotten"),
        (things(doc! { "do": "insert", "document": { "_id": 1, "n": 1 } }), "ok inserted"),
        (things(doc! { "do": "insert", "document": { "_id": 1 } }), "error "),
        (things(doc! { "do": "update", "filter": { "_id": 1 }, "update": { "$set": { "n": 2 } } }), "ok 1 1"),
        (things(doc! { "do": "replace", "filter": { "_id": 2 }, "document": { "n": "ü" } }), "ok 0 0"),
        (
            things(doc! { "do": "find", "filter": {}, "sort": { "_id": 1 } }),
            r#"ok 2 [{"_id":1,"n":2},{"_id":2,"n":"ü"}]"#,
        ),
        (
            things(doc! { "do": "aggregate", "pipeline": [{ "$match": { "_id": 1 } }] }),
            r#"ok 1 [{"_id":1,"n":2}]"#,
        ),
        (things(doc! { "do": "delete", "filter": {} }), "ok 2"),
        (
            doc! { "do": "find", "ns": "other.things", "filter": {} },
            "error mongodb: to read other.things is not granted",
        ),
        (
            doc! { "do": "get", "key": "k", "in_filter": true },
            "error state can be used in handle only, not in filter",
        ),
        (doc! { "do": "mail", "to": "ada@example.com" }, "error mail is not granted to the plugin errand"),
        (doc! { "do": "nonsense" }, "error nonsense is no errand"),
    ] {
        let got = errands.run(errand.clone()).await;
        // In JSON, a letter may be written by its number.
        let got = got.replace("\\u00fc", "ü");
        assert!(got.starts_with(said), "{errand}: {got}");
    }
}

/// What was drawn when the component was built is drawn anew in each instance.
async fn nothing_random_is_baked_in(plugin: &Path) {
    let mut drawn = BTreeSet::new();
    for _ in 0..3 {
        let mut errands = Errands::of(plugin.to_str().unwrap(), &[], &[], &[]).await;
        let said = errands.run(doc! { "do": "random" }).await;
        let parts: Vec<_> = said.strip_prefix("ok ").unwrap().split(' ').collect();
        let [number, object_id, uuid] = parts.as_slice() else { panic!("{said}") };
        // Of an ObjectId, the five bytes after the time.
        for part in [number, &object_id[8..18], uuid] {
            assert!(drawn.insert(part.to_owned()), "{part} was drawn before");
        }
    }
}

/// The author's line is in the reason, and his lines and those of the cause are in one event of the log.
async fn an_error_leads_to_the_authors_line(plugin: &Path) {
    let is_python = plugin.components().any(|part| part.as_os_str() == "python");
    let (file, source) = match is_python {
        true => ("errand.py", include_str!("../../plugins/errand_py/errand.py")),
        false => ("src/errand.js", include_str!("../../plugins/errand_js/src/plugin.js")),
    };
    let line = |text: &str| 1 + source.lines().position(|line| line.contains(text)).unwrap();
    let mut running = Running::new(plugin);
    let outcome = running.handle(&doc! { "_id": 1, "do": "fail" }).await;
    let Ok(Err(Failure::Retry { reason, .. })) = outcome else { panic!("{outcome:?}") };
    let (thrown, cause) = match is_python {
        true => (line("raise RuntimeError"), line("errand[\"what is not there\"]")),
        false => (line("throw new Error(\"it fails\""), line("errand.nothing.nor")),
    };
    assert!(reason.contains("Error: it fails: "), "{reason}");
    assert!(reason.contains(&format!("({file}:{thrown}")), "{reason}");
    let said = running.said();
    let [said] = said.as_slice() else { panic!("one event is expected: {said:#?}") };
    let place = |line: usize| match is_python {
        true => format!("File \"{file}\", line {line}, in fail"),
        false => format!("at fail ({file}:{line}:"),
    };
    for part in [place(thrown), place(cause)] {
        assert!(said.contains(&part), "{part}\n{said}");
    }
    if is_python {
        assert!(said.contains("raise RuntimeError(\"it fails\") from error"), "{said}");
    }
}

/// The server answers with the key of the request, or with the status in the path, or not at all.
async fn answer_with_the_key(
    uri: Uri,
    headers: HeaderMap,
) -> (StatusCode, [(&'static str, &'static str); 1], String) {
    if uri.path() == "/never" {
        std::future::pending::<()>().await;
    }
    let status = uri.path().trim_start_matches('/').parse().unwrap_or(200);
    let key = headers.get("idempotency-key").map_or("", |key| key.to_str().unwrap()).to_owned();
    (StatusCode::from_u16(status).unwrap(), [("retry-after", if status == 429 { "7" } else { "" })], key)
}

async fn a_request_has_a_key_and_a_time_limit_and_a_conflict_is_recognized(plugin: &Path) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer_with_the_key)).await });
    let http = format!("http=http://{address}");
    let mut errands =
        Errands::of(plugin.to_str().unwrap(), &[&http, "mongodb-write=OWN.things"], &[], &[]).await;
    let mut keys = BTreeSet::new();
    for _ in 0..2 {
        let said = errands.run(doc! { "do": "http", "url": format!("http://{address}/") }).await;
        let key = said.strip_prefix("ok 200 ").unwrap().to_owned();
        assert!(!key.is_empty() && keys.insert(key), "{said}: {keys:?}");
    }
    for (status, said) in
        [(200, "ok 200 "), (404, "error reject 0"), (503, "error retry 0"), (429, "error retry 7000")]
    {
        let errand = doc! { "do": "http", "url": format!("http://{address}/{status}"), "method": "STATUS" };
        let got = errands.run(errand).await;
        assert!(got.starts_with(said), "{status}: {got}");
    }
    let never = doc! { "do": "http", "url": format!("http://{address}/never"), "timeout": 100 };
    let said = errands.run(never).await;
    assert!(said.starts_with("error "), "{said}");
    let insert = doc! { "do": "insert", "ns": "OWN.things", "document": { "_id": 1 } };
    assert_eq!(errands.run(insert.clone()).await, "ok inserted");
    let said = errands.run(insert).await;
    assert!(said.starts_with("error conflict: "), "{said}");
    let update =
        doc! { "do": "update", "ns": "OWN.things", "filter": { "_id": 2 }, "update": { "$set": { "n": 1 } } };
    assert_eq!(errands.run(update).await, r#"ok 0 0 {"_id":2}"#);
}

async fn state_has_numbers_times_to_live_and_a_quota(plugin: &Path) {
    let mut errands = Errands::of(plugin.to_str().unwrap(), &["state"], &[], &[]).await;
    for (errand, said) in [
        (doc! { "do": "quota" }, "ok 0"),
        (doc! { "do": "add", "key": "a1", "by": 40 }, "ok 40"),
        (doc! { "do": "add", "key": "a1", "by": -50_i64 }, "ok -10"),
        (doc! { "do": "set", "key": "a2", "value": "ü" }, "ok set"),
        (doc! { "do": "set", "key": "b", "value": "v" }, "ok set"),
        // The time to live of a number is a minute.
        (doc! { "do": "list", "key": "a" }, "ok a1=-10+ a2=ü"),
        (doc! { "do": "list", "key": "c" }, "ok"),
    ] {
        assert_eq!(errands.run(errand.clone()).await.trim_end(), said, "{errand}");
    }
    // It may be more than there is for a few seconds.
    let said = errands.run(doc! { "do": "quota" }).await;
    let keys: u64 = said.strip_prefix("ok ").unwrap().parse().unwrap();
    assert!(keys >= 3, "{said}");
}

/// Each op of a batch has its own outcome, and the instance does not grow.
async fn each_op_of_a_batch_has_an_outcome(plugin: &Path) {
    let mut running = Running::new(plugin);
    assert!(running.handler.handles_batches());
    let op = |number: i32, errand: &str| {
        let errand =
            doc! { "_id": number, "do": errand, "text": "ü", "key": "pause", "url": "http://127.0.0.1/" };
        insert("app", "errands", Some(bytes(&errand)))
    };
    let ops = ["encode", "reject", "later", "again", "encode", "config", "http"];
    let ops: Vec<_> = (1..).zip(ops).map(|(number, errand)| op(number, errand)).collect();
    let batch: Vec<_> = ops.iter().map(|op| (op, 1)).collect();
    let outcomes = running.handler.call_batch(&batch).await.unwrap();
    let expected = [
        Ok(()),
        Err(Failure::reject("rejected, ü")),
        Err(Failure::Retry { reason: "later, ü".to_owned(), after: Some(Duration::from_secs(7)) }),
        Err(Failure::retry("again, ü")),
        Ok(()),
        Ok(()),
        Ok(()),
    ];
    assert_eq!(outcomes, expected);
    let said = running.said();
    assert_eq!(said[..3], ["1 ok ü", "5 ok ü", "6 ok 10000"]);
    assert!(said[3].starts_with("7 error http"), "{said:?}");
    // The host frees nothing of a plugin: an instance that leaked would grow. Go's heap varies between two runs of its collector, which
    // does not run in a filter.
    let is_go = plugin.components().any(|part| part.as_os_str() == "go");
    let filtered: Vec<_> = ops.iter().cloned().map(Arc::new).collect();
    let mut bound = 0;
    for call in 0..20_000 {
        running.said.0.lock().unwrap().clear();
        assert_eq!(running.handler.call_batch(&batch).await.unwrap().len(), batch.len());
        let mut taken = running.handler.memory();
        if !is_go {
            assert_eq!(running.filter.call_all(&filtered).await.len(), batch.len());
            taken += running.filter.memory();
        }
        match call {
            ..=2000 => bound = bound.max(if is_go { 2 * taken } else { taken }),
            _ => assert!(taken <= bound, "{taken} bytes after {call} calls, and at most {bound} at first"),
        }
    }
}

/// A test for each of these languages, with the plugin errand in it, named `TEST::LANGUAGE`.
macro_rules! with_errands {
    ($($test:ident: $($language:ident),+;)+) => {
        $(mod $test {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $language() {
                if let Some(path) = $crate::languages::built(stringify!($language)) {
                    super::$test(&path.with_file_name("errand.wasm")).await;
                }
            })+
        })+
    };
}
pub(super) use with_errands;

with_errands!(
    every_capability: js, python, c, cpp, go, zig;
    nothing_random_is_baked_in: js, python;
    an_error_leads_to_the_authors_line: js, python;
    a_request_has_a_key_and_a_time_limit_and_a_conflict_is_recognized: c, cpp, go, zig;
    state_has_numbers_times_to_live_and_a_quota: c, cpp, go, zig;
    each_op_of_a_batch_has_an_outcome: c, cpp, go, zig;
);
