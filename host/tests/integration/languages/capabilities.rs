//! What the SDKs of interpreted languages offer beyond what the example uses, in a host with a live server.

use std::collections::BTreeSet;
use std::path::Path;

use axum::Router;
use axum::http::{HeaderMap, Method, Uri};
use bson::doc;
use gtm_runtime::Failure;

use super::{Running, built};
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

macro_rules! with_errands {
    ($($test:ident),+) => {
        $(mod $test {
            with_errands!(@ $test: js, python);
        })+
    };
    (@ $test:ident: $($language:ident),+) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $language() {
            if let Some(path) = super::built(stringify!($language)) {
                super::$test(&path.with_file_name("errand.wasm")).await;
            }
        })+
    };
}

with_errands!(every_capability, nothing_random_is_baked_in, an_error_leads_to_the_authors_line);
