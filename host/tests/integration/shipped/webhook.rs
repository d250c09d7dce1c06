//! Each change arrives, signed, with the same id however often.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use axum::Router;
use axum::http::StatusCode;
use bson::doc;
use serde_json::Value;

use super::sinks::Sink;
use super::{Shipped, dump, replay, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_change_arrives_as_often_as_it_takes_with_the_same_id() {
    let sink = Sink::hook().await;
    let (grant, url) = (format!("http={}", sink.url()), format!("url={}/hook", sink.url()));
    let values = [&*url, "namespaces=OWN.*", "secret=shared", "operations=insert,delete"];
    let shipped = Shipped::start("webhook", &[&grant], &values, &[]).await;
    sink.with(|index| index.busy = 2);
    shipped.things().insert_one(doc! { "_id": 1, "text": "Grüße" }).await.unwrap();
    shipped.things().update_one(doc! { "_id": 1 }, doc! { "$set": { "n": 1 } }).await.unwrap();
    shipped.things().delete_one(doc! { "_id": 1 }).await.unwrap();
    until("four requests", async || sink.with(|index| index.requests >= 4)).await;
    let received = sink.with(|index| std::mem::take(&mut index.received));
    let events: Vec<Value> = received.iter().map(|(_, body)| serde_json::from_slice(body).unwrap()).collect();
    let operations: Vec<_> = events.iter().map(|event| event["operationType"].as_str().unwrap()).collect();
    assert_eq!(operations, ["insert", "insert", "insert", "delete"]);
    let attempts: Vec<_> =
        received.iter().map(|(headers, _)| headers["x-gtm-attempt"].to_str().unwrap()).collect();
    assert_eq!(attempts, ["1", "2", "3", "1"]);
    assert_eq!(events[0], events[2], "the same at each attempt");
    let ids: BTreeSet<_> =
        received.iter().map(|(headers, _)| headers["x-gtm-id"].to_str().unwrap()).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(events[0]["fullDocument"], serde_json::json!({ "_id": 1, "text": "Grüße" }));
    for (headers, _) in &received {
        let signature = headers["x-gtm-signature"].to_str().unwrap();
        let digits = signature.split(",v1=").nth(1).unwrap();
        assert!(signature.starts_with("t=") && digits.len() == 64, "{signature}");
        assert_eq!(headers["content-type"], "application/json");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_names_a_pause_gets_it() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let answer = {
        let requests = Arc::clone(&requests);
        move || {
            let is_first = requests.fetch_add(1, Relaxed) == 0;
            let status = if is_first { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::OK };
            std::future::ready((status, [("retry-after", "2")]))
        }
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    let (grant, url) = (format!("http=http://{address}"), format!("url=http://{address}/"));
    let mut shipped = Shipped::start("webhook", &[&grant], &[&url, "namespaces=OWN.*"], &[]).await;
    shipped.things().insert_one(doc! { "_id": 1 }).await.unwrap();
    let retry = shipped.host.wait_for("op.retry", &[("asked_delay_ms", "2000")]);
    // The host's own pause would be 50 ms.
    assert_eq!(retry["delay_ms"], 2000, "{retry}");
    until("the request is sent again", async || requests.load(Relaxed) == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_that_is_far_is_sent_as_a_number() {
    let sink = Sink::hook().await;
    let values = [format!("url={}/hook", sink.url())];
    let (code, summary, _) = replay("webhook", &dump("dates_far"), &sink, &values);
    assert_eq!(code, Some(0), "{summary}");
    let received = sink.with(|index| std::mem::take(&mut index.received));
    for number in ["253402300800000", "8640000000000000"] {
        let form = format!(r#"{{"$date":{{"$numberLong":"{number}"}}}}"#);
        let has_it = received.iter().any(|(_, body)| String::from_utf8_lossy(body).contains(&form));
        assert!(has_it, "{received:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_paths_that_look_the_same_both_are_sent() {
    // An entry of an oplog: {"a.b": 1} and {a: {b: 2}} are both set.
    let entry = doc! {
        "op": "u", "ns": "shop.things", "ts": bson::Timestamp { time: 1_700_000_000, increment: 1 }, "v": 2, "o2": { "_id": 1 },
        "o": { "$v": 2, "diff": { "u": { "a.b": 1 }, "sa": { "u": { "b": 2 } } } },
    };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("oplog.bson");
    std::fs::write(&file, bson::serialize_to_vec(&entry).unwrap()).unwrap();
    let sink = Sink::hook().await;
    let values = [format!("url={}/hook", sink.url())];
    let (code, summary, _) = replay("webhook", &file, &sink, &values);
    assert_eq!(code, Some(0), "{summary}");
    let (_, body) = sink.with(|index| index.received.pop()).unwrap();
    let body = String::from_utf8_lossy(&body).into_owned();
    assert!(body.contains(r#""updatedFields":{"a.b":1,"a.b":2}"#), "{body}");
}
