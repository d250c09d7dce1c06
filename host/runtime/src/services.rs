//! What the host has for its plugins: each once, for all of them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use gtm_store::Store;
use mongodb::Client;
use serde_json::Value;

use super::capabilities::mail::Mailer;

/// What plugins reach through the host, as far as it is there and they are granted it.
#[derive(Clone, Default)]
pub struct Services {
    /// The mail server.
    pub mailer: Option<Mailer>,
    /// The cluster that plugins read and write.
    pub client: Option<Cluster>,
    /// Where plugins keep their state, and under which pipeline.
    pub store: Option<(Store, Arc<str>)>,
    /// Records each effect, if effects are not performed.
    pub recorder: Option<Recorder>,
}

/// A cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Connected to it.
    pub client: Client,
    /// Where it is, for the words of a message.
    pub hosts: Arc<str>,
}

impl Cluster {
    pub(super) fn words(&self) -> String {
        format!("MongoDB at {}", self.hosts)
    }
}

/// Records effects instead of performing them.
#[derive(Clone)]
pub struct Recorder {
    take: Arc<dyn Fn(Effect) + Send + Sync>,
    answers: Arc<[HttpAnswer]>,
    reads: bool,
}

/// What a server answers to requests that are taken down and not sent.
#[derive(Debug)]
pub struct HttpAnswer {
    method: String,
    /// With a `*` at its end, all URLs that begin so.
    url: String,
    status: u16,
    body: Bytes,
    given: AtomicBool,
}

impl HttpAnswer {
    /// Returns an answer to `METHOD URL`, or `METHOD URL STATUS`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(request: &str, body: Vec<u8>) -> Result<Self, String> {
        let mut words = request.split_whitespace();
        let (Some(method), Some(url), status, None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(format!(
                "\"{request}\" is not a request: write METHOD URL, as in 'GET https://api.example.com/x', and a \
                                status after it if it is not 200"
            ));
        };
        let status = status.unwrap_or("200");
        let parsed = status.parse().ok().filter(|status| (200..1000).contains(status));
        Ok(Self {
            method: method.to_ascii_uppercase(),
            url: url.to_owned(),
            status: parsed
                .ok_or_else(|| format!("\"{status}\" is not the status of an answer, like 200 or 404"))?,
            body: body.into(),
            given: AtomicBool::new(false),
        })
    }

    fn fits(&self, method: &str, url: &str) -> bool {
        self.method == method
            && match self.url.strip_suffix('*') {
                Some(start) => url.starts_with(start),
                None => {
                    // The root may be written without its slash.
                    self.url == url
                        || self.url.strip_suffix('/') == Some(url)
                        || url.strip_suffix('/') == Some(&self.url)
                }
            }
    }
}

/// Something that a plugin wanted done to the world outside.
#[derive(Clone, Debug)]
pub struct Effect {
    /// The name of the plugin.
    pub plugin: Arc<str>,
    /// The id of the op that it handles.
    pub op: String,
    /// By which capability: `mail`, `http`, `mongodb`, `state`.
    pub capability: &'static str,
    /// What, as JSON.
    pub what: Value,
}

impl Recorder {
    /// Makes a recorder that passes each effect to `take`.
    pub fn new(take: impl Fn(Effect) + Send + Sync + 'static) -> Self {
        Self { take: Arc::new(take), answers: Arc::new([]), reads: false }
    }

    /// Adds answers to HTTP requests. If several fit a request, each is given once, in their order, and then the last one. `reads`:
    /// GET and HEAD requests without an answer are sent.
    pub fn answering(self, answers: Vec<HttpAnswer>, reads: bool) -> Self {
        Self { answers: answers.into(), reads, ..self }
    }

    pub(super) fn record(&self, effect: Effect) {
        (self.take)(effect);
    }

    /// Returns the answer to a request, if there is one: its status and body.
    pub(super) fn answer(&self, method: &str, url: &str) -> Option<(u16, Bytes)> {
        let fitting = || self.answers.iter().filter(|answer| answer.fits(method, url));
        let fresh = fitting().find(|answer| !answer.given.swap(true, Ordering::Relaxed));
        let answer = fresh.or_else(|| fitting().last())?;
        Some((answer.status, answer.body.clone()))
    }

    /// Returns whether a request is sent that only reads.
    pub(super) fn lets_through(&self, method: &str) -> bool {
        self.reads && matches!(method, "GET" | "HEAD")
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_given_in_their_order_and_the_last_again() {
        let answer = |request: &str, body: &str| HttpAnswer::new(request, body.as_bytes().to_vec()).unwrap();
        let answers = vec![
            answer("GET https://a.example/x", "1"),
            answer("get https://a.example/x 404", "2"),
            answer("POST https://a.example/*", "3"),
        ];
        let recorder = Recorder::new(drop).answering(answers, true);
        let got = |method, url| {
            recorder
                .answer(method, url)
                .map(|(status, body)| (status, String::from_utf8_lossy(&body).into_owned()))
        };
        assert_eq!(got("GET", "https://a.example/x"), Some((200, "1".to_owned())));
        for _ in 0..2 {
            assert_eq!(got("GET", "https://a.example/x"), Some((404, "2".to_owned())));
            assert_eq!(got("POST", "https://a.example/y?z=1"), Some((200, "3".to_owned())));
        }
        assert_eq!(got("GET", "https://a.example/y"), None);
        assert!(recorder.lets_through("GET") && !recorder.lets_through("POST"));
        for (request, reason) in [
            ("GET", "is not a request"),
            ("GET http://x 20", "is not the status"),
            ("GET http://x 200 y", "not a"),
        ] {
            assert!(HttpAnswer::new(request, Vec::new()).unwrap_err().contains(reason), "{request}");
        }
    }
}
