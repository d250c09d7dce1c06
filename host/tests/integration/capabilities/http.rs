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
use crate::log;
use crate::support::scaled;

/// A server that says what it was asked.
pub struct Sink {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Sink {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&asked));
        let router = router.layer(DefaultBodyLimit::disable());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, asked }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn grant(&self) -> String {
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
        (false, "which is not a public address"),
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
    let grant = "http to http://example.com is not granted to the plugin errand. help: pass --grant errand:http=http://example.com";
    let told = [(false, grant), (true, "the host does not let this plugin send the request")];
    for (by_wasi, why) in told {
        let said = errands.run(doc! { "do": "http", "url": "http://example.com/", "by_wasi": by_wasi }).await;
        assert!(said.starts_with(&format!("error {why}")), "{said}");
    }
    let tried = |line: &serde_json::Value| log::error(line).starts_with(grant);
    assert!(errands.host.logged().iter().any(tried));
    assert_eq!((sink.asked(), granted.asked()), (0, 2));
    let said_by_host = |line: &&serde_json::Value| {
        log::error(line).contains("which is not a public address") && line["level"] == "WARN"
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
    for by_wasi in [false, true] {
        let request = doc! { "do": "http", "url": sink.url("/"), "by_wasi": by_wasi };
        let with_own = request.clone().into_iter().chain(doc! { "headers": own.clone() }).collect();
        let refused = "error the header authorization is set by the host. help: leave it out of the request";
        assert_eq!(errands.run(with_own).await, refused);
        assert_eq!(errands.run(request).await, format!("ok 200 GET / Bearer secret {} 0", sink.address));
    }
    assert_eq!(sink.asked(), 2);
    for errand in
        [doc! { "do": "env", "name": "GTM_TEST_TOKEN" }, doc! { "do": "config", "key": "authorization" }]
    {
        let said = errands.run(errand).await;
        assert!(!said.contains("secret"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_or_too_slow_is_cut_off() {
    let call_limit = std::time::Duration::from_millis(scaled(1000));
    let sink = Sink::start().await;
    let mut errands = Errands::with(
        &[&sink.grant()],
        &["--limits-call-timeout", &format!("{}ms", call_limit.as_millis())],
        &[],
    )
    .await;
    let said = errands.run(doc! { "do": "http", "url": sink.url("/huge") }).await;
    assert!(said.starts_with("error ") && said.contains("the body of the response is too large"), "{said}");
    let limit = format!(
        "http://{}: the limit is 16 MiB. help: raise --limits-http-bytes, or limits.http_bytes under [plugins.errand] in gtm.toml",
        sink.address
    );
    assert!(said.contains(&limit), "{said}");
    let large = doc! { "do": "http", "method": "POST", "url": sink.url("/"), "bytes": 17 << 20 };
    let said = errands.run(large).await;
    assert!(said.starts_with("error ") && !said.contains("200"), "{said}");
    let said = errands.run(doc! { "do": "http", "url": sink.url("/slow?token=secret") }).await;
    let slow = format!(
        "error http://{} did not answer within {}, the limit of one call. help: raise --limits-call-timeout, or limits.call_timeout under \
         [plugins.errand] in gtm.toml",
        sink.address,
        humantime::format_duration(call_limit)
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

#[tokio::test(flavor = "multi_thread")]
async fn only_the_host_sets_the_length_and_the_server_of_a_request() {
    let sink = Sink::start().await;
    let mut errands = Errands::granted(&[&sink.grant()]).await;
    for (name, value) in [
        ("host", "admin.internal"),
        ("connection", "host"),
        ("transfer-encoding", "chunked"),
        ("expect", "100-continue"),
        ("trailer", "host"),
        ("te", "host"),
        ("upgrade", "h2c"),
    ] {
        for (by_wasi, why) in [(false, "is set by the host"), (true, "cannot be sent")] {
            let request = doc! { "do": "http", "method": "POST", "url": sink.url("/"), "body": "b", "headers": { name: value }, "by_wasi": by_wasi };
            let said = errands.run(request).await;
            assert!(said.starts_with("error the header ") && said.contains(why), "{said}");
        }
    }
    let smuggled = "GET /secret HTTP/1.1\r\nhost: x\r\n\r\n";
    let short = doc! { "do": "http", "method": "POST", "url": sink.url("/"), "body": smuggled, "headers": { "content-length": "1" } };
    let said = errands.run(short).await;
    assert!(said.starts_with("error the header content-length is set by the host"), "{said}");
    for method in ["CONNECT", "TRACE"] {
        for by_wasi in [false, true] {
            let request = doc! { "do": "http", "method": method, "url": sink.url("/"), "by_wasi": by_wasi };
            assert_eq!(errands.run(request).await, format!("error plugins cannot use the method {method}"));
        }
    }
    assert_eq!(sink.asked(), 0);
    // The name and the password of a URL are no part of the server.
    for by_wasi in [false, true] {
        let url = format!("http://name:password@{}/", sink.address);
        let said = errands.run(doc! { "do": "http", "url": url, "by_wasi": by_wasi }).await;
        assert_eq!(said, format!("ok 200 GET / none {} 0", sink.address));
    }
    assert!(!errands.host.logged().iter().any(|line| line.to_string().contains("password")));
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_without_end_are_refused_and_the_plugin_goes_on() {
    let sink = Sink::start().await;
    let mut errands = Errands::granted(&[&sink.grant()]).await;
    // The grant is looked at before anything else.
    let said = errands.run(doc! { "do": "http", "url": "http://example.com/", "headers_more": 40_000 }).await;
    assert!(said.starts_with("error http to http://example.com is not granted"), "{said}");
    let many = "error the request has too many headers: at most 100 can be sent";
    let large = "error the headers of the request are too large: at most 64 KiB can be sent";
    for (more, why) in [
        (doc! { "headers_more": 40_000 }, many),
        (doc! { "headers_more": 101 }, many),
        (doc! { "headers_more": 101, "by_wasi": true }, many),
        (doc! { "header_bytes": 66_000 }, large),
        (doc! { "header_bytes": 66_000, "by_wasi": true }, large),
    ] {
        let request = doc! { "do": "http", "url": sink.url("/") }.into_iter().chain(more).collect();
        assert_eq!(errands.run(request).await, why);
    }
    assert_eq!(sink.asked(), 0);
    let said = errands.run(doc! { "do": "http", "url": sink.url("/"), "headers_more": 90 }).await;
    assert!(said.starts_with("ok 200"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_cannot_steer_its_own_host() {
    let sink = Sink::start().await;
    let admin = format!("127.0.0.1:{}", gtm_test_support::free_port().unwrap());
    let port = admin.rsplit(':').next().unwrap();
    let grants = [
        format!("http=http://{admin}"),
        format!("http=http://localhost:{port}"),
        format!("http-private=http://*:{port}"),
        sink.grant(),
    ];
    let grants: Vec<_> = grants.iter().map(String::as_str).collect();
    let mut errands = Errands::with(&grants, &["--admin", &admin], &[]).await;
    // By name, and by address in its forms.
    for host in ["127.0.0.1", "localhost", "127.1", "2130706433", "0.0.0.0"] {
        for (by_wasi, why) in
            [(false, "is this gtm-host itself"), (true, "does not let this plugin reach the address")]
        {
            let url = format!("http://{host}:{port}/pause?plugin=errand");
            let request = doc! { "do": "http", "method": "POST", "url": url, "by_wasi": by_wasi };
            let said = errands.run(request).await;
            assert!(said.starts_with("error ") && said.contains(why), "{host}: {said}");
        }
    }
    let status = errands.host.status();
    assert_ne!(status["plugins"][0]["state"], "paused", "{status}");
    // What else is on this machine is reached as before.
    assert!(errands.run(doc! { "do": "http", "url": sink.url("/") }).await.starts_with("ok 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_may_be_of_some_methods_and_paths_only() {
    let sink = Sink::start().await;
    let grant = format!("http=GET http://{}/public/*", sink.address);
    let mut errands = Errands::granted(&[&grant]).await;
    for by_wasi in [false, true] {
        let request = |method: &str, path: &str| doc! { "do": "http", "method": method, "url": sink.url(path), "by_wasi": by_wasi };
        let said = errands.run(request("GET", "/public/a?b=c")).await;
        assert!(said.starts_with("ok 200 GET /public/a?b=c "), "{said}");
        let before = sink.asked();
        for (method, path) in [("POST", "/public/a"), ("GET", "/private"), ("GET", "/?/public/a")] {
            let said = errands.run(request(method, path)).await;
            assert!(said.starts_with("error "), "{method} {path}: {said}");
            let why = format!("{method} at this path of http://{}", sink.address);
            assert!(by_wasi || said.contains(&why), "{method} {path}: {said}");
        }
        // That it is for its form is said: the grant seems to cover it.
        for path in ["/public/../private", "/public/%2e%2e/private", "/public//a", "/public/a%2fb"] {
            let said = errands.run(request("GET", path)).await;
            assert!(said.starts_with("error "), "{path}: {said}");
            let why =
                "this path may be taken for another one: it has a segment . or .., two slashes in a row";
            assert!(by_wasi || said.contains(why), "{path}: {said}");
        }
        assert_eq!(sink.asked(), before);
    }
}
