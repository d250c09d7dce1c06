//! Requests that the host signs for AWS.

use std::time::{Duration, Instant};

use bson::{Document, doc};
use gtm_test_support::{Process, Venv, free_port};

use super::Errands;
use super::http::Sink;
use crate::log;
use crate::support::{LIMIT, plugin};

const ACCESS_KEY: &str = "AKIDEXAMPLE";
const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// A server that takes only signed requests, and whose own code computes each signature again. It answers with the service, the token and
/// the length of the body.
struct AwsSink {
    port: u16,
    _process: Process,
}

impl AwsSink {
    fn start() -> Self {
        let port = free_port().unwrap();
        let mut command = Venv::signers().unwrap().script("host/tests/support/python/aws_sink.py");
        command.arg(port.to_string()).args([ACCESS_KEY, SECRET_KEY]);
        let mut process = Process::start("the server of AWS", &mut command).unwrap();
        process.wait_for_port(port, Duration::from_secs(300)).unwrap();
        Self { port, _process: process }
    }

    fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.port)
    }

    /// The grant of some paths, signed with these credentials.
    fn grant(&self, path: &str, service: &str, credentials: &str) -> String {
        let url = self.url("");
        format!(
            "[[plugins.errand.grants.http]]\nurl = \"{url}\"\npaths = [\"{path}\"]\n\
             aws_sigv4 = {{ region = \"eu-central-1\", service = \"{service}\", {credentials} }}\n"
        )
    }
}

/// Starts a host with these grants. The variables have the valid credentials.
async fn signing(directory: &tempfile::TempDir, grants: &[String], more: &[&str]) -> Errands {
    let settings = directory.path().join("gtm.toml");
    let text = format!("[plugins.errand]\npath = \"{}\"\n{}", plugin("errand"), grants.concat());
    std::fs::write(&settings, text).unwrap();
    let more = [&["--config", settings.to_str().unwrap()][..], more].concat();
    Errands::with(&[], &more, &[("TEST_ACCESS_KEY", ACCESS_KEY), ("TEST_SECRET_KEY", SECRET_KEY)]).await
}

const VALID: &str = "access_key = { env = \"TEST_ACCESS_KEY\" }, secret_key = { env = \"TEST_SECRET_KEY\" }";

fn get(url: String) -> Document {
    doc! { "do": "http", "url": url }
}

