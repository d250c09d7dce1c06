use gtm_plugin::bson::raw::cstr;
use gtm_plugin::bson::{RawDocumentBuf, doc, rawdoc};
use gtm_plugin::http::{Request, Response};
use gtm_plugin::testing::{Harness, OpBuilder, delete, insert};
use gtm_plugin::{Failure, OperationType};
use serde_json::{Value, json};

use super::*;

fn answering(status: u16) -> Harness {
    let server = move |_: &Request| Ok(Response { status, ..Response::default() });
    Harness::new().config("url", "https://example.com/hook").server(server)
}

#[test]
fn a_change_is_sent_with_the_names_of_change_events() {
    let op = insert("shop.orders", doc! { "_id": 1, "text": "Grüße" });
    let run = answering(204).config("secret", "s").run::<Webhook>(&op);
    assert_eq!(run.outcome, Some(Ok(())));
    let request = &run.requests[0];
    let event: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(event["operationType"], "insert");
    assert_eq!(event["ns"], json!({ "db": "shop", "coll": "orders" }));
    assert_eq!(event["documentKey"], json!({ "_id": 1 }));
    assert_eq!(event["fullDocument"], json!({ "_id": 1, "text": "Grüße" }));
    assert_eq!(event["_id"], json!({ "_data": op.id() }));
    let header = |name: &str| {
        let (_, value) = request.headers.iter().find(|(other, _)| other == name).unwrap();
        value.clone()
    };
    assert_eq!((&*header("x-gtm-id"), &*header("x-gtm-attempt")), (op.id(), "1"));
    let signed = header("x-gtm-signature");
    let seconds = signed.strip_prefix("t=").unwrap().split(',').next().unwrap().parse().unwrap();
    assert_eq!(signed, signature::of("s", seconds, std::str::from_utf8(&request.body).unwrap()));
}

#[test]
fn what_the_server_answers_decides() {
    let op = delete("shop.orders", doc! { "_id": 1 });
    for (status, retried) in [
        (500, true),
        (503, true),
        (429, true),
        (408, true),
        (400, false),
        (404, false),
        (410, false),
        (302, false),
    ] {
        match answering(status).run::<Webhook>(&op).outcome {
            Some(Err(Failure::Retry(_))) => assert!(retried, "{status}"),
            Some(Err(Failure::Reject(_))) => assert!(!retried, "{status}"),
            other => panic!("{status}: {other:?}"),
        }
    }
}

#[test]
fn what_is_sent_can_be_chosen() {
    let mut harness =
        answering(200).config("namespaces", "shop.*, users.users").config("operations", "insert, drop");
    assert!(harness.run::<Webhook>(&insert("shop.orders", doc! { "_id": 1 })).wanted);
    assert!(!harness.run::<Webhook>(&insert("hr.people", doc! { "_id": 1 })).wanted);
    assert!(!harness.run::<Webhook>(&delete("shop.orders", doc! { "_id": 1 })).wanted);
    assert!(harness.run::<Webhook>(&OpBuilder::new("shop.orders", OperationType::Drop).build()).wanted);
}

#[test]
fn of_two_paths_that_look_the_same_both_are_sent() {
    // A field "a.b", and a field b in a document a.
    let mut updated = RawDocumentBuf::new();
    updated.append(cstr!("a.b"), 1);
    updated.append(cstr!("a.b"), 2);
    let op = OpBuilder::new("a.b", OperationType::Update).key(&doc! { "_id": 1 });
    let op = op.raw_description(&rawdoc! { "updatedFields": updated }).build();
    let run = answering(200).run::<Webhook>(&op);
    let body = std::str::from_utf8(&run.requests[0].body).unwrap();
    assert!(body.contains(r#""updateDescription":{"updatedFields":{"a.b":1,"a.b":2}}"#), "{body}");
}

#[test]
fn a_server_that_names_a_pause_gets_it() {
    let busy = |_: &Request| {
        let headers = vec![("retry-after".to_owned(), "30".to_owned())];
        Ok(Response { status: 429, headers, ..Response::default() })
    };
    let run = answering(200).server(busy).run::<Webhook>(&insert("a.b", doc! { "_id": 1 }));
    let pause = Duration::from_secs(30);
    assert!(
        matches!(run.outcome, Some(Err(Failure::RetryAfter(after, _))) if after == pause),
        "{:?}",
        run.outcome
    );
}

#[test]
fn a_wrong_setting_is_refused() {
    let refused = |harness: Harness| { harness }.start::<Webhook>().unwrap_err().to_string();
    assert_eq!(refused(Harness::new()), "the setting url is missing");
    assert!(refused(Harness::new().config("url", "example.com")).contains("begin it with https://"));
    let url = Harness::new().config("url", "https://example.com/hook");
    assert!(refused(url.clone().config("nmespaces", "a.b")).contains("did you mean namespaces?"));
    assert!(refused(url.config("timeout", "soon")).contains("timeout"));
}
