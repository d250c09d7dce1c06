//! Requests to servers that are granted, and to others.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use bson::doc;

use super::Errands;
use crate::support::{message, scaled};

/// A server that says what it was asked.
struct Sink {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Sink {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&asked));
        let router = router.layer(DefaultBodyLimit::disable());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, asked }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn grant(&self) -> String {
        format!("http=http://{}", self.address)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn answer(
    State(asked): State<Arc<AtomicUsize>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    asked.fetch_add(1, Ordering::SeqCst);
    match uri.path() {
        "/huge" => vec![b'x'; 20 << 20].into_response(),
        "/slow" => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            StatusCode::OK.into_response()
        }
        "/busy" => (StatusCode::SERVICE_UNAVAILABLE, "later").into_response(),
        "/redirect" => Redirect::temporary(uri.query().unwrap()).into_response(),
        _ => {
            let token = headers.get("authorization").map_or("none", |value| value.to_str().unwrap());
            format!("{method} {uri} {token} {} {}", headers["host"].to_str().unwrap(), body.len())
                .into_response()
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_granted_is_asked() {
    let sink = Sink::start().await;
    let mut errands = Errands::granted(&[&sink.grant()]).await;
    let said = errands.run(doc! { "do": "http", "url": sink.url("/a?b=c") }).await;
    assert_eq!(said, format!("ok 200 GET /a?b=c none {} 0", sink.address));
    let posted = doc! { "do": "http", "method": "POST", "url": sink.url("/"), "bytes": 100_000 };
    assert_eq!(errands.run(posted.clone()).await, format!("ok 200 POST / none {} 100000", sink.address));
    assert_eq!(errands.run(doc! { "do": "http", "url": sink.url("/busy") }).await, "ok 503 later");
    let by_wasi = posted.into_iter().chain(doc! { "by_wasi": true }).collect();
    assert_eq!(errands.run(by_wasi).await, format!("ok 200 POST / none {} 100000", sink.address));
    assert_eq!(sink.asked(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_granted_is_never_asked() {
    let (sink, granted) = (Sink::start().await, Sink::start().await);
    let port = sink.address.port();
    let mut errands = Errands::granted(&[&granted.grant(), "http=*", &format!("http=http://*:{port}")]).await;
    // By name, by address in all its forms, and by redirect: none of them is public.
    let forms = [
        format!("http://localhost:{port}/"),
        format!("http://127.0.0.1:{port}/"),
        format!("http://127.1:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://0x7f000001:{port}/"),
        format!("http://017700000001:{port}/"),
        format!("http://0.0.0.0:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://[::ffff:7f00:1]:{port}/"),
        format!("http://169.254.169.254:{port}/latest/meta-data"),
        granted.url(&format!("/redirect?{}", sink.url("/"))),
    ];
    // What the plugin is told says less by wasi:http, which has a code for it and no words.
    let told = [
        (false, "which is no public address"),
        (true, "the host does not let this plugin reach the address"),
    ];
    for (by_wasi, why) in told {
        for url in &forms {
            let said =
                errands.run(doc! { "do": "http", "url": url, "follow": true, "by_wasi": by_wasi }).await;
            assert!(said.starts_with("error ") && said.contains(why), "{url}: {said}");
        }
    }
    // Not by any grant at all.
    let grant = "http to http://example.com is not granted to the plugin errand: say --grant errand:http=http://example.com";
    let told = [(false, grant), (true, "the host does not let this plugin send the request")];
    for (by_wasi, why) in told {
        let said = errands.run(doc! { "do": "http", "url": "http://example.com/", "by_wasi": by_wasi }).await;
        assert!(said.starts_with(&format!("error {why}")), "{said}");
    }
    assert!(errands.host.logged().iter().any(|line| message(line).starts_with(grant)));
    assert_eq!((sink.asked(), granted.asked()), (0, 2));
    let said_by_host = |line: &&serde_json::Value| {
        message(line).contains("which is no public address") && line["level"] == "WARN"
    };
    assert_eq!(
        errands.host.logged().iter().filter(said_by_host).count(),
        forms.len() * 2,
        "each is in the log once"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_address_is_reached_when_that_is_granted() {
    let sink = Sink::start().await;
    let port = sink.address.port();
    let mut errands = Errands::granted(&[&format!("http-private=http://*:{port}")]).await;
    let said = errands.run(doc! { "do": "http", "url": format!("http://127.1:{port}/") }).await;
    assert!(said.starts_with("ok 200 GET / none"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_host_adds_the_plugin_does_not_see() {
    let sink = Sink::start().await;
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("gtm.toml");
    let text = format!(
        "[plugins.errand]\npath = \"{}\"\n[[plugins.errand.grants.http]]\nurl = \"http://{}\"\nheaders = {{ authorization = \
         {{ env = \"GTM_TEST_TOKEN\" }} }}\n",
        crate::support::plugin("errand"),
        sink.address
    );
    std::fs::write(&config, text).unwrap();
    let environment = [("GTM_TEST_TOKEN", "Bearer secret")];
    let mut errands = Errands::with(&[], &["--config", config.to_str().unwrap()], &environment).await;
    let own = doc! { "authorization": "Bearer mine" };
    let said = errands.run(doc! { "do": "http", "url": sink.url("/"), "headers": own }).await;
    assert_eq!(
        said,
        format!("ok 200 GET / Bearer secret {} 0", sink.address),
        "the host's, not the plugin's"
    );
    for errand in
        [doc! { "do": "env", "name": "GTM_TEST_TOKEN" }, doc! { "do": "config", "key": "authorization" }]
    {
        let said = errands.run(errand).await;
        assert!(!said.contains("secret"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_or_too_slow_is_cut_off() {
    let limit = std::time::Duration::from_millis(scaled(1000));
    let sink = Sink::start().await;
    let mut errands =
        Errands::with(&[&sink.grant()], &["--call-timeout", &format!("{}ms", limit.as_millis())], &[]).await;
    let said = errands.run(doc! { "do": "http", "url": sink.url("/huge") }).await;
    assert!(said.starts_with("error ") && said.contains("the body of the response is too large"), "{said}");
    let limit = format!(
        "http://{}: the limit is 16.0 MiB ([plugins.errand.limits] http_bytes in gtm.toml)",
        sink.address
    );
    assert!(said.contains(&limit), "{said}");
    let large = doc! { "do": "http", "method": "POST", "url": sink.url("/"), "bytes": 17 << 20 };
    let said = errands.run(large).await;
    assert!(said.starts_with("error ") && !said.contains("200"), "{said}");
    let said = errands.run(doc! { "do": "http", "url": sink.url("/slow?token=secret") }).await;
    let slow = format!(
        "error http://{} did not answer within {}, the limit of one call (--call-timeout, or [plugins.errand.limits] \
         call_timeout in gtm.toml)",
        sink.address,
        humantime::format_duration(limit)
    );
    assert_eq!(said, slow);
    // And then it goes on.
    assert!(errands.run(doc! { "do": "http", "url": sink.url("/") }).await.starts_with("ok 200"));
    let said = errands.run(doc! { "do": "http", "url": "http://127.0.0.1:1/" }).await;
    assert!(said.starts_with("error http to http://127.0.0.1:1 is not granted"), "{said}");
    for url in ["ftp://x", "http://", "http://a b/", "nonsense"] {
        let said = errands.run(doc! { "do": "http", "url": url }).await;
        assert!(said.starts_with("error "), "{url}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_is_unavailable() {
    let mut errands =
        Errands::granted(&["http=http://127.0.0.1:1", "http=http://no-such-host.invalid"]).await;
    let said = errands.run(doc! { "do": "http", "url": "http://127.0.0.1:1/" }).await;
    assert!(said == "error http://127.0.0.1:1 refuses the connection", "{said}");
    let said = errands.run(doc! { "do": "http", "url": "http://no-such-host.invalid/" }).await;
    assert!(said.starts_with("error http://no-such-host.invalid cannot be asked: "), "{said}");
}