fn with(request: &Document, more: Document) -> Document {
    request.clone().into_iter().chain(more).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_accepts_what_the_host_signs() {
    let (sink, other, directory) = (AwsSink::start(), Sink::start().await, tempfile::tempdir().unwrap());
    let grants = [
        format!("[[plugins.errand.grants.http]]\nurl = \"{}\"\npaths = [\"/plain\"]\n", sink.url("")),
        sink.grant("/wrong", "es", "access_key = \"AKIDEXAMPLE\", secret_key = \"wrong\""),
        sink.grant("/bucket/*", "s3", VALID),
        sink.grant("/*", "es", VALID),
        format!("[[plugins.errand.grants.http]]\nurl = \"{}\"\n", other.url("")),
    ];
    let mut errands = signing(&directory, &grants, &[]).await;
    let json = doc! { "content-type": "application/json", "x-amz-target": "a  b" };
    for by_wasi in [false, true] {
        let ask = |url: String, more: Document| with(&with(&get(url), doc! { "by_wasi": by_wasi }), more);
        for (path, more, answer) in [
            ("/", doc! {}, "es none 0"),
            ("/_search?q=name:a+b&pretty&filter_path=hits.*,x%2Fy&b=2&b=1&empty=", doc! {}, "es none 0"),
            ("/shop.orders/_doc/A%20b:c*,d~", doc! { "method": "DELETE" }, "es none 0"),
            ("/_bulk", doc! { "method": "POST", "body": "{}\n", "headers": json.clone() }, "es none 3"),
            ("/_bulk", doc! { "method": "PUT", "bytes": 1_000_000 }, "es none 1000000"),
            ("/bucket/a%20b%2Bc?list-type=2", doc! { "method": "PUT", "body": "b" }, "s3 none 1"),
        ] {
            assert_eq!(errands.run(ask(sink.url(path), more)).await, format!("ok 200 {answer}"), "{path}");
        }
        let refused = "ok 403 refused: its signature is another one";
        assert_eq!(errands.run(ask(sink.url("/wrong"), doc! {})).await, refused);
        assert_eq!(errands.run(ask(sink.url("/plain"), doc! {})).await, "ok 403 refused: it is not signed");
        // The headers of the signature are the host's alone.
        for name in ["authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"] {
            let said = errands.run(ask(sink.url("/"), doc! { "headers": { name: "mine" } })).await;
            let why =
                format!("error the header {name} is set by the host. help: leave it out of the request");
            assert_eq!(said, why);
        }
        // The next server gets no signature.
        let redirected = ask(sink.url(&format!("/redirect?{}", other.url("/"))), doc! { "follow": true });
        let said = errands.run(redirected).await;
        assert!(said.starts_with("ok 200 GET / none "), "{said}");
    }
    let logged = errands.host.logged();
    assert!(!logged.iter().any(|line| line.to_string().contains("EXAMPLE")), "{logged:?}");
}

/// Asks the server until the plugin gets this answer. The host reads files again after a while.
async fn answered(errands: &mut Errands, sink: &AwsSink, answer: &str) {
    let deadline = Instant::now() + LIMIT;
    loop {
        let said = errands.run(get(sink.url("/"))).await;
        if said == answer {
            return;
        }
        assert!(Instant::now() < deadline, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_read_again_when_its_file_is_replaced() {
    let (sink, directory) = (AwsSink::start(), tempfile::tempdir().unwrap());
    let token = directory.path().join("token");
    std::fs::write(&token, "first-token\n").unwrap();
    let grant = sink.grant("/*", "aoss", &format!("{VALID}, session_token = {{ file = \"token\" }}"));
    let mut errands = signing(&directory, &[grant], &[]).await;
    assert_eq!(errands.run(get(sink.url("/"))).await, "ok 200 aoss first-token 0");
    std::fs::write(&token, "second-token\n").unwrap();
    answered(&mut errands, &sink, "ok 200 aoss second-token 0").await;
    std::fs::remove_file(&token).unwrap();
    let why =
        format!("error {} cannot be asked: the host has no valid credentials for this server", sink.url(""));
    answered(&mut errands, &sink, &why).await;
    // The cause is logged once, however often the plugin tries.
    assert_eq!(errands.run(get(sink.url("/"))).await, why);
    std::fs::write(&token, "third-token\n").unwrap();
    answered(&mut errands, &sink, "ok 200 aoss third-token 0").await;
    let logged = errands.host.logged();
    let failures =
        logged.iter().filter(|line| log::is_event(line, "http.sign_failed", &[("plugin", "errand")]));
    let errors: Vec<_> = failures.map(log::error).collect();
    let expected = format!("{} cannot be read: ", token.display());
    assert!(matches!(&errors[..], [error] if error.contains(&expected)), "{errors:?}");

    let settings = directory.path().join("gtm.toml");
    let said = crate::support::error_of(&["--config", settings.to_str().unwrap()]);
    assert!(said.starts_with("the access_key for http://localhost:"), "{said}");
    assert!(said.contains("of the plugin errand is missing: the variable TEST_ACCESS_KEY"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_names_the_headers_of_the_host_without_their_values() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Sink::start().await;
    let aws =
        format!("url = \"{}\"\naws_sigv4 = {{ region = \"r\", service = \"es\", {VALID} }}\n", sink.url(""));
    let plain = "url = \"http://localhost:1\"\nheaders = { x-key = \"EXAMPLE\" }\n";
    let grants = [aws, plain.to_owned()].map(|grant| format!("[[plugins.errand.grants.http]]\n{grant}"));
    let mut errands = signing(&directory, &grants, &["--dry-run"]).await;
    let signature = ["authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"];
    for (url, names) in [(sink.url("/"), &signature[..]), ("http://localhost:1/".to_owned(), &["x-key"])] {
        for by_wasi in [false, true] {
            assert_eq!(errands.run(with(&get(url.clone()), doc! { "by_wasi": by_wasi })).await, "ok 200 {}");
            let logged = errands.host.logged();
            let recorded = logged.iter().rfind(|line| log::is_event(line, "dry_run.record", &[])).unwrap();
            let effect: serde_json::Value = serde_json::from_str(&log::field(recorded, "effect")).unwrap();
            for name in names {
                assert_eq!(effect["headers"][name], "…", "{effect}");
            }
        }
    }
    assert!(!errands.host.logged().iter().any(|line| line.to_string().contains("EXAMPLE")));
}
