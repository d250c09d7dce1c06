//! What contract 0.2 adds to the capabilities reaches plugins in JavaScript and Python, and what it adds to failures reaches the host.

use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri};
use bson::doc;
use gtm_runtime::Failure;

use super::Running;
use crate::capabilities::Errands;

super::capabilities::with_errands!(
    a_retry_says_how_long_to_wait: js, python;
    a_server_says_how_long_to_wait: js, python;
    state_has_numbers_pages_and_times_to_live: js, python;
    an_error_has_the_kind_of_the_contract: js, python;
);

async fn a_retry_says_how_long_to_wait(plugin: &Path) {
    let outcome = Running::new(plugin).handle(&doc! { "_id": 1, "do": "later", "after": 1500 }).await;
    let after = Some(Duration::from_millis(1500));
    assert_eq!(outcome, Ok(Err(Failure::Retry { reason: "later".to_owned(), after })));
}

/// Answers that the client should come again later, unless the request has no idempotency key.
async fn busy(uri: Uri, headers: HeaderMap) -> (StatusCode, [(&'static str, &'static str); 1]) {
    let after = match (headers.contains_key("idempotency-key"), uri.path()) {
        (false, _) => "",
        (true, "/date") => "Fri, 31 Dec 1999 23:59:59 GMT",
        (true, _) => "3",
    };
    (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", after)])
}

async fn a_server_says_how_long_to_wait(plugin: &Path) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(busy)).await });
    let grant = format!("http=http://{address}");
    let mut errands = Errands::of(plugin.to_str().unwrap(), &[&grant], &[], &[]).await;
    for (path, said) in [("seconds", "ok 3000"), ("date", "ok 0")] {
        let errand = doc! { "do": "pause", "url": format!("http://{address}/{path}") };
        assert_eq!(errands.run(errand).await, said, "{path}");
    }
}

async fn state_has_numbers_pages_and_times_to_live(plugin: &Path) {
    let mut errands = Errands::of(plugin.to_str().unwrap(), &["state"], &[], &[]).await;
    for (errand, said) in [
        (doc! { "do": "increment", "key": "n" }, "ok 1"),
        (doc! { "do": "increment", "key": "n", "by": -3, "ttl": 3600 }, "ok -2"),
        (doc! { "do": "set", "key": "ü", "value": "1" }, "ok set"),
        (doc! { "do": "set-for", "key": "m", "value": "text", "ttl": 3600 }, "ok set"),
        (doc! { "do": "increment", "key": "m" }, "error "),
        (doc! { "do": "list", "prefix": "" }, "ok m=text! n=-2! ü=1"),
        (doc! { "do": "list", "prefix": "", "after": "m", "limit": 1 }, "ok n=-2!"),
        (doc! { "do": "list", "prefix": "ü" }, "ok ü=1"),
        (doc! { "do": "list", "prefix": "nothing" }, "ok "),
        // It may count what was there before, too.
        (doc! { "do": "quota" }, "ok "),
    ] {
        let got = errands.run(errand.clone()).await;
        assert!(got.starts_with(said), "{errand}: {got}");
    }
}

async fn an_error_has_the_kind_of_the_contract(plugin: &Path) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let never = Router::new().fallback(std::future::pending::<()>);
    tokio::spawn(async move { axum::serve(listener, never).await });
    let http = format!("http=http://{address}");
    let grants = [&http, "mongodb-write=OWN.things"];
    let mut errands = Errands::of(plugin.to_str().unwrap(), &grants, &[], &[]).await;
    let insert = doc! { "do": "insert", "ns": "OWN.things", "document": { "_id": 1 } };
    assert_eq!(errands.run(insert.clone()).await, "ok inserted");
    for (errand, kind) in [
        (insert, "conflict"),
        (doc! { "do": "http", "url": format!("http://{address}/"), "timeout": 100 }, "unavailable"),
        (doc! { "do": "http", "url": "no URL" }, "invalid"),
        (doc! { "do": "get", "key": "k" }, "notgranted"),
    ] {
        let said = errands.run(doc! { "do": "kind", "of": errand.clone(), "ns": "OWN.things" }).await;
        assert_eq!(said.replace('-', ""), format!("ok {kind}"), "{errand}");
    }
}
